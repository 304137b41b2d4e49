"""Asynchronous endpoints: input and output in S3, one notification a request, as many at work as the instances take."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.sagemaker.aws import Place
from tests.local.sagemaker.around import ACCOUNT, ROLE, Cloud, program, variant_of

# Answers with what it was given and how many requests it had at once.
MODEL = program(
    "import json, threading, time\n"
    "class Refused(Exception):\n"
    "    status_code, message = 400, 'unable to evaluate'\n"
    "def model_fn(model_dir): pass\n"
    "def transform_fn(model, data, content_type, accept):\n"
    "    if data == b'refuse': raise Refused\n"
    "    if data == b'sleep': time.sleep(1.1)\n"
    "    return data + f' {content_type} {accept}'.encode(), 'text/plain'\n"
)
TOPICS = {
    "SuccessTopic": f"arn:aws:sns:eu-central-1:{ACCOUNT}:answered",
    "ErrorTopic": f"arn:aws:sns:eu-central-1:{ACCOUNT}:failed",
}
OUTPUT = {"S3OutputPath": "s3://data/out/", "S3FailurePath": "s3://data/failed", "NotificationConfig": TOPICS}


def config(cloud: Cloud, name: str, **given: Any) -> None:
    document = {
        "ProductionVariants": [variant_of(ModelName="queued")],
        "AsyncInferenceConfig": {"OutputConfig": OUTPUT, "ClientConfig": {"MaxConcurrentInvocationsPerInstance": 2}},
        **given,
    }
    cloud.client("sagemaker").create_endpoint_config(EndpointConfigName=name, **document)


@pytest.fixture(scope="module")
def cloud(shared: Cloud) -> Cloud:
    shared.put_model("queued", MODEL)
    config(shared, "queued")
    assert shared.put_endpoint("queued", "queued")["EndpointStatus"] == "InService"
    return shared


@pytest.fixture(autouse=True)
def nothing_left(cloud: Cloud) -> Iterator[None]:
    cloud.memory.published.clear()
    yield
    cloud.memory.forbidden.clear()


def invoke(cloud: Cloud, body: bytes | None, **given: Any) -> dict[str, Any]:
    if body is not None:
        cloud.memory.objects["data", f"in/{body.decode()}"] = body
    location = f"s3://data/in/{body.decode()}" if body is not None else "s3://data/in/absent"
    parameters = {"EndpointName": "queued", "InputLocation": location, **given}
    return dict(cloud.client("sagemaker-runtime").invoke_endpoint_async(**parameters))


def until(found: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not found():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def told(cloud: Cloud) -> tuple[str, dict[str, Any]]:
    """The one notification that comes."""
    until(lambda: bool(cloud.memory.published))
    ((topic, message),) = cloud.memory.published
    return topic, message


def stored(cloud: Cloud, uri: str) -> bytes:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return cloud.memory.objects[bucket, key]


def test_the_answer_lies_where_the_response_said_and_a_notification_tells_of_it(cloud: Cloud) -> None:
    answer = invoke(cloud, b"hello", ContentType="application/x-text", Accept="text/plain", InferenceId="mine")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert answer["InferenceId"] == "mine"
    assert re.fullmatch(r"s3://data/out/[0-9a-f-]{36}\.out", answer["OutputLocation"])
    assert re.fullmatch(r"s3://data/failed/[0-9a-f-]{36}-error\.out", answer["FailureLocation"])
    topic, message = told(cloud)
    assert topic == TOPICS["SuccessTopic"], message
    assert stored(cloud, answer["OutputLocation"]) == b"hello application/x-text text/plain"
    times = [message.pop("eventTime"), message.pop("receivedTime")]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", it) for it in times)
    assert message == {
        "awsRegion": "eu-central-1",
        "invocationStatus": "Completed",
        "requestParameters": {
            "accept": "text/plain",
            "contentType": "application/x-text",
            "endpointName": "queued",
            "inputLocation": "s3://data/in/hello",
        },
        "responseParameters": {"contentType": "text/plain", "outputLocation": answer["OutputLocation"]},
        "inferenceId": "mine",
        "eventVersion": "1.0",
        "eventSource": "aws:sagemaker",
        "eventName": "InferenceResult",
    }


def test_what_the_model_refuses_leaves_the_reason_and_a_notification_of_failure(cloud: Cloud) -> None:
    answer = invoke(cloud, b"refuse")
    topic, message = told(cloud)
    assert (topic, message["invocationStatus"]) == (TOPICS["ErrorTopic"], "Failed")
    assert "Received client error (400)" in message["failureReason"]
    assert "responseParameters" not in message
    assert stored(cloud, answer["FailureLocation"]).decode() == message["failureReason"]


def test_an_input_that_does_not_exist_is_a_failure_of_its_request(cloud: Cloud) -> None:
    invoke(cloud, None)
    assert told(cloud)[1]["invocationStatus"] == "Failed"


def test_a_request_that_takes_too_long_fails(cloud: Cloud) -> None:
    invoke(cloud, b"sleep", InvocationTimeoutSeconds=1)
    assert "timed out" in told(cloud)[1]["failureReason"]


@pytest.mark.parametrize("action", ["s3:GetObject", "s3:PutObject"])
def test_the_models_role_reads_and_writes_so_a_missing_grant_fails_the_request(cloud: Cloud, action: str) -> None:
    cloud.memory.forbidden.add((ROLE, action))
    invoke(cloud, b"hello")
    topic, message = told(cloud)
    assert topic == TOPICS["ErrorTopic"]
    assert f"not authorized to perform: {action}" in message["failureReason"]


def test_a_role_that_may_not_publish_leaves_the_answer_without_a_notification(cloud: Cloud) -> None:
    cloud.memory.forbidden.add((ROLE, "sns:Publish"))
    answer = invoke(cloud, b"hello")
    until(lambda: tuple(answer["OutputLocation"].removeprefix("s3://").split("/", 1)) in cloud.memory.objects)
    until(lambda: (ROLE, "sns:Publish", TOPICS["SuccessTopic"]) in cloud.memory.asked)
    assert cloud.memory.published == []


def test_more_requests_than_the_instances_take_wait_for_their_turn(cloud: Cloud) -> None:
    endpoint = cloud.sagemaker.store(Place(ACCOUNT, "eu-central-1")).endpoint("queued")
    queue = cloud.sagemaker._runtime._queues[endpoint]
    assert queue.capacity == 2
    held = [invoke(cloud, b"sleep", InvocationTimeoutSeconds=1) for _ in range(2)]
    until(lambda: queue._busy == 2)
    last = invoke(cloud, b"hello", InferenceId="last")
    assert queue._busy == 2
    until(lambda: len(cloud.memory.published) == 3)
    assert [message["inferenceId"] for _, message in cloud.memory.published][2] == "last"
    assert {message["inferenceId"] for _, message in cloud.memory.published[:2]} == {it["InferenceId"] for it in held}
    assert stored(cloud, last["OutputLocation"]).startswith(b"hello")


def test_each_way_to_call_is_for_its_own_kind_of_endpoint(cloud: Cloud) -> None:
    runtime = cloud.client("sagemaker-runtime")
    with pytest.raises(ClientError, match="it takes InvokeEndpointAsync"):
        runtime.invoke_endpoint(EndpointName="queued", Body=b"")
    cloud.put_config("at-once", {"ModelName": "queued"})
    cloud.put_endpoint("at-once", "at-once")
    with pytest.raises(ClientError, match="has no AsyncInferenceConfig"):
        invoke(cloud, b"any", EndpointName="at-once")
    with pytest.raises(ClientError, match="makes an endpoint asynchronous"):
        cloud.client("sagemaker").update_endpoint(EndpointName="at-once", EndpointConfigName="queued")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"InputLocation": "https://data/in"}, "InputLocation must be s3://bucket/key, received 'https://data/in'"),
        ({"Body": b"here"}, "Body of InvokeEndpointAsync"),
        ({"Filename": "name"}, "Filename"),
        ({"EndpointName": "absent"}, "Endpoint absent of account"),
    ],
)
def test_a_request_that_is_not_served_is_refused(cloud: Cloud, given: dict[str, Any], said: str) -> None:
    with pytest.raises(ClientError, match=re.escape(said)):
        invoke(cloud, b"any", **given)


def test_a_caller_without_the_permission_is_refused(cloud: Cloud) -> None:
    cloud.memory.forbidden.add(("AKIATEST", "sagemaker:InvokeEndpointAsync"))
    with pytest.raises(ClientError, match="not authorized to perform: sagemaker:InvokeEndpointAsync"):
        invoke(cloud, b"any")


def test_a_deleted_endpoint_forgets_what_it_has_in_its_queue(cloud: Cloud) -> None:
    cloud.put_endpoint("gone", "queued")
    endpoint = cloud.sagemaker.store(Place(ACCOUNT, "eu-central-1")).endpoint("gone")
    for _ in range(3):
        invoke(cloud, b"sleep", EndpointName="gone")
    cloud.client("sagemaker").delete_endpoint(EndpointName="gone")
    cloud.run(cloud.sagemaker.endpoints.settled(endpoint))
    assert cloud.memory.published == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {
                "AsyncInferenceConfig": {
                    "OutputConfig": {**OUTPUT, "NotificationConfig": {"IncludeInferenceResponseIn": []}}
                }
            },
            "AsyncInferenceNotificationConfig.IncludeInferenceResponseIn",
        ),
        ({"AsyncInferenceConfig": {"OutputConfig": {}}}, "AsyncInferenceConfig without an S3OutputPath"),
        (
            {
                "ProductionVariants": [
                    {
                        "VariantName": "v",
                        "ModelName": "queued",
                        "ServerlessConfig": {"MemorySizeInMB": 1024, "MaxConcurrency": 1},
                    }
                ]
            },
            "cannot be specified for a serverless endpoint",
        ),
        (
            {"ProductionVariants": [variant_of(ModelName="queued"), variant_of(ModelName="queued", VariantName="b")]},
            "several production variants",
        ),
    ],
)
def test_a_configuration_that_is_not_served_is_refused(cloud: Cloud, given: dict[str, Any], said: str) -> None:
    with pytest.raises(ClientError, match=said):
        config(cloud, "refused", **given)


def test_the_endpoint_tells_how_it_is_configured(cloud: Cloud) -> None:
    described = cloud.client("sagemaker").describe_endpoint(EndpointName="queued")
    assert described["AsyncInferenceConfig"]["OutputConfig"] == OUTPUT
    assert json.dumps(described["ProductionVariants"][0]["CurrentInstanceCount"]) == "1"
