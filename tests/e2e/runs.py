"""Runs that use every grant there is a use for here: requests, jobs, a new model, a line in each log."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.exceptions import ClientError

from jobs import uploads
from jobs.names import generated
from jobs.objects import keys, read
from lambda_src import contract
from lambda_src.contract import job_prefix, summary_key
from model import examples, train
from tests.e2e.client import Client
from tests.e2e.deployment import Deployment, Execution
from tests.injection import faults


class Requests:
    """Everything that the grants are for, done once more: a run of the workflow, a new model, a line in each log."""

    def __init__(self, deployment: Deployment, record: dict[str, Any], stored: bytes) -> None:
        self._deployment = deployment
        self._record = record
        self._stored = stored

    def workflow(self, stack: str) -> Execution:
        """A run that finds its own result in the bucket, so that StoreResults both writes and reads."""
        name = uuid.uuid4().hex
        if stack == "InferenceStack":
            bucket = self._deployment.outputs[stack]["ResultsBucketUri"].removeprefix("s3://")
            key = contract.part_key(contract.request_prefix(name), "predictions", 0)
            self._deployment.client("s3").put_object(Bucket=bucket, Key=key, Body=self._stored)
        return self._deployment.execute(stack, {"records": [self._record]}, name)

    def provoke_model(self) -> None:
        """Makes the model's code raise an error, which goes into the endpoint's log."""
        runtime = self._deployment.client("sagemaker-runtime")
        name = self._deployment.outputs["InferenceStack"]["EndpointName"]
        with pytest.raises(ClientError, match="ModelError"):
            runtime.invoke_endpoint(EndpointName=name, Body=b"{", ContentType="application/json")

    def forget_logs(self, group: str, *, whole: bool) -> None:
        """Empties a log group; with `whole`, it goes too."""
        logs = self._deployment.client("logs")
        if not self.has_log(group):
            return
        for stream in logs.describe_log_streams(logGroupName=group)["logStreams"]:
            logs.delete_log_stream(logGroupName=group, logStreamName=stream["logStreamName"])
        if whole:
            logs.delete_log_group(logGroupName=group)

    def has_log(self, group: str) -> bool:
        """Whether there is a line in the log group."""
        try:
            return bool(self._deployment.client("logs").filter_log_events(logGroupName=group)["events"])
        except ClientError as error:
            if error.response["Error"]["Code"] != "ResourceNotFoundException":
                raise
            return False


class Jobs:
    """A job that uses all grants but those on a listing: one good record, one that is rejected."""

    def __init__(self, client: Client, stack: str) -> None:
        self.client = client
        self.name = stack
        good = examples.records(train.load())[0]
        bad = {**good, "mean area": "vast"}
        self.lines = f"{json.dumps(good)}\n{json.dumps(bad)}\n".encode()
        self.objects = [json.dumps(good).encode(), json.dumps(bad).encode()]
        self.parts: dict[str, bytes] = {}
        self.counts: dict[str, int] = {}
        status, told = self.run(objects=False, first=True)
        assert status == "SUCCEEDED", told

    def run(
        self, *, objects: bool, again: bool = False, summarized: bool = False, first: bool = False
    ) -> tuple[str, str]:
        """The job's status, and all that it says of errors.

        `again`: the results of the `first` lie there already, so that StoreResults reads them. `summarized`: so
        does a summary, another one.
        """
        client, stack = self.client, self.client.stack(self.name)
        job = generated("grant")
        if again:
            for name, body in self.parts.items():
                stack.s3.put_object(Bucket=stack.bucket, Key=f"{job_prefix(job)}/{name}", Body=body)
        if summarized:
            stack.s3.put_object(Bucket=stack.bucket, Key=summary_key(job), Body=b"{}")
        if objects:
            for number, body in enumerate(self.objects):
                client.put(job, f"{number}.json", body, stack)
        key = uploads.incoming_prefix(job) if objects else client.put(job, "records.jsonl", self.lines, stack)
        client.start(job, key, stack)
        ended = client.ended(job, stack)
        self.counts = (ended.summary or {}).get("records", {})
        if first:
            self.parts = client.parts(job, stack)
        told = [f"{ended.error} {ended.cause}"]
        told += [f"{line['error']} {line['cause']}" for line in client.results(job, stack).rejected.values()]
        for key in keys(stack.s3, stack.bucket, f"{job_prefix(job)}/map/"):
            if "/FAILED_" in key:
                told.append((read(stack.s3, stack.bucket, key) or b"").decode())
        return ended.status, "\n".join(told)

    @contextmanager
    def lost_answers(self) -> Iterator[None]:
        """Within it, StoreResults stores what it is given, and its answer is lost: the batch fails all the same."""
        function = self.client.deployment.named(self.name, "StoreResultsFunction")
        store = {"service": "lambda", "action": "Invoke", "resource": f"*:{function}"}
        with faults(self.client.deployment.ready, {**store, "lost": "error"}):
            yield
