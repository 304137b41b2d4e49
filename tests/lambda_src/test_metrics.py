"""The functions' metrics: published where somebody looks, and equal to what the function answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lambda_src import metrics, store_results, summarize
from tests.lambda_src.bucket import Bucket
from tests.lambda_src.test_summarize import child, event, failed, write


def published(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """The lines of the log that CloudWatch reads as metrics."""
    return [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]


def values(document: dict[str, Any]) -> dict[str, Any]:
    """What was published by name, each with its dimensions beside it."""
    assert all(it["Name"] in document for it in document["_aws"]["CloudWatchMetrics"][0]["Metrics"])
    return {name: value for name, value in document.items() if name != "_aws"}


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METRICS_STACK", "Stack")
    monkeypatch.setenv("MODEL_VERSION", "m1")
    monkeypatch.setenv("TEMPLATE_VERSION", "t1")


@pytest.mark.usefixtures("watched")
def test_a_jobs_outcome_is_published_once_with_its_summary(data: Bucket, capsys: pytest.CaptureFixture[str]) -> None:
    write(data, [[child(0, 80, MissingFeature=10)]], [failed(10)])
    summarize.handler(event({"Succeeded": 90, "Failed": 10}, {"Succeeded": 1, "Failed": 1}), None)
    (document,) = published(capsys)
    assert values(document) == {
        "Stack": "Stack",
        "Workflow": "Job",
        "RecordsPredicted": 80,
        "RecordsRejected": 10,
        "RecordsFailed": 10,
        "Batches": 2,
        "BatchesFailed": 1,
        "ModelCalls": 2,
        "Retries": 1,
        "RejectedShare": 10.0,
    }


@pytest.mark.usefixtures("watched")
def test_a_job_without_records_has_no_rejected_share(data: Bucket, capsys: pytest.CaptureFixture[str]) -> None:
    write(data, [])
    summarize.handler(event({}, {}), None)
    (document,) = published(capsys)
    assert "RejectedShare" not in document


def stored(**more: Any) -> dict[str, Any]:
    rejected = [{"id": "b", "index": 1, "record": {}, "stage": "preprocess", "error": "E", "cause": "c"}]
    answer = {"predictions": [1.0]}
    batch = {"prefix": "p", "ids": ["a"], "indexes": [0], "answer": answer, "split": False, "rejected": rejected}
    return store_results.handler({**batch, **more}, None)


@pytest.mark.usefixtures("watched", "data")
def test_a_request_publishes_what_became_of_its_records_and_a_batch_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    stored(calls=1, retries=[0])
    assert published(capsys) == []
    stored(prefix="q")
    (document,) = published(capsys)
    assert values(document) == {"Stack": "Stack", "Workflow": "Request", "RecordsPredicted": 1, "RecordsRejected": 1}


@pytest.mark.usefixtures("data")
def test_nothing_is_published_where_nobody_looks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("METRICS_STACK", raising=False)
    stored()
    metrics.publish("Job", {"Batches": 1})
    assert published(capsys) == []
