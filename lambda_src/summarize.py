"""Summarize: counts what became of a job's records, checks that the counts add up, and stores them once."""

from __future__ import annotations

import json
import os
from collections import Counter
from typing import Any

from lambda_src import contract, metrics, storage, transformed
from lambda_src.contract import Json, SummaryMismatch
from lambda_src.tally import counted, manifest_key


def handler(event: Json, context: object) -> dict[str, Any]:
    """The summary, once it is stored at `contract.summary_key`.

    The event is `{"job", "failure", "mapRun", "startedAt", "endedAt"}`: `job` as CheckJob settled it, `failure`
    the Map's error (`{"Error", "Cause"}`) or false, `mapRun` what DescribeMapRun said, or false where none began.
    In mode transform it has `mapRuns` instead, a list of all (see `lambda_src.transformed`).
    Raises `contract.SummaryMismatch`, `contract.ResultConflict` and `storage.S3Unavailable`.
    """
    job, failure = event["job"], event["failure"]
    try:
        if "mapRuns" in event:
            map_run, manifest, tally = transformed.counted(job, event["mapRuns"], failed=bool(failure))
        else:
            map_run, manifest, tally = counted(job, event["mapRun"])
    except SummaryMismatch as problem:
        if not failure:
            raise
        cause = failure.get("Cause", "")
        raise SummaryMismatch(f"{problem}; the job had failed with {failure['Error']}: {cause}") from problem
    executions = map_run["ExecutionCounts"] if map_run else {}
    records = {
        "in": map_run["ItemCounts"]["Total"] if map_run else 0,
        "predicted": tally.predicted,
        "rejected": tally.rejected.total(),
        "failed": tally.failed.total(),
    }
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
    print(", ".join(f"{count} {outcome}" for outcome, count in records.items()))
    return summary


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
