"""Each grant that a job runs with is needed: without it, the very call that it is for is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from jobs import uploads
from jobs.names import generated
from jobs.objects import keys, read
from lambda_src.contract import job_prefix, summary_key
from model import examples, train
from tests.e2e.client import Client, client_of
from tests.e2e.deployment import Deployment
from tests.e2e.grants import NEVER_ASKED, Grant, grants_of, grants_of_requests, without
from tests.injection import faults
from tests.synthesis import unhashed

STACK = "InferenceStack"
ROLES = ("PreprocessDataRole", "StoreResultsRole", "JobCheckJobRole", "JobSummarizeRole", "JobWorkflowStateMachineRole")

IN_ONE_PART = "results of many megabytes are uploaded in parts; this job's are not"
OWN_CHILDREN = "here a Map Run's children are a part of it: none is asked about or stopped by name"

UNENFORCED = {
    **NEVER_ASKED,
    "s3:AbortMultipartUpload": IN_ONE_PART,
    "s3:ListMultipartUploadParts": IN_ONE_PART,
    "s3:GetObject of the machine on jobs/*/map/*": "AWS's own list for a ResultWriter has it; here none is read again",
    "states:DescribeExecution": OWN_CHILDREN,
    "states:StopExecution": OWN_CHILDREN,
}
"""What no job in the embedded AWS asks IAM for, and why. All other grants are taken away one at a time."""

UNNAMED = {
    ("JobCheckJobRole", "s3:GetObject"): "InvalidJob CheckJob: expected a data set at .*, found none that can be read",
    ("PreprocessDataRole", "s3:GetObject"): "ObjectNotReadable expected an object at .*, found none to read",
    ("JobSummarizeRole", "s3:GetObject"): "SummaryMismatch Summarize: .*; found no manifest that can be read at s3://",
}
"""Where S3 may refuse what is not there as well, a function says so without IAM's words."""

REFUSAL = re.compile(r"is not authorized to perform: (?P<action>\S+)( on resource: (?P<resource>arn:\S+))? because")


@pytest.fixture(scope="module")
def client(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with client_of(deployment, tmp_path_factory.mktemp("job-grants")) as client:
        yield client


@pytest.fixture(scope="module")
def grants(deployment: Deployment) -> list[Grant]:
    """Those that a job runs with and a request does not."""
    of_requests = grants_of_requests(deployment, STACK)
    found = [it for it in grants_of(deployment, STACK) if it not in of_requests and unhashed(it.role) in ROLES]
    assert {unhashed(grant.role) for grant in found} == set(ROLES)
    return found


def use(grant: Grant) -> str:
    """What the grant is for, where its action does not tell."""
    if unhashed(grant.role) == "JobWorkflowStateMachineRole" and grant.resource.endswith("/jobs/*/map/*"):
        return f"{grant.action} of the machine on jobs/*/map/*" if grant.action == "s3:GetObject" else grant.action
    return grant.action


class Jobs:
    """A job that uses all grants but those on a listing: one good record, one that is rejected."""

    def __init__(self, client: Client) -> None:
        self.client = client
        good = examples.records(train.load())[0]
        bad = {**good, "mean area": "vast"}
        self.lines = f"{json.dumps(good)}\n{json.dumps(bad)}\n".encode()
        self.objects = [json.dumps(good).encode(), json.dumps(bad).encode()]
        self.parts: dict[str, bytes] = {}
        self.counts: dict[str, int] = {}
        status, told = self.run(objects=False, first=True)
        assert status == "SUCCEEDED", told

    def run(
        self, *, objects: bool, again: bool = False, summarized: bool = False, first: bool = False
    ) -> tuple[str, str]:
        """The job's status, and all that it says of errors.

        `again`: the results of the `first` lie there already, so that StoreResults reads them. `summarized`: so
        does a summary, another one.
        """
        client, stack = self.client, self.client.stack()
        job = generated("grant")
        if again:
            for name, body in self.parts.items():
                stack.s3.put_object(Bucket=stack.bucket, Key=f"{job_prefix(job)}/{name}", Body=body)
        if summarized:
            stack.s3.put_object(Bucket=stack.bucket, Key=summary_key(job), Body=b"{}")
        if objects:
            for number, body in enumerate(self.objects):
                client.put(job, f"{number}.json", body)
        key = uploads.incoming_prefix(job) if objects else client.put(job, "records.jsonl", self.lines)
        client.start(job, key)
        ended = client.ended(job)
        self.counts = (ended.summary or {}).get("records", {})
        if first:
            self.parts = client.parts(job)
        told = [f"{ended.error} {ended.cause}"]
        told += [f"{line['error']} {line['cause']}" for line in client.results(job).rejected.values()]
        for key in keys(stack.s3, stack.bucket, f"{job_prefix(job)}/map/"):
            if "/FAILED_" in key:
                told.append((read(stack.s3, stack.bucket, key) or b"").decode())
        return ended.status, "\n".join(told)


@pytest.fixture(scope="module")
def runs(client: Client) -> Jobs:
    return Jobs(client)


def test_each_grant_is_needed_by_the_very_call_that_is_refused_without_it(
    deployment: Deployment, grants: list[Grant], runs: Jobs, subtests: pytest.Subtests
) -> None:
    for grant in grants:
        if use(grant) in UNENFORCED:
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
            objects = grant.action == "s3:ListBucket" or role == "PreprocessDataRole"
            with without(deployment, [grant]):
                status, told = runs.run(objects=objects, again=role == "StoreResultsRole", summarized=summarized)
            unnamed = UNNAMED.get((role, grant.action))
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
    named = {unhashed(logical): name for logical, name in deployment.physical[STACK].items()}
    references = re.findall(r"<(\w+)[.>]", grant.resource)
    return all(named[name].rpartition("/")[2].rpartition(":")[2] in arn for name in references if name in named)


def check_uncounted(deployment: Deployment, grant: Grant, runs: Jobs) -> None:
    """S3 may refuse what is not there as well: what a batch had stored before it failed is not counted without it."""
    named = {unhashed(logical): name for logical, name in deployment.physical[STACK].items()}
    store = {"service": "lambda", "action": "Invoke", "resource": f"*:{named['StoreResultsFunction']}"}
    kind = "predicted" if "/predictions/" in grant.resource else "rejected"
    with faults(deployment.ready, {**store, "lost": "error"}):
        runs.run(objects=False)
        assert runs.counts == {"in": 2, "predicted": 1, "rejected": 1, "failed": 0}
        with without(deployment, [grant]):
            runs.run(objects=False)
        assert runs.counts == {"in": 2, "predicted": 1, "rejected": 1, "failed": 1, kind: 0}


def check_lost_log(deployment: Deployment, grant: Grant, runs: Jobs) -> None:
    """As in AWS, the work goes on without a log."""
    named = {unhashed(logical): name for logical, name in deployment.physical[STACK].items()}
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
    assert set(UNENFORCED) <= {use(grant) for grant in grants}, "the table names what no template grants"
    with without(deployment, [grant for grant in grants if use(grant) in UNENFORCED]):
        for objects in (False, True):
            status, told = runs.run(objects=objects)
            assert status == "SUCCEEDED", told
