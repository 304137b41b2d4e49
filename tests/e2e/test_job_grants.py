"""Each grant that a job runs with is needed: without it, the very call that it is for is refused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.client import Client, client_of
from tests.e2e.deployment import Deployment
from tests.e2e.grants import NEVER_ASKED, Grant, grants_of, grants_of_requests, without
from tests.e2e.runs import Jobs
from tests.synthesis import STACKS, unhashed

ROLES = {"StoreResultsRole", "JobCheckJobRole", "JobSummarizeRole", "JobWorkflowStateMachineRole"}

UNNAMED = {
    ("JobCheckJobRole", "s3:GetObject"): "InvalidJob CheckJob: expected a data set at .*, found none that can be read",
    ("PreprocessRole", "s3:GetObject"): "ObjectNotReadable expected an object at .*, found none to read",
    ("JobSummarizeRole", "s3:GetObject"): "SummaryMismatch Summarize: .*; found no manifest that can be read at s3://",
}
"""Where S3 may refuse what is not there as well, a function says so without IAM's words."""

REFUSAL = re.compile(r"is not authorized to perform: (?P<action>\S+)( on resource: (?P<resource>arn:\S+))? because")


@pytest.fixture(scope="module")
def client(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with client_of(deployment, tmp_path_factory.mktemp("job-grants")) as client:
        yield client


@pytest.fixture(scope="module", params=STACKS)
def stack(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def grants(deployment: Deployment, stack: str) -> list[Grant]:
    """Those that a job runs with and a request does not."""
    of_requests = grants_of_requests(deployment, stack)
    found = [it for it in grants_of(deployment, stack) if it not in of_requests]
    preprocess = "PreprocessData" if stack == "InferenceStack" else "Preprocess"
    assert {unhashed(grant.role) for grant in found} == {*ROLES, f"{preprocess}Role"}
    return found


@pytest.fixture(scope="module")
def runs(client: Client, stack: str) -> Jobs:
    return Jobs(client, stack)


def test_each_grant_is_needed_by_the_very_call_that_is_refused_without_it(
    deployment: Deployment, grants: list[Grant], runs: Jobs, subtests: pytest.Subtests
) -> None:
    for grant in grants:
        if grant.use in NEVER_ASKED:
            continue
        with subtests.test(str(grant)):
            if grant.action.startswith("logs:"):
                check_lost_log(deployment, grant, runs)
                continue
            role = unhashed(grant.role)
            if role == "JobSummarizeRole" and not grant.resource.endswith(("/map/*", "/summary.json")):
                check_uncounted(deployment, grant, runs)
                continue
            summarized = grant.resource.endswith("summary.json") and grant.action == "s3:GetObject"
            objects = grant.action == "s3:ListBucket" or role.startswith("Preprocess")
            with without(deployment, [grant]):
                status, told = runs.run(objects=objects, again=role == "StoreResultsRole", summarized=summarized)
            unnamed = UNNAMED.get((role.replace("Data", ""), grant.action))
            if unnamed and not summarized:
                assert re.search(unnamed, told), told
                continue
            assert status == "FAILED", "the job succeeded without it"
            refused = [it for it in REFUSAL.finditer(told) if it["action"] == grant.action]
            assert refused, told
            assert all(concerns(deployment, grant, it["resource"]) for it in refused), told


def concerns(deployment: Deployment, grant: Grant, arn: str | None) -> bool:
    """Whether the refused call was for what the grant names. MiniStack's S3 does not name the resource."""
    if arn is None:
        return True
    named = {unhashed(logical): name for logical, name in deployment.physical[grant.stack].items()}
    references = re.findall(r"<(\w+)[.>]", grant.resource)
    return all(named[name].rpartition("/")[2].rpartition(":")[2] in arn for name in references if name in named)


def check_uncounted(deployment: Deployment, grant: Grant, runs: Jobs) -> None:
    """S3 may refuse what is not there as well: what a batch had stored before it failed is not counted without it."""
    kind = "predicted" if "/predictions/" in grant.resource else "rejected"
    with runs.lost_answers():
        runs.run(objects=False)
        assert runs.counts == {"in": 2, "predicted": 1, "rejected": 1, "failed": 0}
        with without(deployment, [grant]):
            runs.run(objects=False)
        assert runs.counts == {"in": 2, "predicted": 1, "rejected": 1, "failed": 1, kind: 0}


def check_lost_log(deployment: Deployment, grant: Grant, runs: Jobs) -> None:
    """As in AWS, the work goes on without a log."""
    named = {unhashed(logical): name for logical, name in deployment.physical[grant.stack].items()}
    group = named[grant.resource.removeprefix("<").removesuffix(".Arn>")]
    logs = deployment.client("logs")
    for stream in logs.describe_log_streams(logGroupName=group)["logStreams"]:
        logs.delete_log_stream(logGroupName=group, logStreamName=stream["logStreamName"])
    with without(deployment, [grant]):
        assert runs.run(objects=False)[0] == "SUCCEEDED"
        assert not lines(logs, group), "there is a log without it"
    assert runs.run(objects=False)[0] == "SUCCEEDED"
    assert lines(logs, group), "there is no log with it either"


def lines(logs: Any, group: str) -> list[Any]:
    return list(logs.filter_log_events(logGroupName=group)["events"])


def test_what_no_job_asks_for_is_what_the_table_says(deployment: Deployment, grants: list[Grant], runs: Jobs) -> None:
    with without(deployment, [grant for grant in grants if grant.use in NEVER_ASKED]):
        for objects in (False, True):
            status, told = runs.run(objects=objects)
            assert status == "SUCCEEDED", told
