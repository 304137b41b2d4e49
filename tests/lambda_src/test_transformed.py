"""The Map Runs of a job in mode transform: each record counted once, whichever run its batch ended in."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lambda_src import contract, summarize
from lambda_src.contract import SummaryMismatch
from tests.lambda_src.bucket import Bucket

Json = Any
KINDS = ("Failed", "TimedOut", "Aborted", "Pending", "Running", "Succeeded")
FAILURE = {"Error": "States.ExceedToleratedFailureThreshold", "Cause": "too many"}


@pytest.fixture(autouse=True)
def versions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_VERSION", "m1")
    monkeypatch.setenv("TEMPLATE_VERSION", "t1")


def run(data: Bucket, label: str, succeeded: list[Json], failed: list[Json] | None = None, **counts: int) -> Json:
    """A Map Run as DescribeMapRun tells it, with its result files."""
    folder = f"jobs/first/map/{label}"
    files: dict[str, list[Json]] = {"SUCCEEDED": [], "FAILED": [], "PENDING": []}
    for kind, rows in (("SUCCEEDED", succeeded), ("FAILED", failed or [])):
        if rows:
            data.objects[f"{folder}/{kind}_0.jsonl"] = contract.json_lines(rows)
            files[kind].append({"Key": f"{folder}/{kind}_0.jsonl", "Size": 1})
    data.objects[f"{folder}/manifest.json"] = json.dumps({"ResultFiles": files}).encode()
    children = {"Succeeded": len(succeeded), "Failed": len(failed or []), "Total": len(succeeded) + len(failed or [])}
    return {
        "MapRunArn": f"arn:aws:states:us-east-1:000000000000:mapRun:machine/{label}:{label}",
        "ItemCounts": dict.fromkeys(KINDS, 0) | children | counts,
        "ExecutionCounts": dict.fromkeys(KINDS, 0) | children,
    }


def stored(first: int, predicted: int, calls: int = 1, **rejected: int) -> Json:
    received = predicted + sum(rejected.values())
    return {
        "first": first, "received": received, "predicted": predicted, "rejected": rejected, "calls": calls,
        "retries": 0,
    }  # fmt: skip


def again(first: int) -> Json:
    return {"first": first, "again": f"transform/jobs/first/again/parts/part-{first:012d}.json"}


def unprepared(first: int, count: int, error: str | None = "Lambda.ServiceException") -> Json:
    items = [{"index": first + number} for number in range(count)]
    return {"Input": json.dumps({"Items": items}), "Status": "FAILED", **({"Error": error} if error else {})}


def unstored(data: Bucket, first: int, count: int, error: str = "TransformFailed") -> Json:
    key = f"transform/jobs/first/first/parts/part-{first:012d}.json"
    data.objects[key] = json.dumps({"first": first, "ids": ["id"] * (count - 1), "rejected": [{}]}).encode()
    return {"Input": json.dumps({"key": key}), "Status": "FAILED", "Error": error}


def summary(*runs: Json, failure: Json = False) -> Json:
    job = {
        "id": "first",
        "bucket": "data",
        "dataset": {"key": "incoming/set.csv"},
        "format": "csv",
        "bytes": 10,
        "parent": None,
        "prefix": "jobs/first",
        "mapPrefix": "jobs/first/map",
    }
    times = {"startedAt": "2026-01-01T00:00:00.000Z", "endedAt": "2026-01-01T00:01:00.000Z"}
    return summarize.handler({"job": job, "failure": failure, "mapRuns": list(runs), **times}, None)


def test_batches_count_where_they_were_stored_at_last(data: Bucket) -> None:
    told = summary(
        run(data, "StoreRefused", [stored(10, 9, calls=11, ModelRefused=1)]),
        run(data, "CsvRecords", [{}, {}, {}], Total=30, Succeeded=30),
        run(data, "StoreParts", [stored(0, 8, NotANumber=2), again(10), stored(20, 10)]),
    )
    assert told["records"] == {"in": 30, "predicted": 27, "rejected": 3, "failed": 0}
    assert told["rejected"] == {"NotANumber": 2, "ModelRefused": 1}
    assert told["batches"] == {"total": 3, "succeeded": 3, "failed": 0}
    assert told["modelCalls"] == 13
    assert told["outputs"]["map"] == "s3://data/jobs/first/map/CsvRecords/manifest.json"


def test_what_could_not_be_prepared_or_stored_has_failed_with_its_error(data: Bucket) -> None:
    told = summary(
        run(data, "CsvRecords", [{}, {}, {}], [unprepared(0, 10)], Total=40),
        run(data, "StoreParts", [stored(10, 10), again(20)], [unstored(data, 30, 10)]),
        run(data, "StoreRefused", [], [unstored(data, 20, 10, "PredictionCountMismatch")]),
        failure=FAILURE,
    )
    assert told["status"] == "FAILED"
    assert told["records"] == {"in": 40, "predicted": 10, "rejected": 0, "failed": 30}
    assert told["failed"] == {"Lambda.ServiceException": 10, "PredictionCountMismatch": 10, "TransformFailed": 10}
    assert told["batches"] == {"total": 4, "succeeded": 1, "failed": 3}


def test_a_batch_that_was_prepared_while_its_answer_was_lost_is_counted_once(data: Bucket) -> None:
    told = summary(
        run(data, "CsvRecords", [{}], [unprepared(10, 10)], Total=20),
        run(data, "StoreParts", [stored(0, 10), stored(10, 10)]),
    )
    assert told["records"] == {"in": 20, "predicted": 20, "rejected": 0, "failed": 0}


def test_what_a_batch_had_stored_before_its_answer_was_lost_has_not_failed(data: Bucket) -> None:
    rows = [{"index": number, "prediction": {}} for number in range(9)]
    data.objects["jobs/first/predictions/part-000000000000.jsonl"] = contract.json_lines(rows)
    told = summary(
        run(data, "CsvRecords", [{}], Total=10), run(data, "StoreParts", [], [unstored(data, 0, 10)]), failure=FAILURE
    )
    assert told["records"] == {"in": 10, "predicted": 9, "rejected": 0, "failed": 1}


def test_records_that_no_transform_job_was_run_for_have_failed(data: Bucket) -> None:
    failure = {"Error": "SageMaker.AmazonSageMakerException", "Cause": "no instances"}
    told = summary(run(data, "CsvRecords", [{}], Total=10), failure=failure)
    assert told["records"] == {"in": 10, "predicted": 0, "rejected": 0, "failed": 10}
    assert told["failed"] == {"NotStarted": 10}
    assert told["error"] == "SageMaker.AmazonSageMakerException"


def test_a_job_without_a_map_run_has_no_records(data: Bucket) -> None:
    told = summary(failure=FAILURE)
    assert told["records"] == {"in": 0, "predicted": 0, "rejected": 0, "failed": 0}
    assert told["outputs"]["map"] is None


def test_a_record_without_an_outcome_in_a_job_that_did_not_fail_is_a_mismatch(data: Bucket) -> None:
    with pytest.raises(SummaryMismatch, match="one outcome of each of 20 records"):
        summary(run(data, "CsvRecords", [{}, {}], Total=20), run(data, "StoreParts", [stored(0, 10), again(10)]))


def test_more_outcomes_than_records_are_a_mismatch_whatever_happened(data: Bucket) -> None:
    with pytest.raises(SummaryMismatch, match="one outcome of each of 10 records"):
        summary(
            run(data, "CsvRecords", [{}], Total=10),
            run(data, "StoreParts", [stored(0, 10), stored(10, 10)]),
            failure=FAILURE,
        )


def test_a_run_that_lost_its_results_is_a_mismatch_that_names_its_manifest(data: Bucket) -> None:
    runs = [run(data, "CsvRecords", [{}], Total=10), run(data, "StoreParts", [stored(0, 10)])]
    del data.objects["jobs/first/map/StoreParts/manifest.json"]
    with pytest.raises(SummaryMismatch, match=r"1 batches of StoreParts, found 0; .*map/StoreParts/manifest\.json"):
        summary(*runs)
