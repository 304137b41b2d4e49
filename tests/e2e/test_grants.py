"""Each grant that a request runs with is needed: without it, the very call that it is for is refused."""

from __future__ import annotations

import re
import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lambda_src import contract
from model import examples, train
from tests.e2e.deployment import Deployment, Execution
from tests.e2e.grants import NEVER_ASKED, Grant, grants_of_requests, without
from tests.synthesis import STACKS, unhashed

NO_IMAGE = "the model server is a process of this machine: no image is pulled"

UNENFORCED = {
    **NEVER_ASKED,
    "ecr:BatchCheckLayerAvailability": NO_IMAGE,
    "ecr:BatchGetImage": NO_IMAGE,
    "ecr:GetAuthorizationToken": NO_IMAGE,
    "ecr:GetDownloadUrlForLayer": NO_IMAGE,
    "logs:DescribeLogStreams": "the log agent of AWS's container looks a stream up before it writes; nothing here does",
    "cloudwatch:PutMetricData": "the container's own metrics: CloudWatch is not asked here",
}
"""What no run in the embedded AWS asks IAM for, and why. All other grants are taken away one at a time."""

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


class Runs:
    """Everything that the grants are for, done once more: a run of the workflow, a new model, a line in each log."""

    def __init__(self, deployment: Deployment, record: dict[str, Any], stored: bytes) -> None:
        self._deployment = deployment
        self._record = record
        self._stored = stored

    def workflow(self, stack: str) -> Execution:
        """A run that finds its own result in the bucket, so that StoreResults both writes and reads."""
        name = uuid.uuid4().hex
        if stack == "InferenceStack":
            bucket = self._deployment.outputs[stack]["ResultsBucketUri"].removeprefix("s3://")
            key = contract.part_key(contract.request_prefix(name), "predictions", 0)
            self._deployment.client("s3").put_object(Bucket=bucket, Key=key, Body=self._stored)
        return self._deployment.execute(stack, {"records": [self._record]}, name)

    def provoke_model(self) -> None:
        """Makes the model's code raise an error, which goes into the endpoint's log."""
        runtime = self._deployment.client("sagemaker-runtime")
        name = self._deployment.outputs["InferenceStack"]["EndpointName"]
        with pytest.raises(ClientError, match="ModelError"):
            runtime.invoke_endpoint(EndpointName=name, Body=b"{", ContentType="application/json")

    def forget_logs(self, group: str, *, whole: bool) -> None:
        """Empties a log group; with `whole`, it goes too."""
        logs = self._deployment.client("logs")
        if not self.has_log(group):
            return
        for stream in logs.describe_log_streams(logGroupName=group)["logStreams"]:
            logs.delete_log_stream(logGroupName=group, logStreamName=stream["logStreamName"])
        if whole:
            logs.delete_log_group(logGroupName=group)

    def has_log(self, group: str) -> bool:
        """Whether there is a line in the log group."""
        try:
            return bool(self._deployment.client("logs").filter_log_events(logGroupName=group)["events"])
        except ClientError as error:
            if error.response["Error"]["Code"] != "ResourceNotFoundException":
                raise
            return False


@pytest.fixture(scope="module")
def runs(deployment: Deployment, record: dict[str, Any], stored: bytes) -> Runs:
    return Runs(deployment, record, stored)


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
    deployment: Deployment, grants: list[Grant], runs: Runs, subtests: pytest.Subtests
) -> None:
    for grant in grants:
        if grant.action in UNENFORCED:
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


def check_lost_log(deployment: Deployment, grant: Grant, runs: Runs) -> None:
    """As in AWS, the work goes on without a log."""
    group = log_group(deployment, grant)
    runs.forget_logs(group, whole=is_models(deployment, grant))
    with without(deployment, [grant]):
        leave_lines(deployment, grant, runs)
        assert not runs.has_log(group), "there is a log without it"
    leave_lines(deployment, grant, runs)
    assert runs.has_log(group), "there is no log with it either"


def leave_lines(deployment: Deployment, grant: Grant, runs: Runs) -> None:
    if is_models(deployment, grant):
        runs.provoke_model()
    else:
        assert runs.workflow(grant.stack).status == "SUCCEEDED"


def concerns(deployment: Deployment, grant: Grant, arn: str) -> bool:
    """Whether the grant's resource is the one of that ARN, or holds it."""
    named = {unhashed(logical): name for logical, name in deployment.physical[grant.stack].items()}
    logical, _, path = grant.resource.removeprefix("<").partition(">")
    name = named[logical.removesuffix(".Arn")].rpartition("/")[2]
    return f"{name}{path.rstrip('*')}" in arn


def test_what_no_run_asks_for_is_what_the_table_says(deployment: Deployment, runs: Runs) -> None:
    everything = [grant for stack in STACKS for grant in grants_of_requests(deployment, stack)]
    assert set(UNENFORCED) <= {grant.action for grant in everything}, "the table names what no template grants"
    unneeded = [grant for grant in everything if grant.action in UNENFORCED]
    groups = {log_group(deployment, grant) for grant in everything if grant.action == "logs:CreateLogStream"}
    for group in groups:
        runs.forget_logs(group, whole=group.startswith("/aws/sagemaker/"))
    with without(deployment, unneeded):
        for stack in STACKS:
            assert runs.workflow(stack).status == "SUCCEEDED"
        assert deployment.make_model_again() == ""
        runs.provoke_model()
    assert {group for group in groups if not runs.has_log(group)} == set()
