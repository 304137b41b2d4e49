"""Summarize: counts what became of a job's records, checks that the counts add up, and stores them once."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from lambda_src import contract, storage
from lambda_src.contract import Json, SummaryMismatch

NOT_STARTED = "NotStarted"
"""The error that counts the records of batches that failed without one: never started, or stopped."""


@dataclass
class Tally:
    """What the result files of a Map Run add up to; records, batches, model calls and retries."""

    predicted: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    batches: int = 0
    calls: int = 0
    retries: int = 0

    def add_child(self, child: dict[str, Json]) -> None:
        """Adds one batch that succeeded. Raises `SummaryMismatch` when it does not add up by itself."""
        if child["received"] != child["predicted"] + sum(child["rejected"].values()):
            raise SummaryMismatch(
                f"the batch at index {child['first']} received other records than it tells of: {child}"
            )
        self.batches += 1
        self.predicted += child["predicted"]
        self.rejected.update(child["rejected"])
        self.calls += child["calls"]
        self.retries += child["retries"]


def handler(event: Json, context: object) -> dict[str, Any]:
    """The summary, once it is stored at `contract.summary_key`.

    The event is `{"job", "failure", "mapRun", "startedAt", "endedAt"}`: `job` as CheckJob settled it, `failure`
    the Map's error (`{"Error", "Cause"}`) or false, `mapRun` what DescribeMapRun said, or false where none began.
    Raises `contract.SummaryMismatch`, `contract.ResultConflict` and `storage.S3Unavailable`.
    """
    job, failure, map_run = event["job"], event["failure"], event["mapRun"]
    counts = map_run["ItemCounts"] if map_run else {}
    executions = map_run["ExecutionCounts"] if map_run else {}
    manifest = manifest_of(job, map_run) if map_run else None
    tally = tally_of(manifest)
    failed = sum(counts.get(kind, 0) for kind in ("Failed", "TimedOut", "Aborted", "Pending", "Running"))
    records = {
        "in": counts.get("Total", 0),
        "predicted": tally.predicted,
        "rejected": tally.rejected.total(),
        "failed": failed,
    }
    try:
        check(records, tally, executions.get("Succeeded", 0))
    except SummaryMismatch as problem:
        said = [str(problem)]
        if map_run and manifest is None:
            said.append(f"found no manifest that can be read at s3://{job['bucket']}/{manifest_key(job, map_run)}")
        if failure:
            said.append(f"the Map had failed with {failure['Error']}: {failure.get('Cause', '')}")
        raise SummaryMismatch("; ".join(said)) from problem
    tally.failed[NOT_STARTED] += failed - tally.failed.total()
    uri = f"s3://{job['bucket']}/{job['prefix']}"
    summary = {
        "job": job["id"],
        "status": "FAILED" if failure else "SUCCEEDED",
        "error": failure["Error"] if failure else None,
        "cause": failure.get("Cause", "") if failure else None,
        "parent": job["parent"],
        "dataset": {**job["dataset"], "format": job["format"], "bytes": job["bytes"]},
        "records": records,
        "rejected": ordered(tally.rejected),
        "failed": ordered(tally.failed),
        "batches": {
            "total": executions.get("Total", 0),
            "succeeded": tally.batches,
            "failed": executions.get("Total", 0) - tally.batches,
        },
        "modelCalls": tally.calls,
        "retries": tally.retries,
        "startedAt": event["startedAt"],
        "endedAt": event["endedAt"],
        "model": os.environ["MODEL_VERSION"],
        "template": os.environ["TEMPLATE_VERSION"],
        "outputs": {
            "predictions": f"{uri}/predictions/",
            "rejected": f"{uri}/rejected/",
            "map": f"s3://{job['bucket']}/{manifest_key(job, map_run)}" if manifest else None,
        },
    }
    body = json.dumps(summary, ensure_ascii=False, indent=1).encode()
    storage.put_once(contract.summary_key(job["id"]), body, "application/json")
    print(f"{records['in']} records: {tally.predicted} predicted, {records['rejected']} rejected, {failed} failed")
    return summary


def check(records: dict[str, int], tally: Tally, succeeded: int) -> None:
    """Raises `SummaryMismatch` unless each record is predicted, rejected or failed, once."""
    if records["in"] != records["predicted"] + records["rejected"] + records["failed"]:
        raise SummaryMismatch(f"expected records in = predicted + rejected + failed, counted {records}")
    if tally.batches != succeeded:
        raise SummaryMismatch(f"expected the results of {succeeded} batches that succeeded, found {tally.batches}")
    if tally.failed.total() > records["failed"]:
        raise SummaryMismatch(f"expected {records['failed']} failed records, found {dict(tally.failed)}")


def ordered(counts: Counter[str]) -> dict[str, int]:
    """The counts that are not 0, the largest first, so that the same counts are the same bytes."""
    return {name: count for name, count in sorted(counts.items(), key=lambda it: (-it[1], it[0])) if count}


def manifest_key(job: dict[str, Json], map_run: dict[str, Json]) -> str:
    """Where the ResultWriter left its manifest: in a folder named after the run.

    https://docs.aws.amazon.com/step-functions/latest/dg/input-output-resultwriter.html
    """
    return f"{job['mapPrefix']}/{map_run['MapRunArn'].rpartition(':')[2]}/manifest.json"


def manifest_of(job: dict[str, Json], map_run: dict[str, Json]) -> dict[str, Json] | None:
    """The manifest; None when the run ended before it could write one."""
    try:
        return dict(json.loads(storage.read(manifest_key(job, map_run))))
    except ClientError as error:
        if storage.code_of(error) in storage.UNREADABLE:
            return None
        raise


def tally_of(manifest: dict[str, Json] | None) -> Tally:
    """What the run's result files add up to, read line by line."""
    tally = Tally()
    files = manifest["ResultFiles"] if manifest else {}
    for child in rows(files.get("SUCCEEDED", [])):
        tally.add_child(child)
    for child in rows(files.get("FAILED", [])):
        # Where a child was stopped with the others, it has no error of its own.
        tally.failed[child.get("Error") or NOT_STARTED] += len(json.loads(child["Input"])["Items"])
    return tally


def rows(files: list[dict[str, Json]]) -> Iterator[dict[str, Json]]:
    """The children in these files of JSON Lines."""
    for file in files:
        for line in storage.lines(file["Key"]):
            if line.strip():
                yield json.loads(line)
