"""Starts the deployed workflows and jobs through AWS's APIs, waits for them, and reads their results."""

import json
import time
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from lambda_src.contract import SUBMITTED
from local.failure import CommandError
from local.server import Ready

Json = Any
STACKS = ("MlWorkflowStack", "InferenceStack")
JOB_STACK = "InferenceStack"


@dataclass(frozen=True)
class Run:
    """One finished execution. `predictions` are {"id", "index", "prediction", ...}; `results` is where they lie."""

    workflow: str
    execution: str
    seconds: float
    predictions: list[Json]
    rejected: list[Json]
    results: str | None

    def document(self) -> Json:
        return asdict(self)


@dataclass(frozen=True)
class Job:
    """One finished batch job and its summary: the counts of `jobs/<id>/summary.json`, and where its results lie."""

    dataset: str
    execution: str
    seconds: float
    summary: Json

    def document(self) -> Json:
        return asdict(self)


class Account:
    """The embedded AWS as any AWS tool sees it."""

    def __init__(self, ready: Ready) -> None:
        self._ready = ready

    def client(self, service: str, connections: int = 10) -> Any:
        """A boto3 client as the account's root, for so many requests at once."""
        make: Any = boto3.client  # its stub has an overload a service, and the name is not literal here
        return make(
            service,
            endpoint_url=self._ready.endpoint,
            region_name=self._ready.region,
            aws_access_key_id=self._ready.access_key,
            aws_secret_access_key=self._ready.secret_key,
            config=Config(max_pool_connections=connections),
        )

    def outputs(self, stack: str) -> dict[str, str]:
        """The stack's outputs by name."""
        described = self.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
        return {output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", [])}

    def run(self, stack: str, request: Json) -> Run:
        """Runs the stack's workflow on a request. Raises CommandError when the execution fails."""
        machine = self.outputs(stack)["StateMachineArn"]
        execution, seconds, output = self._execute(stack, machine, _name(), request)
        results = output.get("results")
        predictions = output["predictions"] if "predictions" in output else self._stored(results)
        return Run(stack, execution, seconds, predictions, output["rejected"], results)

    def run_job(self, file: Path) -> Job:
        """Uploads a data set and runs a batch job over it. Raises CommandError when the job fails."""
        outputs, name = self.outputs(JOB_STACK), _name()
        key = f"{SUBMITTED}{name}/{file.name}"
        bucket = outputs["ResultsBucketUri"].removeprefix("s3://").partition("/")[0]
        self.client("s3").upload_file(str(file), bucket, key)
        job = {"dataset": {"key": key}}
        execution, seconds, summary = self._execute(JOB_STACK, outputs["BatchJobArn"], name, job)
        return Job(file.name, execution, seconds, summary)

    def _execute(self, stack: str, machine: str, name: str, value: Json) -> tuple[str, float, Json]:
        """The execution's ARN, the seconds it took, and its output."""
        states = self.client("stepfunctions")
        start = time.monotonic()
        execution = states.start_execution(stateMachineArn=machine, name=name, input=json.dumps(value))["executionArn"]
        while (done := states.describe_execution(executionArn=execution))["status"] == "RUNNING":
            time.sleep(0.02)
        seconds = round(time.monotonic() - start, 3)
        if done["status"] != "SUCCEEDED":
            reason = f"{done.get('error', done['status'])}: {done.get('cause', 'no cause given')}"
            raise CommandError(f"the execution of {stack} failed with {reason} ({execution})")
        return execution, seconds, json.loads(done["output"])

    def _stored(self, uri: str | None) -> list[Json]:
        """The predictions in the object at an s3:// address; None stands for no object, as none were made."""
        if uri is None:
            return []
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        body = self.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
        return [json.loads(line) for line in body.decode().splitlines()]


def _name() -> str:
    return f"run-{uuid.uuid4().hex[:12]}"
