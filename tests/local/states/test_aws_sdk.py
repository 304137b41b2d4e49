"""The `aws-sdk:` integrations: what is sent, what comes back, and how errors are named."""

import json
from typing import Any

import pytest

from local.states.aws_sdk import java_exception, java_name
from local.states.calling import ServiceError
from tests.local.states.fake_aws import ACCOUNT, REGION, FakeAws, Ran, run

Json = Any
Reply = tuple[int, dict[str, str], bytes]
XML = {"content-type": "application/xml"}
JSON = {"content-type": "application/json"}


def call(action: str, arguments: Json, *replies: Reply, value: Json = None) -> tuple[Ran, FakeAws]:
    """Runs one Task of that SDK action; the service answers with `replies`."""
    aws = FakeAws(replies=list(replies) or [(200, {}, b"")])
    task = {"Type": "Task", "Resource": f"arn:aws:states:::aws-sdk:{action}", "Arguments": arguments, "End": True}
    return run({"A": task}, value, aws=aws), aws


def sent(aws: FakeAws) -> Any:
    """The one request that was sent."""
    [request] = aws.sent
    return request


def invoke(body: Json, *replies: Reply, value: Json = None) -> tuple[Ran, FakeAws]:
    arguments = {"EndpointName": "e", "ContentType": "application/json", "Body": body}
    return call("sagemakerruntime:invokeEndpoint", arguments, *replies, value=value)


# What is sent


@pytest.mark.parametrize(
    ("body", "bytes_sent"),
    [
        ({"instances": [[1, 2.5]]}, b'{"instances":[[1,2.5]]}'),
        ([1, None], b"[1,null]"),
        ("text data", b'"text data"'),
        ("é", '"é"'.encode()),
        (True, b"true"),
        (0, b"0"),
    ],
)
def test_a_blob_is_sent_as_json_text_so_that_a_string_keeps_its_quotes(body: Json, bytes_sent: bytes) -> None:
    ran, aws = invoke(body, (200, JSON, b"{}"))
    assert ran.status == "SUCCEEDED"
    assert sent(aws).body == bytes_sent


def test_the_request_is_the_services_own_with_the_machines_role_as_the_caller() -> None:
    _, aws = invoke({"x": 1}, (200, JSON, b"{}"))
    request = sent(aws)
    assert request.method == "POST"
    assert request.url.endswith("/endpoints/e/invocations")
    headers = {name.lower(): value for name, value in request.headers.items()}
    assert headers["content-type"] in ("application/json", b"application/json")
    scope = str(headers["authorization"])
    assert "Credential=key-of-machine/" in scope
    assert f"/{REGION}/sagemaker/aws4_request" in scope


def test_members_begin_with_a_capital_at_every_depth() -> None:
    arguments = {"StateMachineArn": "arn:aws:states:x", "Name": "n", "Input": {"a": [1]}}
    answer = json.dumps({"executionArn": "arn:e", "startDate": 0}).encode()
    ran, aws = call("sfn:startExecution", arguments, (200, {}, answer))
    document = json.loads(sent(aws).body)
    assert document == {"stateMachineArn": "arn:aws:states:x", "name": "n", "input": '{"a":[1]}'}
    assert ran.output == {"ExecutionArn": "arn:e", "StartDate": "1970-01-01T00:00:00.000Z"}


def test_a_member_that_is_null_is_left_out() -> None:
    _, aws = call(
        "dynamodb:getItem", {"TableName": "t", "Key": {"k": {"S": "v"}}, "ConsistentRead": None}, (200, {}, b"{}")
    )
    assert json.loads(sent(aws).body) == {"TableName": "t", "Key": {"k": {"S": "v"}}}


def test_query_and_path_are_made_as_the_service_wants_them() -> None:
    ran, aws = call(
        "s3:listObjectsV2",
        {"Bucket": "b", "Prefix": "a b/", "MaxKeys": 2},
        (200, XML, b"<ListBucketResult><KeyCount>1</KeyCount><Contents><Key>k</Key></Contents></ListBucketResult>"),
    )
    assert "/b?" in sent(aws).url
    assert "prefix=a+b%2F" in sent(aws).url
    assert ran.output["Contents"] == [{"Key": "k"}]
    assert ran.output["KeyCount"] == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"EndpointName": "e"}, "The field 'Body' is required but was missing"),
        ({"EndpointName": "e", "Body": 1, "Colour": 2}, "The field 'Colour' is not supported by Step Functions"),
        ("text", "Arguments must be an object or a JSONata expression"),
    ],
)
def test_evaluated_arguments_are_checked_before_anything_is_sent(arguments: Json, said: str) -> None:
    ran, aws = call("sagemakerruntime:invokeEndpoint", "{% $states.input %}", value=arguments)
    assert (ran.error, ran.cause) == ("States.Runtime", said)
    assert aws.sent == []


def test_a_member_of_the_wrong_type_fails_before_anything_is_sent() -> None:
    ran, aws = call("sagemakerruntime:invokeEndpoint", {"EndpointName": 5, "Body": 1})
    assert ran.error == "SageMakerRuntime.SageMakerRuntimeException"
    assert "Invalid type for parameter EndpointName" in str(ran.cause)
    assert aws.sent == []


# What comes back


def test_a_blob_in_the_answer_is_its_text() -> None:
    answer = b'{"predictions": [{"label": "benign"}]}'
    headers = {**JSON, "x-amzn-invoked-production-variant": "AllTraffic"}
    ran, _ = invoke({"x": 1}, (200, headers, answer))
    assert ran.output["Body"] == answer.decode()
    assert ran.output["ContentType"] == "application/json"
    assert ran.output["InvokedProductionVariant"] == "AllTraffic"
    assert "ResponseMetadata" not in ran.output


def test_a_streamed_object_is_its_text() -> None:
    headers = {"content-type": "text/plain", "content-length": "4", "etag": '"e"', "x-amz-meta-colour": "red"}
    ran, _ = call("s3:getObject", {"Bucket": "b", "Key": "k"}, (200, headers, "aé!".encode()))
    assert ran.output["Body"] == "aé!"
    assert ran.output["ETag"] == '"e"'
    assert ran.output["Metadata"] == {"colour": "red"}


# Errors


def refused(code: str, status: int = 400, message: str = "no") -> Reply:
    body = json.dumps({"message": message, "Message": message}).encode()
    return status, {"x-amzn-errortype": code, "x-amzn-requestid": "r-1", **JSON}, body


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("ModelError", 424, "SageMakerRuntime.ModelErrorException"),
        ("ModelNotReadyException", 429, "SageMakerRuntime.ModelNotReadyException"),
        ("ValidationError", 400, "SageMakerRuntime.ValidationErrorException"),
        ("ServiceUnavailable", 503, "SageMakerRuntime.ServiceUnavailableException"),
        ("InternalFailure", 500, "SageMakerRuntime.InternalFailureException"),
        ("InternalDependencyException", 530, "SageMakerRuntime.InternalDependencyException"),
        ("AccessDeniedException", 400, "SageMakerRuntime.SageMakerRuntimeException"),
        ("SomethingNew", 400, "SageMakerRuntime.SageMakerRuntimeException"),
    ],
)
def test_an_error_has_the_name_of_the_java_sdks_exception(code: str, status: int, error: str) -> None:
    ran, _ = invoke({"x": 1}, refused(code, status))
    assert ran.error == error
    assert ran.cause == f"no (Service: SageMakerRuntime, Status Code: {status}, Request ID: r-1)"
    assert ran.details("TaskFailed")[0]["resourceType"] == "aws-sdk:sagemakerruntime"
    assert ran.details("TaskFailed")[0]["resource"] == "invokeEndpoint"


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("NoSuchKey", 404, "S3.NoSuchKeyException"),
        ("SlowDown", 503, "S3.S3Exception"),
    ],
)
def test_an_error_of_s3_is_named_by_its_code(code: str, status: int, error: str) -> None:
    body = f"<Error><Code>{code}</Code><Message>no</Message><RequestId>r-1</RequestId></Error>".encode()
    ran, _ = call("s3:getObject", {"Bucket": "b", "Key": "k"}, (status, XML, body))
    assert ran.error == error
    assert str(ran.cause).startswith(f"no (Service: S3, Status Code: {status}")


def test_an_error_can_be_caught_by_its_name() -> None:
    task = {
        "Type": "Task",
        "Resource": "arn:aws:states:::aws-sdk:sagemakerruntime:invokeEndpoint",
        "Arguments": {"EndpointName": "e", "Body": {}},
        "Catch": [{"ErrorEquals": ["SageMakerRuntime.ModelErrorException"], "Next": "B", "Output": "caught"}],
        "Next": "B",
    }
    aws = FakeAws(replies=[refused("ModelError", 424)])
    assert run({"A": task, "B": {"Type": "Succeed"}}, aws=aws).output == "caught"


@pytest.mark.parametrize(
    ("service_id", "name"),
    [
        ("SageMaker Runtime", "SageMakerRuntime"),
        ("SageMaker", "SageMaker"),
        ("S3", "S3"),
        ("DynamoDB", "DynamoDb"),
        ("Secrets Manager", "SecretsManager"),
        ("SFN", "Sfn"),
    ],
)
def test_a_service_has_the_name_that_the_java_sdk_gives_it(service_id: str, name: str) -> None:
    assert java_name(service_id) == name


@pytest.mark.parametrize(
    ("shape", "name"),
    [
        ("NoSuchKey", "NoSuchKeyException"),
        ("ResourceInUse", "ResourceInUseException"),
        ("LimitException", "LimitException"),
    ],
)
def test_an_error_shape_becomes_an_exception(shape: str, name: str) -> None:
    assert java_exception(shape) == name


def test_a_role_that_cannot_be_assumed_fails_the_task() -> None:
    class Unassumable(FakeAws):
        def access_key(self, role_arn: str, machine_arn: str) -> str:
            raise ServiceError("AccessDeniedException", f"{ACCOUNT} may not assume it", 400)

    task = {
        "Type": "Task",
        "Resource": "arn:aws:states:::aws-sdk:s3:getObject",
        "Arguments": {"Bucket": "b", "Key": "k"},
        "End": True,
    }
    ran = run({"A": task}, aws=Unassumable())
    assert ran.error == "S3.S3Exception"
    assert ran.cause == f"{ACCOUNT} may not assume it (Service: S3, Status Code: 400)"
