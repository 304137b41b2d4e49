"""Mode transform: what is deployed, what each state asks for, and where a request goes however its jobs end."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest

from local.clock import Clock
from local.states.machines import Engine
from stacks.settings import DEV, PROD, InvalidSettings
from tests.local.states.fake_aws import FakeAws, run_async
from tests.synthesis import Stack, Synthesis

Json = Any
JOB_NAME = r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}"
"""https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateTransformJob.html"""
ARN = "arn:aws:sagemaker:us-east-1:000000000000:transform-job/job"
NO_INSTANCES = {"__type": "ResourceLimitExceeded", "message": "no instances"}


@pytest.fixture(scope="module")
def stack(synthesized: Callable[[str], Synthesis]) -> Stack:
    return synthesized("prod-transform").stacks["InferenceStack"]


def test_no_endpoint_stands_and_none_is_told_of(stack: Stack) -> None:
    assert stack.of_type("AWS::SageMaker::Model").keys() == {"Model"}
    assert not stack.of_type("AWS::SageMaker::EndpointConfig")
    assert not stack.of_type("AWS::SageMaker::Endpoint")
    assert stack.template["Outputs"].keys() == {"StateMachineArn", "BatchJobArn", "ResultsBucketUri"}


def test_what_goes_to_and_fro_expires_after_the_longest_job(stack: Stack) -> None:
    rules = stack.of_type("AWS::S3::Bucket")["DataBucket"]["LifecycleConfiguration"]["Rules"]
    assert {"ExpirationInDays": 8, "Prefix": "transform/", "Status": "Enabled"} in rules


def test_a_transform_job_takes_whole_objects_and_the_stacks_key(stack: Stack) -> None:
    state = stack.definition["States"]["InferenceModel"]
    assert state["Resource"] == "arn:aws:states:::sagemaker:createTransformJob.sync"
    asked = dict(state["Arguments"])
    assert asked.pop("TransformJobName").startswith("{% 'inferencestack-' & ")
    folder = "{% 's3://<DataBucket>/transform/' & 'requests/' & $states.context.Execution.Name & '/first"
    assert asked == {
        "ModelName": "<Model.ModelName>",
        "BatchStrategy": "SingleRecord",
        "MaxConcurrentTransforms": 4,
        "MaxPayloadInMB": 6,
        "ModelClientConfig": {"InvocationsMaxRetries": 1, "InvocationsTimeoutInSeconds": 600},
        "TransformInput": {
            "ContentType": "application/json",
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"{folder}/in/' %}}"}},
            "SplitType": "None",
        },
        "TransformOutput": {
            "Accept": "application/json", "KmsKeyId": "<Key.Arn>", "S3OutputPath": f"{folder}/out' %}}",
        },
        "TransformResources": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeKmsKeyId": "<Key.Arn>"},
    }  # fmt: skip


def test_a_machine_may_run_this_stacks_transform_jobs_as_the_models_role_and_no_others(stack: Stack) -> None:
    job = "arn:aws:sagemaker:us-east-1:<AWS::AccountId>:transform-job/inferencestack-*"
    rule = "arn:aws:events:us-east-1:<AWS::AccountId>:rule/StepFunctionsGetEventsForSageMakerTransformJobsRule"
    for role in ("WorkflowStateMachineRole", "JobWorkflowStateMachineRole"):
        by_resource = {str(it["Resource"]): it for it in stack.statements(role)}
        calls = ["CreateTransformJob", "DescribeTransformJob", "ListTags", "StopTransformJob"]
        assert by_resource[job]["Action"] == [f"sagemaker:{call}" for call in calls]
        assert by_resource["<ModelRole.Arn>"]["Action"] == "iam:PassRole"
        assert by_resource["<ModelRole.Arn>"]["Condition"] == {
            "StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}
        }
        assert by_resource[rule]["Action"] == ["events:DescribeRule", "events:PutRule", "events:PutTargets"]


def test_a_job_stores_its_batches_by_two_more_maps_and_looks_at_all_runs(stack: Stack) -> None:
    states = stack.job["States"]
    maps = {name: it for name, it in states.items() if it["Type"] == "Map"}
    express = {name for name, it in maps.items() if it["ItemProcessor"]["ProcessorConfig"].get("ExecutionType")}
    assert maps.keys() - express == {"DescribeMapRuns"}
    for name, folder in (("StoreParts", "first"), ("StoreRefused", "again")):
        assert maps[name]["Label"] == name
        prefix = maps[name]["ItemReader"]["Arguments"]["Prefix"]
        assert prefix == f"{{% 'transform/' & $job.prefix & '/{folder}/parts/' %}}"
        assert maps[name]["ToleratedFailurePercentage"] == "{% $job.tolerate %}"
    assert states["CsvRecords"]["Next"] == "FindParts"
    assert states["Summarize"]["Arguments"]["Payload"]["mapRuns"] == "{% $states.input.mapRuns %}"


def said(document: Json, status: int = 200) -> tuple[int, dict[str, str], bytes]:
    return status, {"content-type": "application/x-amz-json-1.1"}, json.dumps(document).encode()


def ended(status: str, **more: Json) -> list[tuple[int, dict[str, str], bytes]]:
    """SageMaker's answers to the creation of a job and to the first look at it."""
    return [said({"TransformJobArn": ARN}), said({"TransformJobStatus": status, "CreationTime": 1.5, **more})]


def request(stack: Stack, stored: list[Json], *answers: Any) -> tuple[FakeAws, Any]:
    """A request whose StoreResults gives these, and whose SageMaker answers so."""
    aws = FakeAws(
        functions={
            "<PreprocessDataFunction.Arn>": lambda _: {"key": "first-key", "any": True},
            "<StoreResultsFunction.Arn>": lambda _: stored.pop(0),
        },
        replies=[it for answer in answers for it in (answer if isinstance(answer, list) else [answer])],
    )
    definition = {key: stack.definition[key] for key in ("StartAt", "States")} | {"QueryLanguage": "JSONata"}
    return aws, asyncio.run(run_async(Engine(aws, Clock(0)), json.dumps(definition), {"records": [{}]}))


def names(aws: FakeAws) -> list[str]:
    """The names of the transform jobs that were asked for."""
    return [
        json.loads(cast("bytes", it.body))["TransformJobName"]
        for it in aws.sent
        if str(it.headers["X-Amz-Target"]).endswith(".CreateTransformJob")
    ]


def stores(aws: FakeAws) -> list[tuple[str, str, str]]:
    """What each StoreResults was asked: attempt, key, reason."""
    asked = [payload for function, payload in aws.invoked if function.startswith("<StoreResults")]
    return [(it["attempt"], it["key"], it["reason"]) for it in asked]


def test_a_request_that_the_model_takes_is_one_transform_job(stack: Stack) -> None:
    aws, execution = request(stack, [{"predicted": 1}], ended("Completed"))
    assert (execution.status, execution.output) == ("SUCCEEDED", {"predicted": 1})
    assert stores(aws) == [("first", "first-key", "")]


def test_the_records_of_a_refused_request_go_to_a_second_transform_job_with_another_name(stack: Stack) -> None:
    refused = ended("Failed", FailureReason="ClientError: bad")
    aws, execution = request(stack, [{"first": 0, "again": "again-key"}, {"predicted": 1}], refused, refused)
    assert (execution.status, execution.output) == ("SUCCEEDED", {"predicted": 1})
    assert stores(aws) == [("first", "first-key", "ClientError: bad"), ("again", "again-key", "ClientError: bad")]
    assert len(set(names(aws))) == 2
    assert all(re.fullmatch(JOB_NAME, name) and len(name) <= 63 for name in names(aws))


def test_an_answer_that_is_no_json_is_refused_though_the_transform_job_completed(stack: Stack) -> None:
    aws, execution = request(
        stack, [{"first": 0, "again": "again-key"}, {"predicted": 0}], ended("Completed"), ended("Completed")
    )
    assert execution.status == "SUCCEEDED"
    assert stores(aws) == [("first", "first-key", ""), ("again", "again-key", "")]


def test_a_transform_job_that_does_not_begin_fails_the_request_after_tries_with_names_of_their_own(
    stack: Stack,
) -> None:
    aws, execution = request(stack, [], *[said(NO_INSTANCES, 400)] * 7)
    assert (execution.status, execution.error) == ("FAILED", "SageMaker.ResourceLimitExceededException")
    assert execution.cause.startswith("InferenceModel: no instances")
    assert len(set(names(aws))) == 7


def test_a_transform_job_that_somebody_stopped_fails_the_request(stack: Stack) -> None:
    aws, execution = request(stack, [], ended("Stopped"))
    assert (execution.status, execution.error) == ("FAILED", "States.TaskFailed")
    assert stores(aws) == []


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"transform_instances": 0}, "transform_instances: expected 1 to 100, received 0"),
        ({"transform_concurrency": 17}, "transform_concurrency: expected 1 to 16, received 17"),
        ({"transform_timeout": 3601}, "transform_timeout: expected 1 to 3600, received 3601"),
        ({"machine_timeout": 605}, "machine_timeout: expected more than the 605 seconds that one step may take"),
        ({"model_instances": 1}, "model_instances: expected none in mode transform, received 1"),
    ],
)
def test_settings_that_cannot_work_are_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidSettings, match=re.escape(message)):
        DEV.in_mode("transform", **changed)


def test_settings_of_transform_jobs_are_refused_in_other_modes() -> None:
    with pytest.raises(InvalidSettings, match="it is a setting of mode transform"):
        replace(PROD, transform_instances=2)


def test_the_model_takes_as_many_batches_at_once_as_all_instances_do() -> None:
    assert DEV.in_mode("transform", transform_instances=3, transform_concurrency=5).capacity == 15
