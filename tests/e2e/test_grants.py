"""Each grant that a request runs with is needed: without it, the very call that it is for is refused."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import Any

import pytest

from model import examples, train
from tests.e2e.deployment import Deployment
from tests.e2e.grants import NEVER_ASKED, Grant, grants_of_requests, without
from tests.e2e.runs import Requests
from tests.synthesis import STACKS, unhashed

REFUSAL = re.compile(r"is not authorized to perform: (?P<action>\S+)( on resource: (?P<resource>arn:\S+))? because")
"""IAM's own words. MiniStack's S3 does not name the resource."""


@pytest.fixture(scope="module")
def record() -> dict[str, Any]:
    return examples.request(train.load())[0]


@pytest.fixture(scope="module")
def stored(deployment: Deployment, record: dict[str, Any]) -> bytes:
    """What InferenceStack stores for the record."""
    output = deployment.execute("InferenceStack", {"records": [record]}).output
    return deployment.stored(output["results"])


@pytest.fixture(params=STACKS)
def grants(request: pytest.FixtureRequest, deployment: Deployment) -> list[Grant]:
    found = grants_of_requests(deployment, request.param)
    assert found
    return found


@pytest.fixture(scope="module")
def runs(deployment: Deployment, record: dict[str, Any], stored: bytes) -> Requests:
    return Requests(deployment, record, stored)


def is_models(deployment: Deployment, grant: Grant) -> bool:
    """Whether the grant is of a role that a model runs as."""
    resources = deployment.assembly.stacks[grant.stack].template["Resources"].values()
    models = [it["Properties"] for it in resources if it["Type"] == "AWS::SageMaker::Model"]
    return {"Fn::GetAtt": [grant.role, "Arn"]} in [model["ExecutionRoleArn"] for model in models]


def log_group(deployment: Deployment, grant: Grant) -> str:
    """The log group that a grant is for."""
    physical = deployment.physical[grant.stack]
    named = {unhashed(logical): name for logical, name in physical.items()}
    if grant.resource.startswith("<"):
        return named[grant.resource.removeprefix("<").removesuffix(".Arn>")]
    return f"/aws/sagemaker/Endpoints/{deployment.outputs[grant.stack]['EndpointName']}"


def test_each_grant_is_needed_by_the_very_call_that_is_refused_without_it(
    deployment: Deployment, grants: list[Grant], runs: Requests, subtests: pytest.Subtests
) -> None:
    for grant in grants:
        if grant.use in NEVER_ASKED:
            continue
        with subtests.test(str(grant)):
            if grant.action.startswith("logs:"):
                check_lost_log(deployment, grant, runs)
            elif is_models(deployment, grant):
                with without(deployment, [grant]):
                    said = deployment.make_model_again()
                # SageMaker's own words for it: CreateModel's ValidationException names the action and the object.
                assert f'the role has "{grant.action}" permissions' in said
                assert grant.resource.rpartition("/")[2] in said
            else:
                with without(deployment, [grant]):
                    execution = runs.workflow(grant.stack)
                assert execution.status == "FAILED", "the execution succeeded without it"
                refused = REFUSAL.search(execution.cause)
                assert refused, execution.cause
                assert refused["action"] == grant.action
                assert refused["resource"] is None or concerns(deployment, grant, refused["resource"])


def check_lost_log(deployment: Deployment, grant: Grant, runs: Requests) -> None:
    """As in AWS, the work goes on without a log."""
    group = log_group(deployment, grant)
    runs.forget_logs(group, whole=is_models(deployment, grant))
    with without(deployment, [grant]):
        leave_lines(deployment, grant, runs)
        assert not runs.has_log(group), "there is a log without it"
    leave_lines(deployment, grant, runs)
    assert runs.has_log(group), "there is no log with it either"


def leave_lines(deployment: Deployment, grant: Grant, runs: Requests) -> None:
    if is_models(deployment, grant):
        runs.provoke_model()
    else:
        assert runs.workflow(grant.stack).status == "SUCCEEDED"


def concerns(deployment: Deployment, grant: Grant, arn: str) -> bool:
    """Whether the grant's resource is the one of that ARN, or holds it."""
    if grant.resource.startswith("arn:"):
        return fnmatchcase(arn, grant.resource.replace("<AWS::AccountId>", deployment.ready.account))
    named = {unhashed(logical): name for logical, name in deployment.physical[grant.stack].items()}
    logical, _, path = grant.resource.removeprefix("<").partition(">")
    name = named[logical.removesuffix(".Arn")].rpartition("/")[2]
    return f"{name}{path.rstrip('*')}" in arn


def test_what_no_run_asks_for_is_what_the_table_says(deployment: Deployment, runs: Requests) -> None:
    everything = [grant for stack in STACKS for grant in grants_of_requests(deployment, stack)]
    unneeded = [grant for grant in everything if grant.use in NEVER_ASKED]
    groups = {log_group(deployment, grant) for grant in everything if grant.action == "logs:CreateLogStream"}
    for group in groups:
        runs.forget_logs(group, whole=group.startswith("/aws/sagemaker/"))
    with without(deployment, unneeded):
        for stack in STACKS:
            assert runs.workflow(stack).status == "SUCCEEDED"
        assert deployment.make_model_again() == ""
        runs.provoke_model()
    assert {group for group in groups if not runs.has_log(group)} == set()
