"""One run of a row on the shared deployment: starts it, waits for it, and finds what it left."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from botocore.exceptions import ClientError

from jobs import commands, progress, submit, uploads
from jobs import job as jobs
from jobs.output import Output
from jobs.stack import Stack
from lambda_src import contract
from lambda_src.contract import Json
from local.faults.client import Seen
from tests.e2e.client import Client, Results
from tests.e2e.deployment import Deployment, until
from tests.faults.fault import Over, Sent
from tests.synthesis import unhashed


@dataclass
class Place:
    """Where a row runs, under which execution name. After `wait`, `status`, `error` and `cause` are the run's;
    `seen` tells of the calls made until then; `cleanup` is for what a row has to end in the end."""

    client: Client
    over: Over
    name: str
    sent: Sent
    seen: Seen = field(init=False)
    cleanup: ExitStack = field(default_factory=ExitStack)
    status: str = ""
    error: str | None = None
    cause: str = ""
    output: Json = None
    job: jobs.Job | None = None

    @property
    def deployment(self) -> Deployment:
        return self.client.deployment

    @cached_property
    def stack(self) -> Stack:
        return self.client.stack(self.over.stack)

    @property
    def prefix(self) -> str:
        """Where the run's results lie in the bucket."""
        return contract.job_prefix(self.name) if self.over.is_job else contract.request_prefix(self.name)

    @property
    def source(self) -> str:
        """The data set's key or prefix."""
        incoming = uploads.incoming_prefix(self.name)
        return incoming if self.sent.objects is not None else f"{incoming}{self.sent.file}"

    @property
    def execution_arn(self) -> str:
        if self.over.is_job:
            return self.stack.execution_arn(self.name)
        machine = self.deployment.outputs[self.over.stack]["StateMachineArn"]
        return f"{machine.replace(':stateMachine:', ':execution:')}:{self.name}"

    def physical(self, logical: str) -> str:
        """The physical id of a resource by its logical id without its hash, such as `PreprocessDataFunction`."""
        found = self.deployment.physical[self.over.stack]
        return next(physical for name, physical in found.items() if unhashed(name) == logical)

    def start(self) -> None:
        """Uploads a job's data set, and starts the run; `status` is `REFUSED` where it cannot begin."""
        try:
            if self.over.is_job:
                self._start_job()
            else:
                self.deployment.start(self.over.stack, self.sent.request_text, self.name)
        except ClientError as refusal:
            self.status, self.error = "REFUSED", refusal.response["Error"]["Code"]
            self.cause = refusal.response["Error"]["Message"]

    def _start_job(self) -> None:
        if self.sent.objects is not None:
            for name, body in self.sent.objects.items():
                uploads.put(self.stack, f"{self.source}{name}", body)
        elif self.sent.exists:
            uploads.put(self.stack, self.source, self.sent.data_set)
        self.client.start(self.name, self.source, self.stack, **self.sent.options)

    def wait(self) -> None:
        """Waits for the run's end, and takes down how it ended."""
        if self.status == "REFUSED":
            return
        if self.over.is_job:
            self.job = progress.watch(self.stack, self.name, lambda _counts: None, lambda _seconds: time.sleep(0.02))
            self.status, self.error, self.cause = self.job.status, self.job.error, self.job.cause or ""
            return
        states = self.deployment.client("stepfunctions")
        told: dict[str, Any] = until(
            lambda: states.describe_execution(executionArn=self.execution_arn), lambda it: it["status"] != "RUNNING"
        )
        self.status, self.error, self.cause = told["status"], told.get("error"), told.get("cause", "")
        self.output = json.loads(told.get("output") or "null")

    def exit_status(self) -> int:
        """What `python -m jobs status` gives to the shell."""
        return commands.show_job(self.stack, Output(as_json=True), self.name)

    @cached_property
    def results(self) -> Results:
        """What the run stored, by index, each index once. A workflow without a store has its output instead."""
        if self.over is Over.REQUEST_ML:
            found = Results({}, {})
            for kind, lines in (("predictions", found.predictions), ("rejected", found.rejected)):
                for line in (self.output or {}).get(kind, []):
                    assert line["index"] not in lines, f"{self.name} has index {line['index']} twice"
                    lines[line["index"]] = line
            return found
        return self.client.results_under(self.prefix, self.stack)

    def versions(self) -> dict[str, set[str]]:
        """The ETags of all versions of each object that the run wrote."""
        pages = self.stack.s3.get_paginator("list_object_versions").paginate(
            Bucket=self.stack.bucket, Prefix=f"{self.prefix}/"
        )
        found: dict[str, set[str]] = {}
        for page in pages:
            for version in page.get("Versions", []):
                found.setdefault(version["Key"], set()).add(version["ETag"])
        return found

    def options(self, **changed: Any) -> submit.Options:
        """The job's options, some of them changed."""
        return submit.Options(**{**self.sent.options, **changed})
