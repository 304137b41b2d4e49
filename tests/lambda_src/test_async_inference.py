"""SubmitInference and ResumeInference: what lies in S3, what is asked and told, and which errors are whose."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from lambda_src import resume_inference, submit_inference
from lambda_src.resume_inference import ANSWER_BYTES, TaskUnreachable
from lambda_src.submit_inference import EndpointUnavailable
from tests.lambda_src.bucket import Bucket

EVENT = {"token": "the-token", "instances": [[1.0], [2.0]]}
ID = "0bd4d0a8ed2a4b0b"
KEYS: Any = {"region_name": "us-east-1", "aws_access_key_id": "test", "aws_secret_access_key": "test"}


@pytest.fixture
def runtime(data: Bucket, monkeypatch: pytest.MonkeyPatch) -> Stubber:
    client = boto3.client("sagemaker-runtime", **KEYS)
    monkeypatch.setattr(submit_inference, "client", lambda: client)
    monkeypatch.setenv("ENDPOINT", "queue")
    monkeypatch.setenv("MODEL_SECONDS", "900")
    stub = Stubber(client)
    stub.activate()
    return stub


@pytest.fixture
def states(data: Bucket, monkeypatch: pytest.MonkeyPatch) -> Stubber:
    client = boto3.client("stepfunctions", **KEYS)
    monkeypatch.setattr(resume_inference, "client", lambda: client)
    data.objects[f"async/tokens/{ID}.json"] = b'{"token": "the-token"}'
    stub = Stubber(client)
    stub.activate()
    return stub


def test_a_batch_is_handed_in_with_its_token_beside_it(data: Bucket, runtime: Stubber) -> None:
    identity = hashlib.sha256(b"the-token").hexdigest()[:32]
    asked = {
        "EndpointName": "queue",
        "ContentType": "application/json",
        "Accept": "application/json",
        "InferenceId": identity,
        "InputLocation": f"s3://data/async/in/{identity}.json",
        "InvocationTimeoutSeconds": 900,
    }
    runtime.add_response("invoke_endpoint_async", {"InferenceId": identity}, asked)
    assert submit_inference.handler(EVENT, None) == {"id": identity}
    assert json.loads(data.objects[f"async/in/{identity}.json"]) == {"instances": [[1.0], [2.0]]}
    assert json.loads(data.objects[f"async/tokens/{identity}.json"]) == {"token": "the-token"}
    runtime.assert_no_pending_responses()


def test_what_was_handed_in_is_not_read_when_the_same_call_comes_again(data: Bucket, runtime: Stubber) -> None:
    for _ in range(2):
        runtime.add_response("invoke_endpoint_async", {"InferenceId": "any"})
        submit_inference.handler(EVENT, None)
    assert {method for method, _ in data.asked} == {"PUT"}
    assert len(data.objects) == 2


@pytest.mark.parametrize(
    ("code", "status"), [("ThrottlingException", 400), ("ServiceUnavailable", 503), ("InternalFailure", 500)]
)
def test_what_passes_has_a_name_that_the_workflow_tries_again(runtime: Stubber, code: str, status: int) -> None:
    runtime.add_client_error("invoke_endpoint_async", code, "", status)
    with pytest.raises(EndpointUnavailable):
        submit_inference.handler(EVENT, None)


def test_what_another_try_cannot_change_stays_what_it_is(runtime: Stubber) -> None:
    runtime.add_client_error("invoke_endpoint_async", "ValidationError", "no such endpoint", 400)
    with pytest.raises(ClientError, match="no such endpoint"):
        submit_inference.handler(EVENT, None)


def heard(**message: Any) -> dict[str, Any]:
    """SNS's event for one notification of the endpoint."""
    return {"Records": [{"Sns": {"Message": json.dumps({"inferenceId": ID, **message})}}]}


def answered(data: Bucket, body: bytes) -> dict[str, Any]:
    data.objects["async/out/1.out"] = body
    place = {"outputLocation": "s3://data/async/out/1.out"}
    return heard(invocationStatus="Completed", responseParameters=place)


def test_the_task_is_told_its_predictions_and_the_models_version(data: Bucket, states: Stubber) -> None:
    said = '{"predictions": [1, 2], "variant": "AllTraffic"'
    for output in (f"{said}}}", f'{said}, "version": "v1"}}'):
        states.add_response("send_task_success", {}, {"taskToken": "the-token", "output": output})
    resume_inference.handler(answered(data, b'{"predictions": [1, 2], "more": 3}'), None)
    resume_inference.handler(answered(data, b'{"version": "v1", "predictions": [1, 2]}'), None)
    states.assert_no_pending_responses()


@pytest.mark.parametrize("body", [b"", b"not JSON", b'{"predictions": [NaN]}', b'{"answers": []}', b"[1]", b"null"])
def test_an_answer_that_nobody_can_read_is_a_refusal_so_that_the_batch_is_split(
    data: Bucket, states: Stubber, body: bytes
) -> None:
    error, cause = refused(states, answered(data, body))
    assert error == "ModelRefused"
    assert cause.startswith("the model answered something else than JSON with a list of predictions: ")


def test_an_answer_too_large_for_a_state_is_a_failure_with_the_limit(data: Bucket, states: Stubber) -> None:
    error, cause = refused(states, answered(data, b" " * (ANSWER_BYTES + 1)))
    assert (error, cause) == (
        "InferenceFailed",
        "expected an answer of at most 261120 bytes, received 261121 at s3://data/async/out/1.out",
    )


@pytest.mark.parametrize(
    ("reason", "error"),
    [
        ("ClientError: Received client error (400) from model. See the logs.", "ModelRefused"),
        ("ClientError: Received server error (500) from primary with message", "ModelRefused"),
        ("ClientError: the input could not be read", "InferenceFailed"),
    ],
)
def test_what_the_models_own_code_refuses_is_told_apart_from_other_failures(
    states: Stubber, reason: str, error: str
) -> None:
    assert refused(states, heard(invocationStatus="Failed", failureReason=reason)) == (error, reason)


def refused(states: Stubber, event: dict[str, Any]) -> tuple[str, str]:
    """The error and the cause that the task is told."""
    said: list[dict[str, str]] = []
    states.client.meta.events.register(
        "provide-client-params.sfn.SendTaskFailure", lambda params, **_: said.append(params)
    )
    states.add_response("send_task_failure", {})
    resume_inference.handler(event, None)
    assert said[0]["taskToken"] == "the-token"
    return said[0]["error"], said[0]["cause"]


@pytest.mark.parametrize("code", ["TaskTimedOut", "TaskDoesNotExist", "InvalidToken"])
def test_a_notification_that_comes_twice_or_too_late_is_no_error(data: Bucket, states: Stubber, code: str) -> None:
    states.add_client_error("send_task_success", code)
    resume_inference.handler(answered(data, b'{"predictions": []}'), None)


def test_where_step_functions_cannot_be_told_lambda_tries_again(data: Bucket, states: Stubber) -> None:
    states.add_client_error("send_task_success", "ThrottlingException", "slow down", 400)
    with pytest.raises(TaskUnreachable, match="slow down"):
        resume_inference.handler(answered(data, b'{"predictions": []}'), None)
