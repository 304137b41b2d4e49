"""`sagemaker:createTransformJob.sync`: the job is created, followed and, with its execution, stopped."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from local.clock import Clock
from local.states.machines import Engine
from tests.local.states.fake_aws import MACHINE, ROLE, FakeAws, machine, run

Json = Any
RESOURCE = "arn:aws:states:::sagemaker:createTransformJob.sync"
ARGUMENTS = {
    "TransformJobName": "job",
    "ModelName": "model",
    "TransformInput": {"DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://b/in"}}},
    "TransformOutput": {"S3OutputPath": "s3://b/out"},
    "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
}
STATE = {"Type": "Task", "Resource": RESOURCE, "Arguments": ARGUMENTS, "End": True}
ARN = "arn:aws:sagemaker:us-east-1:000000000000:transform-job/job"


def said(document: Json, status: int = 200) -> tuple[int, dict[str, str], bytes]:
    return status, {"content-type": "application/x-amz-json-1.1"}, json.dumps(document).encode()


def described(status: str, **more: Json) -> tuple[int, dict[str, str], bytes]:
    job = {**ARGUMENTS, "TransformJobArn": ARN, "TransformJobStatus": status, "CreationTime": 1.5, **more}
    return said(job)


def actions(aws: FakeAws) -> list[str]:
    return [str(request.headers["X-Amz-Target"]).rpartition(".")[2] for request in aws.sent]


@dataclass
class Denying(FakeAws):
    """Allows all but one action."""

    action: str = ""

    def authorize(
        self, access_key: str, action: str, resource: str, region: str, context: Mapping[str, str] | None = None
    ) -> str | None:
        assert resource.endswith("/StepFunctionsGetEventsForSageMakerTransformJobsRule")
        return f"no {action}" if action == self.action else None


def test_the_task_ends_with_the_job_that_completed() -> None:
    aws = FakeAws(replies=[said({"TransformJobArn": ARN}), described("InProgress"), described("Completed")])
    ran = run({"A": STATE}, aws=aws)
    assert ran.output["TransformJobStatus"] == "Completed"
    assert ran.output["CreationTime"] == "1970-01-01T00:00:01.500Z"
    assert ran.output["TransformOutput"] == {"S3OutputPath": "s3://b/out"}
    assert actions(aws) == ["CreateTransformJob", "DescribeTransformJob", "DescribeTransformJob"]
    assert ran.types[2:6] == ["TaskScheduled", "TaskStarted", "TaskSubmitted", "TaskSucceeded"]
    assert ran.details("TaskScheduled")[0]["resource"] == "createTransformJob.sync"


@pytest.mark.parametrize("status", ["Failed", "Stopped"])
def test_a_job_that_did_not_complete_fails_the_task_with_its_description(status: str) -> None:
    aws = FakeAws(replies=[said({"TransformJobArn": ARN}), described(status, FailureReason="ClientError: it is bad")])
    ran = run({"A": STATE}, aws=aws)
    assert ran.error == "States.TaskFailed"
    assert json.loads(str(ran.cause))["FailureReason"] == "ClientError: it is bad"


def test_a_request_that_is_refused_fails_the_task_at_once() -> None:
    refusal = said({"__type": "ValidationException", "message": "Could not find model"}, 400)
    ran = run({"A": STATE}, aws=FakeAws(replies=[refusal]))
    assert ran.error == "SageMaker.AmazonSageMakerException"
    assert "Could not find model" in str(ran.cause)


def test_with_the_execution_the_job_is_stopped_too() -> None:
    aws = FakeAws(replies=[said({"TransformJobArn": ARN}), *[described("InProgress")] * 1000])

    async def work() -> None:
        engine = Engine(aws, Clock(0))
        engine.create(MACHINE, definition=machine({"A": STATE}), role_arn=ROLE)
        execution = engine.start(MACHINE, "once", {})
        while len(aws.sent) < 3:
            await asyncio.sleep(0)
        engine.stop(execution.arn, None, None)
        assert execution.task is not None
        await asyncio.wait([execution.task])

    asyncio.run(work())
    assert actions(aws)[-1] == "StopTransformJob"


@pytest.mark.parametrize("action", ["events:PutTargets", "events:PutRule", "events:DescribeRule"])
def test_a_role_that_may_not_manage_the_rule_starts_no_job(action: str) -> None:
    aws = Denying(action=action)
    ran = run({"A": STATE}, aws=aws)
    assert f"not authorized to create managed-rule: no {action}" in str(ran.cause)
    assert aws.sent == []
