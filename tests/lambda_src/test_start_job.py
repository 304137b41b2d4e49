"""StartJob: one job for each version of a data set, however often it is told of it, and none for anything else."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from jobs.names import possible
from lambda_src import start_job
from lambda_src.contract import EXECUTION_CHARACTERS, summary_key
from lambda_src.start_job import NotStarted, Version
from tests.lambda_src.bucket import Bucket

MACHINE = "arn:aws:states:us-east-1:000000000000:stateMachine:job"
KEYS: Any = {"region_name": "us-east-1", "aws_access_key_id": "test", "aws_secret_access_key": "test"}
TICK = {"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}}
DAILY = "incoming/daily/set.csv"


@pytest.fixture
def states(data: Bucket, monkeypatch: pytest.MonkeyPatch) -> Stubber:
    client = boto3.client("stepfunctions", **KEYS)
    monkeypatch.setattr(start_job, "client", lambda: client)
    monkeypatch.setenv("BATCH_JOB", MACHINE)
    monkeypatch.setenv("TRIGGER_PREFIX", "incoming/")
    stub = Stubber(client)
    stub.activate()
    return stub


def created(key: str, version: str | None = "v1") -> dict[str, Any]:
    """What S3 tells EventBridge: https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html"""
    found = {"key": key, "size": 5, "etag": "b1946ac92492d2347c6235b4d2611184", "sequencer": "617f08299329d189"}
    if version:
        found["version-id"] = version
    detail = {"version": "0", "bucket": {"name": "data"}, "object": found, "reason": "PutObject"}
    return {"version": "0", "source": "aws.s3", "detail-type": "Object Created", "detail": detail}


def expects(states: Stubber, key: str, version: str) -> str:
    """Has Step Functions expect the start of the version's job; returns the job's name."""
    job = Version(key, version).job
    asked = json.dumps({"dataset": {"key": key, "version": version}})
    answer = {"executionArn": f"{MACHINE}:{job}", "startDate": 0}
    states.add_response("start_execution", answer, {"stateMachineArn": MACHINE, "name": job, "input": asked})
    return job


def test_a_data_set_that_lands_starts_a_job_of_that_version(states: Stubber) -> None:
    job = expects(states, DAILY, "v1")
    assert start_job.handler(created(DAILY), None) == {"started": [job], "known": []}
    assert job.startswith("set-")
    states.assert_no_pending_responses()


def test_the_same_event_once_more_is_no_error_and_no_job(states: Stubber) -> None:
    job = expects(states, DAILY, "v1")
    start_job.handler(created(DAILY), None)
    states.add_client_error("start_execution", "ExecutionAlreadyExists", "", 400)
    assert start_job.handler(created(DAILY), None) == {"started": [], "known": [job]}


def test_a_job_that_step_functions_has_forgotten_is_known_by_its_summary(data: Bucket, states: Stubber) -> None:
    job = Version(DAILY, "v1").job
    data.objects[summary_key(job)] = b"{}"
    assert start_job.handler(created(DAILY), None) == {"started": [], "known": [job]}


def test_another_version_of_the_same_key_is_another_job(states: Stubber) -> None:
    jobs = [expects(states, DAILY, version) for version in ("v1", "v2")]
    assert [start_job.handler(created(DAILY, version), None)["started"] for version in ("v1", "v2")] == [
        [job] for job in jobs
    ]
    assert len({*jobs, Version("incoming/set.csv", "v1").job}) == 3


@pytest.mark.parametrize(
    "key",
    [
        "incoming/readme.txt",
        "incoming/set.csv.gz",
        "incoming/folder/",
        "incoming/csv",
        "incoming/submitted/monday/set.csv",
        "jobs/first/set.csv",
    ],
)
def test_what_is_no_data_set_to_start_for_is_let_lie(states: Stubber, key: str) -> None:
    assert start_job.handler(created(key), None) == {"started": [], "known": []}


def test_what_lies_elsewhere_than_the_deployment_looks_is_let_lie(
    states: Stubber, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIGGER_PREFIX", "incoming/weekly/")
    assert start_job.handler(created(DAILY), None) == {"started": [], "known": []}


def test_an_event_without_a_version_is_an_error_that_says_what_to_do(states: Stubber) -> None:
    with pytest.raises(ValueError, match=r'expected the version of text "incoming/daily/set.csv".*versioning on again'):
        start_job.handler(created(DAILY, None), None)


@pytest.mark.parametrize(
    "key",
    [
        "incoming/a b.csv",
        "incoming/%20+\U0001f600.jsonl",
        "incoming/\x01\x1b[31m\x7f.json",
        "incoming/" + "long" * 250 + ".csv",
        "incoming/.csv",
        "incoming/..csv",
        "incoming/\ud800.csv",
        'incoming/"{% $x %}".csv',
    ],
)
def test_a_key_of_any_characters_starts_a_job_whose_name_anything_carries(states: Stubber, key: str) -> None:
    job = expects(states, key, "v1")
    assert start_job.handler(created(key), None)["started"] == [job]
    assert possible(job)
    assert job.isascii()
    assert len(job) <= EXECUTION_CHARACTERS


def test_a_schedule_starts_a_job_for_the_newest_version_of_each_data_set(data: Bucket, states: Stubber) -> None:
    names = ("a.csv@v1", "a.csv@v2", "b c.jsonl@v1", "gone.csv@v1", "gone.csv@deleted", "notes.txt@v1")
    data.objects |= {f"incoming/{name}": b"" for name in names}
    data.objects["incoming/submitted/monday/a.csv@v1"] = b""
    jobs = [expects(states, "incoming/a.csv", "v2"), expects(states, "incoming/b c.jsonl", "v1")]
    assert start_job.handler(TICK, None) == {"started": jobs, "known": []}


def test_a_schedule_over_unchanged_data_starts_nothing(data: Bucket, states: Stubber) -> None:
    data.objects[f"{DAILY}@v1"] = b""
    job = Version(DAILY, "v1").job
    states.add_client_error("start_execution", "ExecutionAlreadyExists", "", 400)
    assert start_job.handler(TICK, None) == {"started": [], "known": [job]}


def test_a_job_that_cannot_be_started_stops_no_other_and_is_told_in_the_end(data: Bucket, states: Stubber) -> None:
    data.objects |= {f"incoming/{name}.csv@v1": b"" for name in "ab"}
    states.add_client_error("start_execution", "ThrottlingException", "Rate exceeded", 400)
    expects(states, "incoming/b.csv", "v1")
    with pytest.raises(NotStarted, match=r'1 jobs could not be started, the first for text "incoming/a.csv" in.*Rate'):
        start_job.handler(TICK, None)
    states.assert_no_pending_responses()
