"""What the end-to-end tests share: both stacks in an embedded AWS of their own, deployed by the real CDK CLI."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import pytest
from botocore.exceptions import ClientError

from local.cdk import CLI, Cdk, node
from local.embedded import NO_PERSON, embedded
from local.permissions import noted
from local.server import Ready
from local.workflows import Account
from tests.synthesis import ROOT, STACKS, Assembly, unhashed

Json = Any
_T = TypeVar("_T")
ALLOWED = "allowed.jsonl"
"""The file of a deployment's folder that says what IAM allowed."""

SECONDS = 60.0
"""How long anything here may take: far beyond what it does take, so that a hang has an end."""


@dataclass(frozen=True)
class Execution:
    """An execution that has ended: DescribeExecution's answer and its events, oldest first."""

    described: dict[str, Any]
    events: list[dict[str, Any]]

    @property
    def status(self) -> str:
        return str(self.described["status"])

    @property
    def output(self) -> Json:
        """The output of one that succeeded."""
        assert self.status == "SUCCEEDED", (self.described.get("error"), self.described.get("cause"))
        return json.loads(self.described["output"])

    @property
    def error(self) -> str:
        return str(self.described["error"])

    @property
    def cause(self) -> str:
        return str(self.described["cause"])


@dataclass(frozen=True)
class Deployment:
    """A running embedded AWS with both stacks. `folder` holds the cloud assembly and the CLI's output.

    `updated` is the folder of the assembly that the stacks were brought to since (see `tests.e2e.updates`).
    """

    ready: Ready
    folder: Path
    updated: Path | None = None

    @cached_property
    def account(self) -> Account:
        return Account(self.ready)

    @cached_property
    def _clients(self) -> dict[str, Any]:
        return {}

    @property
    def assembly(self) -> Assembly:
        """What was deployed."""
        return Assembly(self.updated or self.folder / "cdk.out")

    def client(self, service: str) -> Any:
        """A boto3 client as the account's root, the same one each time."""
        if service not in self._clients:
            self._clients[service] = self.account.client(service)
        return self._clients[service]

    @cached_property
    def outputs(self) -> dict[str, dict[str, str]]:
        """Each stack's outputs by name, which stay the same while it lives."""
        return {stack: self.account.outputs(stack) for stack in STACKS}

    @cached_property
    def physical(self) -> dict[str, dict[str, str]]:
        """For each stack as first deployed, the physical id of each resource by its logical id."""
        described = {
            stack: self.client("cloudformation").describe_stack_resources(StackName=stack)["StackResources"]
            for stack in STACKS
        }
        return {
            stack: {it["LogicalResourceId"]: it["PhysicalResourceId"] for it in resources}
            for stack, resources in described.items()
        }

    def allowed(self) -> list[tuple[str, str, str]]:
        """What IAM has allowed so far: callers' ARNs, actions and resources."""
        return noted(self.folder / ALLOWED)

    def named(self, stack: str, logical: str) -> str:
        """The physical id of the resource with this logical id, given without its hash."""
        (found,) = (name for name_there, name in self.physical[stack].items() if unhashed(name_there) == logical)
        return found

    def make_model_again(self) -> str:
        """Creates the deployed model once more, under another name: why that was refused, or nothing."""
        sagemaker = self.client("sagemaker")
        model = sagemaker.describe_model(ModelName=self.named("InferenceStack", "Model").rpartition("/")[2])
        again = {name: model[name] for name in ("PrimaryContainer", "ExecutionRoleArn")}
        try:
            sagemaker.create_model(ModelName="again", **again)
        except ClientError as refused:
            return str(refused)
        sagemaker.delete_model(ModelName="again")
        return ""

    def start(self, stack: str, request: Json, name: str | None = None) -> str:
        """The ARN of a new execution of the stack's workflow. A request may also be JSON text."""
        text = request if isinstance(request, str) else json.dumps(request)
        started = self.client("stepfunctions").start_execution(
            stateMachineArn=self.outputs[stack]["StateMachineArn"], name=name or uuid.uuid4().hex, input=text
        )
        return str(started["executionArn"])

    def execute(self, stack: str, request: Json, name: str | None = None) -> Execution:
        """Runs the stack's workflow to its end."""
        arn = self.start(stack, request, name)
        states = self.client("stepfunctions")
        described = until(
            lambda: states.describe_execution(executionArn=arn), lambda answer: answer["status"] != "RUNNING"
        )
        pages = states.get_paginator("get_execution_history").paginate(executionArn=arn)
        return Execution(described, [event for page in pages for event in page["events"]])

    def stored(self, uri: str) -> bytes:
        """The object at an s3:// address."""
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        return bytes(self.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read())

    def cdk(self, *arguments: str, project: Path = ROOT) -> subprocess.CompletedProcess[str]:
        """Runs the CDK CLI in a copy of the project, as a person does after `. build/local/env`."""
        program = node()
        environment = {
            # Where jsii and uv keep what they have unpacked and downloaded.
            "HOME": os.environ["HOME"],
            **NO_PERSON,
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), str(program.parent), os.defpath]),
            "AWS_ENDPOINT_URL": self.ready.endpoint,
            "AWS_ACCESS_KEY_ID": self.ready.access_key,
            "AWS_SECRET_ACCESS_KEY": self.ready.secret_key,
            "AWS_REGION": self.ready.region,
            "CDK_DISABLE_CLI_TELEMETRY": "1",
        }
        return subprocess.run(
            [str(program), str(CLI), "--no-notices", "--no-color", "--ci", *arguments],
            cwd=project,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS * 2,
            check=False,
        )


@contextmanager
def account(folder: Path) -> Iterator[Cdk]:
    """An embedded AWS with nothing in it. A wait of a second between two tries lasts a millisecond."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("SLUICE_WAIT_SCALE", "0.001")
        with embedded(folder / "aws.log", folder, port=0, allowed=folder / ALLOWED) as ready:
            yield Cdk(ready, folder)


@contextmanager
def deployed(folder: Path, **context: str) -> Iterator[Deployment]:
    """Deploys both stacks in that context of the app."""
    with account(folder) as cdk:
        cdk.prepare(context)
        cdk.deploy()
        yield Deployment(cdk.ready, folder)


def until(look: Callable[[], _T], found: Callable[[_T], bool], seconds: float = SECONDS) -> _T:
    """What `look` gives as soon as it is what `found` asks for."""
    deadline = time.monotonic() + seconds
    while not found(seen := look()):
        assert time.monotonic() < deadline, f"after {seconds:g} s it is still {seen}"
        time.sleep(0.01)
    return seen
