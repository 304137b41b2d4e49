"""Jobs that start by themselves: one for each version of a data set, whoever tells of it and however often."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from lambda_src.contract import INCOMING, json_lines, summary_key
from lambda_src.start_job import Version
from model import examples, train
from tests.e2e.client import Client, client_of
from tests.e2e.deployment import Deployment, until
from tests.e2e.grants import NEVER_ASKED, grants_of, without
from tests.synthesis import STACKS, unhashed

STACK = "InferenceStack"
TICK = {"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}}
Json = Any


@pytest.fixture(scope="module")
def client(watched: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with client_of(watched, tmp_path_factory.mktemp("triggers")) as client:
        yield client


def land(client: Client, name: str, records: int, stack: str = STACK) -> Version:
    """A data set of so many records that somebody has put into the bucket."""
    at, key = client.stack(stack), f"{INCOMING}{name}"
    body = json_lines(examples.records(train.load())[:records])
    return Version(key, at.s3.put_object(Bucket=at.bucket, Key=key, Body=body)["VersionId"])


def created(version: Version) -> Json:
    """The event of S3 that tells of the version, as far as the function reads it."""
    return {"source": "aws.s3", "detail": {"object": {"key": version.key, "version-id": version.id}}}


def call(client: Client, event: Json, stack: str = STACK) -> Json:
    """What StartJob answers to an event."""
    function = client.deployment.named(stack, "TriggersStartJobFunction")
    answer = client.deployment.client("lambda").invoke(FunctionName=function, Payload=json.dumps(event))
    return json.loads(answer["Payload"].read())


def names(client: Client, stack: str = STACK) -> list[str]:
    """Every execution of the job that there ever was."""
    at = client.stack(stack)
    pages = at.states.get_paginator("list_executions").paginate(stateMachineArn=at.machine_arn)
    return [it["name"] for page in pages for it in page["executions"]]


def ended(client: Client, version: Version, stack: str = STACK) -> tuple[str, int]:
    """How the version's job ended, which somebody has started, and how many records it predicted."""
    until(lambda: names(client, stack), lambda found: version.job in found)
    job = client.ended(version.job, client.stack(stack))
    return job.status, (job.summary or {}).get("records", {}).get("predicted", 0)


@pytest.mark.parametrize("stack", STACKS)
def test_a_file_that_lands_starts_one_job_however_often_it_is_told_of(client: Client, stack: str) -> None:
    version = land(client, "landed \U0001f600.jsonl", 3, stack)
    assert ended(client, version, stack) == ("SUCCEEDED", 3)
    for event in (created(version), TICK):
        assert version.job in call(client, event, stack)["known"]
    assert names(client, stack).count(version.job) == 1


def test_each_version_of_a_file_has_a_job_that_reads_that_very_version(client: Client) -> None:
    versions = [land(client, "again.jsonl", records) for records in (2, 5, 4)]
    at = client.stack()
    at.s3.delete_object(Bucket=at.bucket, Key=versions[0].key)
    assert [ended(client, version) for version in versions] == [("SUCCEEDED", it) for it in (2, 5, 4)]
    assert len([name for name in names(client) if name.startswith("again-")]) == 3
    for version, records in zip(versions, (2, 5, 4), strict=True):
        ran = client.run("results", version.job)
        assert ran.status == 0, ran.err
        assert len(ran.out.splitlines()) == records
        assert client.run("status", version.job, "--json").document["dataset"]["version"] == version.id


def test_a_schedule_starts_what_no_event_told_of(watched: Deployment, client: Client) -> None:
    events, rule = watched.client("events"), watched.named(STACK, "TriggersArrival")
    events.disable_rule(Name=rule)
    try:
        version = land(client, "quiet.jsonl", 2)
        assert ended(client, version) == ("SUCCEEDED", 2)
    finally:
        events.enable_rule(Name=rule)
    assert names(client).count(version.job) == 1


def test_what_the_client_uploads_and_what_is_no_data_set_start_nothing(client: Client) -> None:
    at = client.stack()
    at.s3.put_object(Bucket=at.bucket, Key=f"{INCOMING}notes.txt", Body=b"none")
    before = names(client)
    ran = client.run(
        "submit", client.write("once.jsonl", json_lines(examples.records(train.load())[:2])), "--wait", "--json"
    )
    assert ran.status == 0, ran.err
    told = call(client, TICK)
    assert told["started"] == []
    assert set(names(client)) - set(before) == {ran.document["job"]}


def test_a_file_of_no_use_is_one_failed_job_that_says_why(client: Client) -> None:
    at, key = client.stack(), f"{INCOMING}empty.csv"
    version = Version(key, at.s3.put_object(Bucket=at.bucket, Key=key, Body=b"")["VersionId"])
    assert ended(client, version) == ("FAILED", 0)
    assert client.ended(version.job).error == "InvalidJob"


def test_each_grant_that_starts_a_job_and_reads_its_version_is_needed(
    watched: Deployment, client: Client, subtests: pytest.Subtests
) -> None:
    needed = [
        grant
        for grant in grants_of(watched, STACK)
        if (unhashed(grant.role) == "TriggersStartJobRole" and not grant.action.startswith("logs:"))
        or grant.action == "s3:GetObjectVersion"
    ]
    events, rules = watched.client("events"), [watched.named(STACK, f"Triggers{it}") for it in ("Arrival", "Schedule")]
    for rule in rules:
        events.disable_rule(Name=rule)
    for number, grant in enumerate(it for it in needed if it.action not in NEVER_ASKED):
        with subtests.test(str(grant)):
            version = land(client, f"grant-{number}.jsonl", 1)
            if grant.action == "s3:GetObject":
                client.stack().s3.put_object(Bucket=client.stack().bucket, Key=summary_key(version.job), Body=b"{}")
                assert version.job in call(client, created(version))["known"]
            with without(watched, [grant]):
                told = call(client, TICK if grant.action == "s3:ListBucketVersions" else created(version))
                if grant.action == "s3:GetObjectVersion":
                    assert ended(client, version) == ("FAILED", 0)
                elif grant.action == "s3:GetObject":  # the summary that says that the job has been is not seen
                    assert told == {"started": [version.job], "known": []}
                else:
                    assert grant.action in told["errorMessage"], told
                    assert version.job not in names(client)
    for rule in rules:
        events.enable_rule(Name=rule)
