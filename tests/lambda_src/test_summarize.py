"""Summarize: counts from result files, sums that must be right, and a summary stored once."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lambda_src import contract, summarize
from lambda_src.contract import ResultConflict, SummaryMismatch
from tests.lambda_src.bucket import Bucket

RUN = "arn:aws:states:us-east-1:000000000000:mapRun:machine/CsvRecords:run-1"
FOLDER = "jobs/first/map/run-1"
FAILURE = {"Error": "States.ExceedToleratedFailureThreshold", "Cause": "too many"}


@pytest.fixture(autouse=True)
def versions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_VERSION", "m1")
    monkeypatch.setenv("TEMPLATE_VERSION", "t1")


def child(first: int, predicted: int, **rejected: int) -> dict[str, Any]:
    received = predicted + sum(rejected.values())
    return {
        "first": first, "received": received, "predicted": predicted, "rejected": rejected, "calls": 2, "retries": 1,
    }  # fmt: skip


def failed(items: int, error: str | None = "SplitLimitReached", first: int = 900) -> dict[str, Any]:
    records = [{"index": first + number} for number in range(items)]
    told = {"Input": json.dumps({"Items": records}), "Status": "FAILED" if error else "ABORTED"}
    return told | ({"Error": error} if error else {})


def write(data: Bucket, succeeded: list[list[Any]], unsuccessful: list[Any] | None = None) -> None:
    """A Map Run's results: a file for each list of children that succeeded, one for those that did not."""
    files: dict[str, list[dict[str, Any]]] = {"SUCCEEDED": [], "FAILED": [], "PENDING": []}
    contents = {f"SUCCEEDED_{number}": rows for number, rows in enumerate(succeeded)}
    for name, rows in {**contents, **({"FAILED_0": unsuccessful} if unsuccessful else {})}.items():
        data.objects[f"{FOLDER}/{name}.jsonl"] = contract.json_lines(rows)
        files[name.split("_")[0]].append({"Key": f"{FOLDER}/{name}.jsonl", "Size": 1})
    data.objects[f"{FOLDER}/manifest.json"] = json.dumps({"ResultFiles": files}).encode()


def event(items: dict[str, int], executions: dict[str, int], failure: Any = False) -> dict[str, Any]:
    kinds = ("Failed", "TimedOut", "Aborted", "Pending", "Running", "Succeeded")
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
    return {
        "job": job,
        "failure": failure,
        "mapRun": {
            "MapRunArn": RUN,
            "ItemCounts": dict.fromkeys(kinds, 0) | {"Total": sum(items.values())} | items,
            "ExecutionCounts": dict.fromkeys(kinds, 0) | {"Total": sum(executions.values())} | executions,
        },
        "startedAt": "2026-01-01T00:00:00.000Z",
        "endedAt": "2026-01-01T00:01:00.000Z",
    }


def test_what_a_failed_batch_had_stored_is_counted_as_what_it_is(data: Bucket) -> None:
    """StoreResults writes two objects: where the second cannot be written, the first lies there all the same."""
    write(data, [[child(0, 10)]], [failed(10, first=10), failed(10, None, first=20), failed(10, first=30)])
    rejected = [{"index": number, "error": "NotANumber"} for number in (28, 29)]
    data.objects["jobs/first/predictions/part-000000000020.jsonl"] = contract.json_lines(
        [{"index": number, "prediction": {}} for number in range(20, 28)]
    )
    data.objects["jobs/first/rejected/part-000000000020.jsonl"] = contract.json_lines(rejected)
    data.objects["jobs/first/rejected/part-000000000030.jsonl"] = contract.json_lines(rejected[:1])
    given = event({"Succeeded": 10, "Failed": 20, "Aborted": 10}, {"Succeeded": 1, "Failed": 2, "Aborted": 1})
    summary = summarize.handler(given, None)
    assert summary["records"] == {"in": 40, "predicted": 18, "rejected": 3, "failed": 19}
    assert summary["rejected"] == {"NotANumber": 3}
    assert summary["failed"] == {"SplitLimitReached": 19}
    assert summary["batches"] == {"total": 4, "succeeded": 1, "failed": 3}


def test_the_summary_counts_every_record_and_is_stored(data: Bucket) -> None:
    write(data, [[child(0, 9, NotANumber=1), child(10, 8, NotANumber=1, ModelRefused=1)]], [failed(10)])
    given = event({"Succeeded": 20, "Failed": 10}, {"Succeeded": 2, "Failed": 1})
    summary = summarize.handler(given, None)
    assert summary == {
        "job": "first",
        "status": "SUCCEEDED",
        "error": None,
        "cause": None,
        "parent": None,
        "dataset": {"key": "incoming/set.csv", "format": "csv", "bytes": 10},
        "records": {"in": 30, "predicted": 17, "rejected": 3, "failed": 10},
        "rejected": {"NotANumber": 2, "ModelRefused": 1},
        "failed": {"SplitLimitReached": 10},
        "batches": {"total": 3, "succeeded": 2, "failed": 1},
        "modelCalls": 4,
        "retries": 2,
        "startedAt": "2026-01-01T00:00:00.000Z",
        "endedAt": "2026-01-01T00:01:00.000Z",
        "model": "m1",
        "template": "t1",
        "outputs": {
            "predictions": "s3://data/jobs/first/predictions/",
            "rejected": "s3://data/jobs/first/rejected/",
            "map": f"s3://data/{FOLDER}/manifest.json",
        },
    }
    assert json.loads(data.objects["jobs/first/summary.json"]) == summary


def test_many_files_are_read_one_line_after_the_other(data: Bucket) -> None:
    write(data, [[child(number * 1_000 + row, 1) for row in range(1_000)] for number in range(12)])
    summary = summarize.handler(event({"Succeeded": 12_000}, {"Succeeded": 12_000}), None)
    assert (summary["records"]["predicted"], summary["modelCalls"]) == (12_000, 24_000)


def test_a_failed_job_keeps_the_maps_error_and_counts_what_never_began(data: Bucket) -> None:
    write(data, [[child(0, 10)]], [failed(10), failed(10, None)])
    given = event(
        {"Succeeded": 10, "Failed": 10, "Aborted": 10, "Pending": 70}, {"Succeeded": 1, "Failed": 1, "Aborted": 1},
        failure=FAILURE,
    )  # fmt: skip
    summary = summarize.handler(given, None)
    assert (summary["status"], summary["error"], summary["cause"]) == ("FAILED", *FAILURE.values())
    assert summary["records"] == {"in": 100, "predicted": 10, "rejected": 0, "failed": 90}
    assert summary["failed"] == {"NotStarted": 80, "SplitLimitReached": 10}


def test_a_job_whose_map_never_began_has_an_accurate_summary_too(data: Bucket) -> None:
    summary = summarize.handler(event({}, {}, failure=FAILURE) | {"mapRun": False}, None)
    assert summary["records"] == {"in": 0, "predicted": 0, "rejected": 0, "failed": 0}
    assert (summary["status"], summary["outputs"]["map"]) == ("FAILED", None)
    assert "jobs/first/summary.json" in data.objects


def test_a_run_that_left_no_manifest_is_summed_up_from_its_counts(data: Bucket) -> None:
    summary = summarize.handler(event({"Pending": 5}, {}, failure=FAILURE), None)
    assert (summary["records"]["failed"], summary["outputs"]["map"]) == (5, None)


@pytest.mark.parametrize(
    ("succeeded", "unsuccessful", "items", "executions", "reason"),
    [
        ([child(0, 9)], [], {"Succeeded": 10}, {"Succeeded": 1}, "expected records in = predicted + rejected + failed"),
        ([child(0, 11)], [], {"Succeeded": 10}, {"Succeeded": 1}, "expected records in"),
        ([child(0, 10)], [], {"Succeeded": 10}, {"Succeeded": 2}, "expected the results of 2 batches"),
        ([child(0, 5), child(5, 5)], [], {"Succeeded": 10}, {"Succeeded": 1}, "expected the results of 1 batches"),
        ([child(0, 9) | {"received": 10}], [], {"Succeeded": 10}, {"Succeeded": 1}, "the batch at index 0"),
        ([], [failed(11)], {"Failed": 10}, {"Failed": 1}, "expected 10 failed records"),
    ],
)
def test_a_sum_that_is_wrong_fails_the_job_and_stores_no_summary(
    data: Bucket, succeeded: Any, unsuccessful: Any, items: Any, executions: Any, reason: str
) -> None:
    write(data, [succeeded], unsuccessful)
    with pytest.raises(SummaryMismatch, match=reason.replace("+", r"\+")):
        summarize.handler(event(items, executions), None)
    assert "jobs/first/summary.json" not in data.objects


def test_a_sum_that_is_wrong_for_want_of_a_manifest_names_it_and_what_the_map_failed_with(data: Bucket) -> None:
    failure = {"Error": "States.ResultWriterFailed", "Cause": "not authorized to perform: s3:PutObject"}
    with pytest.raises(SummaryMismatch) as raised:
        summarize.handler(event({"Succeeded": 5}, {"Succeeded": 1}, failure=failure), None)
    assert str(raised.value).endswith(
        "; found no manifest that can be read at s3://data/jobs/first/map/run-1/manifest.json"
        "; the job had failed with States.ResultWriterFailed: not authorized to perform: s3:PutObject"
    )


def test_the_same_summary_a_second_time_is_left_and_another_is_a_conflict(data: Bucket) -> None:
    write(data, [[child(0, 10)]])
    given = event({"Succeeded": 10}, {"Succeeded": 1})
    assert summarize.handler(given, None) == summarize.handler(given, None)
    with pytest.raises(ResultConflict):
        summarize.handler(given | {"endedAt": "later"}, None)
