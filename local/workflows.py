"""Starts the deployed workflows through AWS's APIs, waits for them, and reads their results."""

import json
import time
import uuid
from dataclasses import asdict, dataclass
from typing import Any

import boto3

from local.failure import CommandError
from local.server import Ready

Json = Any
STACKS = ("MlWorkflowStack", "InferenceStack")


@dataclass(frozen=True)
class Run:
    """One finished execution. `predictions` are {"id", "index", "prediction"}; `results` is where they lie."""

    workflow: str
    execution: str
    seconds: float
    predictions: list[Json]
    rejected: list[Json]
    results: str | None

    def document(self) -> Json:
        return asdict(self)


class Account:
    """The embedded AWS as any AWS tool sees it."""

    def __init__(self, ready: Ready) -> None:
        self._ready = ready

    def client(self, service: str) -> Any:
        make: Any = boto3.client  # its stub has an overload a service, and the name is not literal here
        return make(
            service,
            endpoint_url=self._ready.endpoint,
            region_name=self._ready.region,
            aws_access_key_id=self._ready.access_key,
            aws_secret_access_key=self._ready.secret_key,
        )

    def outputs(self, stack: str) -> dict[str, str]:
        """The stack's outputs by name."""
        described = self.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
        return {output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", [])}

    def run(self, stack: str, request: Json) -> Run:
        """Runs the stack's workflow on a request. Raises CommandError when the execution fails."""
        states = self.client("stepfunctions")
        machine = self.outputs(stack)["StateMachineArn"]
        start = time.monotonic()
        execution = states.start_execution(
            stateMachineArn=machine, name=f"run-{uuid.uuid4().hex[:12]}", input=json.dumps(request)
        )["executionArn"]
        while (done := states.describe_execution(executionArn=execution))["status"] == "RUNNING":
            time.sleep(0.02)
        seconds = time.monotonic() - start
        if done["status"] != "SUCCEEDED":
            reason = f"{done.get('error', done['status'])}: {done.get('cause', 'no cause given')}"
            raise CommandError(f"the execution of {stack} failed with {reason} ({execution})")
        output = json.loads(done["output"])
        results = output.get("results")
        predictions = output["predictions"] if "predictions" in output else self._stored(results)
        return Run(stack, execution, round(seconds, 3), predictions, output["rejected"], results)

    def _stored(self, uri: str | None) -> list[Json]:
        """The predictions in the object at an s3:// address; None stands for no object, as none were made."""
        if uri is None:
            return []
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        body = self.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
        return [json.loads(line) for line in body.decode().splitlines()]
