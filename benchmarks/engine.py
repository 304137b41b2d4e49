"""The states engine beside MiniStack's own Step Functions: the same machines, the same functions, in one run."""

from __future__ import annotations

import io
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from local.embedded import clean_environment, embedded, end

Json = Any

HANDLER = "def handler(event, context):\n    return {'seen': event['n'] + 1, 'n': event['n'] + 1}\n"
CALLS = 1_000


@dataclass(frozen=True)
class Measured:
    """Seconds, the median of several runs: one execution of three functions, and a Map of 1,000 function calls."""

    three_functions: float
    map_of_calls: float


def measure(endpoint: str, key: str, secret: str, *, rounds: int, map_rounds: int) -> Measured:
    """Deploys three functions and both machines to an embedded AWS, warms them up, and times executions."""
    aws = _Aws(endpoint, key, secret)
    names = [aws.function(f"step-{number}") for number in range(3)]
    chain = aws.machine("three-functions", _chain(names))
    fan_out = aws.machine("map-of-calls", _map(names[0]))
    aws.run(chain, {"n": 0})
    aws.run(fan_out, {"items": list(range(8))})
    items = {"items": list(range(CALLS))}
    return Measured(
        statistics.median(aws.run(chain, {"n": 0}) for _ in range(rounds)),
        statistics.median(aws.run(fan_out, items) for _ in range(map_rounds)),
    )


def compare() -> tuple[Measured, Measured]:
    """(ours, MiniStack's own), one after the other on the same machine."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "server.log"
        with embedded(log, Path(folder) / "data", 0) as ready:
            ours = measure(ready.endpoint, ready.access_key, ready.secret_key, rounds=50, map_rounds=5)
        with _ministack(Path(folder)) as endpoint:
            theirs = measure(endpoint, "test", "test", rounds=5, map_rounds=1)
    return ours, theirs


class _Aws:
    def __init__(self, endpoint: str, key: str, secret: str) -> None:
        make: Any = boto3.client
        options = {
            "endpoint_url": endpoint,
            "region_name": "us-east-1",
            "aws_access_key_id": key,
            "aws_secret_access_key": secret,
            "config": Config(read_timeout=120),
        }
        self._iam, self._functions = make("iam", **options), make("lambda", **options)
        self._states = make("stepfunctions", **options)
        self._roles = {service: self._role(service) for service in ("lambda", "states")}

    def _role(self, service: str) -> str:
        principal = {"Service": f"{service}.amazonaws.com"}
        trust = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
        allow = {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": "*"}
        role = self._iam.create_role(
            RoleName=service, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        )
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
        self._iam.put_role_policy(RoleName=service, PolicyName="calls", PolicyDocument=policy)
        return str(role["Role"]["Arn"])

    def function(self, name: str) -> str:
        """The ARN of a new function that adds one."""
        code = io.BytesIO()
        with zipfile.ZipFile(code, "w") as archive:
            archive.writestr("step.py", HANDLER)
        made = self._functions.create_function(
            FunctionName=name,
            Runtime=f"python{sys.version_info.major}.{sys.version_info.minor}",
            Handler="step.handler",
            Role=self._roles["lambda"],
            Code={"ZipFile": code.getvalue()},
        )
        return str(made["FunctionArn"])

    def machine(self, name: str, definition: Json) -> str:
        """The ARN of a new Standard machine."""
        made = self._states.create_state_machine(
            name=name, definition=json.dumps(definition), roleArn=self._roles["states"]
        )
        return str(made["stateMachineArn"])

    def run(self, machine: str, value: Json) -> float:
        """Seconds from start to stop, as the service itself tells them."""
        arn = self._states.start_execution(stateMachineArn=machine, input=json.dumps(value))["executionArn"]
        deadline = time.monotonic() + 120
        while (told := self._states.describe_execution(executionArn=arn))["status"] == "RUNNING":
            if time.monotonic() > deadline:
                raise TimeoutError(arn)
            time.sleep(0.005)
        if told["status"] != "SUCCEEDED":
            raise RuntimeError(f"{arn}: {told.get('error')}: {told.get('cause')}")
        return float((told["stopDate"] - told["startDate"]).total_seconds())


def _call(function: str) -> Json:
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Arguments": {"FunctionName": function, "Payload": "{% $states.input %}"},
        "Output": "{% $states.result.Payload %}",
    }


def _chain(functions: list[str]) -> Json:
    states = {
        f"Step{index}": {**_call(name), **({"Next": f"Step{index + 1}"} if index < 2 else {"End": True})}
        for index, name in enumerate(functions)
    }
    return {"QueryLanguage": "JSONata", "StartAt": "Step0", "States": states}


def _map(function: str) -> Json:
    processor = {
        "ProcessorConfig": {"Mode": "INLINE"},
        "StartAt": "Call",
        "States": {"Call": {**_call(function), "End": True}},
    }
    fan_out = {
        "Type": "Map",
        "Items": "{% $states.input.items %}",
        "ItemSelector": {"n": "{% $states.context.Map.Item.Value %}"},
        "ItemProcessor": processor,
        "Output": {"calls": "{% $count($states.result) %}"},
        "End": True,
    }
    return {"QueryLanguage": "JSONata", "StartAt": "Calls", "States": {"Calls": fan_out}}


@contextmanager
def _ministack(folder: Path) -> Iterator[str]:
    """MiniStack as it comes, with its own Step Functions and its own functions."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = clean_environment(
        folder,
        GATEWAY_PORT=str(port),
        BIND_HOST="127.0.0.1",
        LAMBDA_EXECUTOR="local",
        LOG_LEVEL="WARNING",
        IOT_MTLS_ENABLED="0",
    )
    program = Path(sys.executable).with_name("ministack")
    with (folder / "ministack.log").open("wb") as log:
        server = subprocess.Popen(  # noqa: S603 - MiniStack's own program
            [str(program)], env=environment, cwd=folder, stdout=log, stderr=log, start_new_session=True
        )
    try:
        _wait_for(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        end(server)


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return
