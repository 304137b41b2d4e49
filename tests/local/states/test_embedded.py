"""The engine within the running embedded AWS: real services, real IAM, real logs."""

import json
import time
from typing import Any

import pytest

from tests.local.states.fake_aws import machine
from tests.local_aws import LocalAws

Json = Any
STATES = "states.amazonaws.com"
BUCKET = "states-engine-tests"


@pytest.fixture(scope="module")
def bucket(aws: LocalAws) -> str:
    aws.client("s3").create_bucket(Bucket=BUCKET)
    return BUCKET


def allow(action: str, resource: str) -> dict[str, Json]:
    return {"Effect": "Allow", "Action": action, "Resource": resource}


def sdk(action: str, arguments: Json, **more: Json) -> dict[str, Json]:
    resource = f"arn:aws:states:::aws-sdk:{action}"
    return {"Type": "Task", "Resource": resource, "Arguments": arguments, **more}


def execute(aws: LocalAws, name: str, role: str, states: Json, **more: Json) -> dict[str, Any]:
    """Creates a machine, runs it once, and describes the execution."""
    client = aws.client("stepfunctions")
    arn = client.create_state_machine(name=name, definition=machine(states), roleArn=role, **more)["stateMachineArn"]
    started = client.start_execution(stateMachineArn=arn, input='{"secret": 1}')
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        described: dict[str, Any] = client.describe_execution(executionArn=started["executionArn"])
        if described["status"] != "RUNNING":
            return described
    raise AssertionError("the execution did not end")


def test_a_text_stored_through_the_sdk_keeps_its_quotes_and_comes_back_as_text(aws: LocalAws, bucket: str) -> None:
    objects = f"arn:aws:s3:::{bucket}/*"
    role = aws.role("storing", STATES, allow("s3:PutObject", objects), allow("s3:GetObject", objects))
    place = {"Bucket": bucket, "Key": "text"}
    states = {
        "Put": sdk("s3:putObject", {**place, "Body": "text data"}, Next="Get"),
        "Get": sdk("s3:getObject", place, Output="{% $states.result.Body %}", End=True),
    }
    described = execute(aws, "storing", role, states)
    assert (described["status"], described.get("output")) == ("SUCCEEDED", json.dumps('"text data"'))


def test_a_missing_object_and_a_missing_grant_have_the_services_errors(aws: LocalAws, bucket: str) -> None:
    reading = [allow("s3:GetObject", f"arn:aws:s3:::{bucket}/*"), allow("s3:ListBucket", f"arn:aws:s3:::{bucket}")]
    states = {"Get": sdk("s3:getObject", {"Bucket": bucket, "Key": "gone"}, End=True)}
    described = execute(aws, "reading", aws.role("reading", STATES, *reading), states)
    assert (described["status"], described["error"]) == ("FAILED", "S3.NoSuchKeyException")
    described = execute(aws, "powerless", aws.role("powerless", STATES), states)
    assert described["status"] == "FAILED"
    assert described["error"].startswith("S3.")
    assert "Status Code: 403" in described["cause"]


def test_a_function_that_may_not_be_called_fails_as_in_aws(aws: LocalAws) -> None:
    role = aws.role("uncalling", STATES)
    call = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Arguments": {"FunctionName": "nobody", "Payload": {}},
        "End": True,
    }
    described = execute(aws, "uncalling", role, {"Call": call})
    assert described["error"] == "Lambda.AWSLambdaException"
    assert "is not authorized to perform: lambda:InvokeFunction on resource: " in described["cause"]


def test_a_role_that_step_functions_may_not_assume_fails_the_call(aws: LocalAws, bucket: str) -> None:
    role = aws.role("foreign", "lambda.amazonaws.com", allow("s3:*", "*"))
    states = {"Get": sdk("s3:getObject", {"Bucket": bucket, "Key": "k"}, End=True)}
    described = execute(aws, "foreign", role, states)
    assert described["error"] == "S3.S3Exception"
    assert role in described["cause"]


def test_the_events_of_an_execution_are_in_its_log_group(aws: LocalAws) -> None:
    logs = aws.client("logs")
    logs.create_log_group(logGroupName="/states/logged")
    [group] = logs.describe_log_groups(logGroupNamePrefix="/states/logged")["logGroups"]
    configuration = {
        "level": "ALL",
        "includeExecutionData": False,
        "destinations": [{"cloudWatchLogsLogGroup": {"logGroupArn": group["arn"]}}],
    }
    states = {"A": {"Type": "Pass", "End": True}}
    described = execute(aws, "logged", aws.role("logged", STATES), states, loggingConfiguration=configuration)
    [stream] = logs.describe_log_streams(logGroupName="/states/logged")["logStreams"]
    events = logs.get_log_events(logGroupName="/states/logged", logStreamName=stream["logStreamName"])["events"]
    lines = [json.loads(event["message"]) for event in events]
    assert [line["type"] for line in lines] == [
        "ExecutionStarted",
        "PassStateEntered",
        "PassStateExited",
        "ExecutionSucceeded",
    ]
    assert {line["execution_arn"] for line in lines} == {described["executionArn"]}
    assert "secret" not in json.dumps(lines)
