"""A job as AWS knows it: its execution, its Map Run's counts, and the summary it leaves."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from jobs import names
from jobs.errors import CommandError, code_of, message_of
from jobs.objects import read
from jobs.outcomes import readable_cause
from jobs.records import DataSet
from jobs.stack import Stack
from jobs.text import parsed, shortened
from lambda_src.contract import PARTS_STORED, REFUSED_STORED, Json, format_of, job_prefix, run_label, summary_key

RUNNING = ("RUNNING", "PENDING_REDRIVE")


@dataclass(frozen=True)
class Counts:
    """Records of a job under way, by how their batches stand."""

    total: int
    done: int
    failed: int

    def document(self) -> dict[str, Json]:
        return {"total": self.total, "done": self.done, "failed": self.failed}


@dataclass(frozen=True)
class Job:
    """One job. Times are ISO 8601 in UTC; `summary` is what Summarize wrote, if it came so far."""

    id: str
    status: str
    started: str | None
    ended: str | None
    input: dict[str, Json]
    error: str | None
    cause: str | None
    summary: dict[str, Json] | None

    @property
    def running(self) -> bool:
        return self.status in RUNNING

    @property
    def succeeded(self) -> bool:
        return self.status == "SUCCEEDED"

    def data_set(self, stack: Stack) -> DataSet:
        """What the job reads. Raises `CommandError` when its input names none."""
        given = self.input.get("dataset")
        given = given if isinstance(given, dict) else {}
        place = given.get("prefix") or given.get("key")
        if not isinstance(place, str):
            raise CommandError(f"job {self.id} names no data set, so there is nothing to read")
        told = (self.summary or {}).get("dataset", {}).get("format") or self.input.get("format")
        form = "objects" if given.get("prefix") else str(told or format_of(place) or "csv")
        version = given.get("version")
        return DataSet(stack.s3, stack.bucket, place, form, version if isinstance(version, str) else None)

    def document(self, stack: Stack, live: Counts | None) -> dict[str, Json]:
        """The job as one JSON document."""
        return {
            "job": self.id,
            "status": self.status,
            "startedAt": self.started,
            "endedAt": self.ended,
            "parent": self.input.get("parent"),
            "dataset": self.input.get("dataset"),
            "error": self.error,
            "cause": self.cause,
            "live": live.document() if live else None,
            "summary": self.summary,
            "outputs": stack.uri(f"{job_prefix(self.id)}/"),
        }


def find(stack: Stack, job: str) -> Job:
    """The job of that id. Raises `CommandError` when there is none.

    Step Functions forgets an execution after 90 days; its summary in S3 stays.
    https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
    """
    if not names.possible(job):
        raise _unknown(stack, job)
    try:
        execution: dict[str, Any] = stack.states.describe_execution(executionArn=stack.execution_arn(job))
    except ClientError as error:
        if code_of(error) not in ("ExecutionDoesNotExist", "InvalidArn", "ValidationException"):
            raise
        if code_of(error) == "ExecutionDoesNotExist" and (summary := _summary(stack, job)):
            return _of_summary(job, summary)
        raise _unknown(stack, job) from error
    summary = None if execution["status"] in RUNNING else _summary(stack, job)
    try:
        given = parsed(execution.get("input") or "{}")
    except ValueError:  # deeper than Python reads; Step Functions may have taken it all the same
        given = {}
    return Job(
        job,
        execution["status"],
        _iso(execution["startDate"]),
        _iso(execution.get("stopDate")),
        given if isinstance(given, dict) else {},
        execution.get("error"),
        readable_cause(execution["cause"]) if execution.get("cause") else None,
        summary,
    )


def _unknown(stack: Stack, job: str) -> CommandError:
    return CommandError(f"there is no job {shortened(job)!r} in stack {stack.name}: python -m jobs list shows them")


def exists(stack: Stack, job: str) -> bool:
    """Whether an execution of that name is known."""
    try:
        stack.states.describe_execution(executionArn=stack.execution_arn(job))
    except ClientError as error:
        if code_of(error) == "ExecutionDoesNotExist":
            return False
        raise
    return True


def live(stack: Stack, job: str) -> Counts | None:
    """The counts of the Map Run over the job's records, None before it has one."""
    execution = stack.execution_arn(job)
    pages = stack.states.get_paginator("list_map_runs").paginate(executionArn=execution)
    runs = [run["mapRunArn"] for page in pages for run in page["mapRuns"]]
    runs = [run for run in runs if run_label(run) not in (PARTS_STORED, REFUSED_STORED)]
    if not runs:
        return None
    return counts_of(stack.states.describe_map_run(mapRunArn=runs[0])["itemCounts"])


def counts_of(items: dict[str, int]) -> Counts:
    """The item counts of DescribeMapRun."""
    failed = items["failed"] + items["timedOut"] + items["aborted"]
    return Counts(items["total"], items["succeeded"] + failed, failed)


def stop(stack: Stack, job: Job) -> bool:
    """Stops the job; False when it had ended before."""
    if not job.running:
        return False
    try:
        stack.states.stop_execution(
            executionArn=stack.execution_arn(job.id), error="Stopped", cause="stopped with python -m jobs stop"
        )
    except ClientError as error:
        if "not running" in message_of(error).lower():
            return False
        raise
    return True


def _summary(stack: Stack, job: str) -> dict[str, Json] | None:
    body = read(stack.s3, stack.bucket, summary_key(job))
    return None if body is None else dict(json.loads(body))


def _of_summary(job: str, summary: dict[str, Json]) -> Job:
    given = {"dataset": summary.get("dataset"), "parent": summary.get("parent")}
    return Job(
        job,
        str(summary["status"]),
        summary.get("startedAt"),
        summary.get("endedAt"),
        given,
        summary.get("error"),
        summary.get("cause"),
        summary,
    )


def _iso(time: datetime | None) -> str | None:
    return None if time is None else time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
