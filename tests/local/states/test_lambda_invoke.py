"""The integration `lambda:invoke`: what a function gets, what its answer becomes, and its errors."""

import json
from typing import Any

import pytest

from lambda_src.contract import MAX_STATE_BYTES
from local.states.calling import ServiceError
from tests.local.states.fake_aws import INVOKE, Answered, FakeAws, Raised, run

Json = Any


def invoke(arguments: Json) -> dict[str, Json]:
    return {"Type": "Task", "Resource": INVOKE, "Arguments": arguments, "End": True}


def answering(answer: Json) -> FakeAws:
    return FakeAws({"f": lambda _value: answer})


def test_the_payload_is_what_the_function_gets() -> None:
    aws = FakeAws({"f": lambda value: value})
    payload = {"records": "{% $states.input.rows %}", "text": "é"}
    ran = run({"A": invoke({"FunctionName": "f", "Payload": payload})}, {"rows": [1, None]}, aws=aws)
    assert aws.invoked == [("f", {"records": [1, None], "text": "é"})]
    assert ran.output == {
        "ExecutedVersion": "$LATEST",
        "Payload": {"records": [1, None], "text": "é"},
        "SdkHttpMetadata": {"HttpStatusCode": 200},
        "StatusCode": 200,
    }


def test_without_a_payload_the_function_gets_an_empty_object() -> None:
    aws = answering(1)
    run({"A": invoke({"FunctionName": "f"})}, aws=aws)
    assert aws.invoked == [("f", {})]


def test_a_qualifier_is_part_of_the_functions_name() -> None:
    aws = FakeAws({"f:live": lambda _value: "ok"})
    ran = run({"A": invoke({"FunctionName": "f", "Qualifier": "live", "InvocationType": "RequestResponse"})}, aws=aws)
    assert ran.output["Payload"] == "ok"


@pytest.mark.parametrize("answer", [None, 0, "text", [], {"a": {"b": [1.5]}}])
def test_any_json_answer_is_the_payload(answer: Json) -> None:
    assert run({"A": invoke({"FunctionName": "f"})}, aws=answering(answer)).output["Payload"] == answer


def test_a_functions_exception_has_its_class_name_and_the_whole_document_as_the_cause() -> None:
    def function(_value: Json) -> Json:
        raise Raised("ValueError", "bad record")

    ran = run({"A": invoke({"FunctionName": "f"})}, aws=FakeAws({"f": function}))
    assert (ran.status, ran.error) == ("FAILED", "ValueError")
    assert json.loads(str(ran.cause)) == {"errorMessage": "bad record", "errorType": "ValueError", "stackTrace": []}


@pytest.mark.parametrize("payload", [b"killed", b"{}", b'{"errorType": ""}', b"[]", b'{"errorType": 5}'])
def test_an_error_without_a_type_is_unknown(payload: bytes) -> None:
    ran = run({"A": invoke({"FunctionName": "f"})}, aws=answering(Answered(payload, "Unhandled")))
    assert (ran.error, ran.cause) == ("Lambda.Unknown", payload.decode())


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("AccessDeniedException", "Lambda.AWSLambdaException"),
        ("ResourceNotFoundException", "Lambda.ResourceNotFoundException"),
        ("TooManyRequestsException", "Lambda.TooManyRequestsException"),
        ("ServiceException", "Lambda.ServiceException"),
    ],
)
def test_an_error_of_lambda_itself_has_awss_name(code: str, error: str) -> None:
    aws = FakeAws(refusal=ServiceError(code, "may not", 403))
    ran = run({"A": invoke({"FunctionName": "f"})}, aws=aws)
    assert (ran.error, ran.cause) == (error, "may not (Service: Lambda, Status Code: 403)")
    assert ran.types[-2:] == ["TaskFailed", "ExecutionFailed"]


def test_an_answer_of_more_than_256_kib_fails() -> None:
    ran = run({"A": invoke({"FunctionName": "f"})}, aws=answering("x" * MAX_STATE_BYTES))
    assert ran.error == "States.DataLimitExceeded"
    assert str(ran.cause).startswith("The state/task 'lambda' returned a result with a size exceeding")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "The field 'FunctionName' is required but was missing"),
        ({"FunctionName": "f", "Colour": 1}, "The field 'Colour' is not supported by Step Functions"),
        ({"FunctionName": "f", "InvocationType": "Event"}, "The embedded AWS does not run 'InvocationType' \"Event\""),
    ],
)
def test_evaluated_arguments_are_checked_too(arguments: Json, said: str) -> None:
    ran = run({"A": invoke("{% $states.input %}")}, arguments, aws=answering(1))
    assert (ran.error, ran.cause) == ("States.Runtime", said)
