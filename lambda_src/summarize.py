"""Summarize: counts what became of a job's records, checks that the counts add up, and stores them once."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any

from botocore.exceptions import ClientError

from lambda_src import contract, metrics, storage
from lambda_src.contract import Json, SummaryMismatch, brief

NOT_STARTED = "NotStarted"
"""The error that counts the records of batches that failed without one: never started, or stopped."""


COUNTED = frozenset({"first", "received", "predicted", "rejected", "calls", "retries"})
"""What StoreResults tells of a batch."""


@dataclass
class Stored:
    """What lies in S3 of one batch: predicted records, and rejected ones by error."""

    predicted: int
    rejected: Counter[str]


@dataclass
class Tally:
    """What the result files of a Map Run add up to; records, batches, model calls and retries."""

    predicted: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    kept: int = 0
    """Records of batches that failed, and whose outcome was stored before: they have not failed."""
    batches: int = 0
    calls: int = 0
    retries: int = 0

    def add_failed(self, child: dict[str, Json], stored: Stored) -> None:
        """Adds one batch that failed, and what it had stored of its records before."""
        # Where a child was stopped with the others, it has no error of its own.
        name = child.get("Error") or NOT_STARTED
        kept = stored.predicted + stored.rejected.total()
        self.predicted += stored.predicted
        self.rejected.update(stored.rejected)
        self.failed[name] += len(json.loads(child["Input"])["Items"]) - kept
        self.kept += kept

    def add_child(self, child: dict[str, Json]) -> None:
        """Adds one batch that succeeded. Raises `SummaryMismatch` when it does not add up by itself."""
        if not isinstance(child, dict) or not child.keys() >= COUNTED:
            raise SummaryMismatch(f"expected {', '.join(sorted(COUNTED))} of each batch, received {brief(child)}")
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
    tally = tally_of(manifest, job["prefix"])
    unsuccessful = sum(counts.get(kind, 0) for kind in ("Failed", "TimedOut", "Aborted", "Pending", "Running"))
    failed = unsuccessful - tally.kept
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
    publish(summary)
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


def publish(summary: dict[str, Any]) -> None:
    """The job's metrics."""
    records, batches = summary["records"], summary["batches"]
    values = {f"Records{outcome.title()}": records[outcome] for outcome in ("predicted", "rejected", "failed")}
    values |= {"Batches": batches["total"], "BatchesFailed": batches["failed"]}
    values |= {"ModelCalls": summary["modelCalls"], "Retries": summary["retries"]}
    if records["in"]:
        values["RejectedShare"] = 100 * records["rejected"] / records["in"]
    metrics.publish("Job", values)


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


def tally_of(manifest: dict[str, Json] | None, prefix: str) -> Tally:
    """What the run's result files add up to, read line by line, with what its failed batches left under `prefix`."""
    tally = Tally()
    files = manifest["ResultFiles"] if manifest else {}
    for child in rows(files.get("SUCCEEDED", [])):
        tally.add_child(child)
    with ThreadPoolExecutor(max_workers=storage.THREADS) as threads:
        unsuccessful = rows(files.get("FAILED", []))
        while children := list(islice(unsuccessful, storage.THREADS)):
            for child, stored in zip(children, threads.map(partial(stored_of, prefix), children), strict=True):
                tally.add_failed(child, stored)
    return tally


def stored_of(prefix: str, child: dict[str, Json]) -> Stored:
    """What a batch that failed has stored all the same: its last step writes two objects, one after the other."""
    first = json.loads(child["Input"])["Items"][0]["index"]
    predicted = part(contract.part_key(prefix, "predictions", first))
    rejected = part(contract.part_key(prefix, "rejected", first))
    return Stored(len(predicted), Counter(row["error"] for row in rejected))


def part(key: str) -> list[dict[str, Json]]:
    """The lines of a part; none where there is none."""
    try:
        return list(contract.read_json_lines(storage.read(key)))
    except ClientError as error:
        if storage.code_of(error) in storage.UNREADABLE:
            return []
        raise


def rows(files: list[dict[str, Json]]) -> Iterator[dict[str, Json]]:
    """The children in these files of JSON Lines."""
    for file in files:
        for line in storage.lines(file["Key"]):
            if line.strip():
                yield json.loads(line)
