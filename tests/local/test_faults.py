"""Faults: each looks to its caller as AWS's own does, meets the calls its rule means, and leaves nothing behind."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, HTTPClientError

from local import ministack
from local.faults import client, errors
from local.faults.calls import call_of
from local.faults.rules import RuleError, matches, rule_of, rules_of
from local.functions import current
from local.states import lambda_invoke
from local.states.aws_sdk import AwsSdkCall
from local.states.calling import Caller
from local.states.embedded import EmbeddedAws
from local.states.failures import StateFailure
from tests.injection import faults
from tests.local_aws import LAMBDA_TRUST, LocalAws, zipped
from tests.synthesis import ROOT

SLOW = {"service": "s3", "action": "PutObject", "error": "SlowDown"}


@pytest.fixture(scope="module")
def bucket(aws: LocalAws) -> str:
    name = f"faults-{uuid.uuid4().hex[:8]}"
    aws.client("s3").create_bucket(Bucket=name)
    return name


@pytest.fixture(scope="module")
def function(aws: LocalAws) -> str:
    """A function that answers with what it gets."""
    name = f"f-{uuid.uuid4().hex[:8]}"
    made = aws.client("lambda").create_function(
        FunctionName=name,
        Role=aws.role(f"{name}-role", LAMBDA_TRUST),
        Runtime="python3.13",
        Handler="app.handler",
        Code={"ZipFile": zipped(app="def handler(event, context):\n    return event")},
    )
    return str(made["FunctionArn"])


@pytest.fixture(scope="module")
def caller(aws: LocalAws) -> Caller:
    """A state machine's role that may call anything here."""
    allow = {"Effect": "Allow", "Action": ["s3:*", "lambda:*", "sagemaker:*"], "Resource": "*"}
    role = aws.role(f"m-{uuid.uuid4().hex[:8]}", "states.amazonaws.com", allow)
    return Caller(role, "arn:aws:states:us-east-1:000000000000:stateMachine:caller", EmbeddedAws())


def _put(aws: LocalAws, bucket: str, key: str) -> None:
    aws.client("s3").put_object(Bucket=bucket, Key=key, Body=b"new")


def _keys(aws: LocalAws, bucket: str) -> set[str]:
    return {found["Key"] for found in aws.client("s3").list_objects_v2(Bucket=bucket).get("Contents", [])}


def _failure(caller: Caller, service: str, action: str, arguments: Any) -> StateFailure:
    call: Any = lambda_invoke.LambdaInvoke() if service == "lambda" else AwsSdkCall.find(service, action, "r")
    with pytest.raises(StateFailure) as failed:
        ministack.run_on_loop(call.call(arguments, caller))
    return failed.value


def test_s3_fails_in_its_own_words_for_the_calls_that_the_rule_means(aws: LocalAws, bucket: str) -> None:
    with faults(aws.ready, {**SLOW, "resource": f"arn:aws:s3:::{bucket}/slow/*", "nth": 2}) as seen:
        _put(aws, bucket, "slow/1")
        _put(aws, bucket, "quick/1")
        with pytest.raises(ClientError) as failed:
            _put(aws, bucket, "slow/2")
        _put(aws, bucket, "slow/3")
    assert failed.value.response["Error"] == {"Code": "SlowDown", "Message": "Please reduce your request rate."}
    assert failed.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    assert (seen.matched, seen.fired) == ([3], [1])
    assert seen.calls("s3", "PutObject") == 4
    assert seen.calls("s3", "PutObject", "*/slow/*") == 3
    _put(aws, bucket, "slow/2")


def test_a_head_request_fails_without_a_body(aws: LocalAws, bucket: str) -> None:
    rule = {"service": "s3", "action": "HeadObject", "error": "InternalError"}
    with faults(aws.ready, rule), pytest.raises(ClientError) as failed:
        aws.client("s3").head_object(Bucket=bucket, Key="any")
    assert failed.value.response["Error"]["Code"] == "500"


def test_a_connection_is_cut_before_anything_is_done_or_after_all_is(aws: LocalAws, bucket: str) -> None:
    with (
        faults(aws.ready, {"service": "s3", "action": "PutObject", "cut": True}),
        pytest.raises((HTTPClientError, ConnectionClosedError)),
    ):
        _put(aws, bucket, "cut")
    with (
        faults(aws.ready, {"service": "s3", "action": "PutObject", "lost": "cut"}),
        pytest.raises((HTTPClientError, ConnectionClosedError)),
    ):
        _put(aws, bucket, "lost")
    with (
        faults(aws.ready, {"service": "s3", "action": "PutObject", "lost": "error"}),
        pytest.raises(ClientError, match="InternalError"),
    ):
        _put(aws, bucket, "failed")
    keys = _keys(aws, bucket)
    assert "cut" not in keys
    assert {"lost", "failed"} <= keys


@pytest.mark.parametrize(
    ("service", "action", "error", "status"),
    [
        ("lambda", "list_functions", "TooManyRequestsException", 429),
        ("stepfunctions", "list_state_machines", "ThrottlingException", 400),
        ("cloudformation", "list_stacks", "Throttling", 400),
        ("iam", "list_roles", "ServiceFailure", 500),
        ("sagemaker", "list_models", "ThrottlingException", 400),
        ("logs", "describe_log_groups", "ServiceUnavailableException", 503),
    ],
)
def test_each_protocol_has_its_errors(aws: LocalAws, service: str, action: str, error: str, status: int) -> None:
    rule = {"service": service, "error": error, "status": status}
    with faults(aws.ready, rule), pytest.raises(ClientError) as failed:
        getattr(aws.client(service), action)()
    assert failed.value.response["Error"]["Code"] == error
    assert failed.value.response["ResponseMetadata"]["HTTPStatusCode"] == status


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ("ClientExecutionTimeoutException", "Lambda.ClientExecutionTimeoutException"),
        ("ServiceException", "Lambda.ServiceException"),
        ("AWSLambdaException", "Lambda.AWSLambdaException"),
        ("SdkClientException", "Lambda.SdkClientException"),
        ("TooManyRequestsException", "Lambda.TooManyRequestsException"),
        ("AccessDeniedException", "Lambda.AWSLambdaException"),
    ],
)
def test_step_functions_names_each_error_of_lambda(
    aws: LocalAws, function: str, caller: Caller, said: str, named: str
) -> None:
    with faults(aws.ready, {"service": "lambda", "action": "Invoke", "error": said}) as seen:
        assert _failure(caller, "lambda", "invoke", {"FunctionName": function}).error == named
    assert seen.calls("function") == 0
    assert seen.fired == [1]


@pytest.mark.parametrize(
    ("rule", "named"),
    [
        ({"error": "ThrottlingException"}, "SageMakerRuntimeException"),
        ({"error": "", "status": 400, "message": ""}, "SageMakerRuntimeException"),
        ({"error": "ModelNotReadyException"}, "ModelNotReadyException"),
        ({"error": "ServiceUnavailable"}, "ServiceUnavailableException"),
        ({"error": "InternalFailure"}, "InternalFailureException"),
        ({"error": "InternalDependencyException"}, "InternalDependencyException"),
        ({"error": "ModelError"}, "ModelErrorException"),
        ({"cut": True}, "SdkClientException"),
        ({"lost": "error"}, "InternalFailureException"),
    ],
)
def test_step_functions_names_each_error_of_the_endpoint(
    aws: LocalAws, caller: Caller, rule: dict[str, Any], named: str
) -> None:
    with faults(aws.ready, {"service": "sagemaker-runtime", **rule}):
        failed = _failure(caller, "sagemakerruntime", "invokeEndpoint", {"EndpointName": "e", "Body": {}})
    assert failed.error == f"SageMakerRuntime.{named}"


def test_a_wrong_body_is_what_the_caller_gets(aws: LocalAws, caller: Caller) -> None:
    call = AwsSdkCall.find("sagemakerruntime", "invokeEndpoint", "r")
    with faults(aws.ready, {"service": "sagemaker-runtime", "answer": "not JSON"}):
        answer = ministack.run_on_loop(call.call({"EndpointName": "e", "Body": {}}, caller))
    assert answer["Body"] == "not JSON"


@pytest.mark.parametrize(
    ("rule", "kind", "said"),
    [
        ({"kill": True}, "Runtime.ExitError", "signal: killed"),
        ({"timeout": True}, "Sandbox.Timedout", "Task timed out after 3.00 seconds"),
        ({"error": "KeyError", "message": "'x'"}, "KeyError", "'x'"),
        ({"answer_bytes": 7_000_000}, "Function.ResponseSizeTooLarge", "exceeded maximum"),
    ],
)
def test_a_function_dies_as_functions_die_and_the_next_call_is_answered(
    aws: LocalAws, function: str, rule: dict[str, Any], kind: str, said: str
) -> None:
    with faults(aws.ready, {"service": "function", "resource": function, "nth": 1, **rule}):
        failed = ministack.run_on_loop(current().invoke(function, b"{}"))
        again = ministack.run_on_loop(current().invoke(function, b'{"a": 1}'))
    document = json.loads(failed.payload)
    assert failed.error == "Unhandled"
    assert document["errorType"] == kind
    assert said in document["errorMessage"]
    assert (again.payload, again.error) == (b'{"a": 1}', None)


def test_a_function_answers_what_the_rule_says(aws: LocalAws, function: str) -> None:
    with faults(aws.ready, {"service": "function", "answer": '["another", "shape"]'}):
        answer = aws.client("lambda").invoke(FunctionName=function, Payload="{}")
    assert json.loads(answer["Payload"].read()) == ["another", "shape"]


def test_a_rule_can_be_for_one_caller_and_a_share_is_the_same_with_the_same_seed(aws: LocalAws, bucket: str) -> None:
    def failing() -> list[int]:
        failed = []
        rule = {**SLOW, "share": 0.3, "seed": 5, "caller": "*:root"}
        with faults(aws.ready, rule, {**SLOW, "caller": "*:role/*"}) as seen:
            for number in range(20):
                try:
                    _put(aws, bucket, "shared")
                except ClientError:
                    failed.append(number)
        assert (seen.matched, seen.fired) == ([20, 0], [len(failed), 0])
        return failed

    first = failing()
    assert 2 <= len(first) <= 10
    assert failing() == first


def test_only_the_runs_root_key_may_change_the_rules(aws: LocalAws) -> None:
    iam = aws.client("iam")
    name = f"u-{uuid.uuid4().hex[:8]}"
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    ready = type(aws.ready)(
        **{**vars(aws.ready), "access_key": key["AccessKeyId"], "secret_key": key["SecretAccessKey"]}
    )
    with pytest.raises(RuleError, match="only the run's root key"), faults(ready):
        raise AssertionError


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("text", "expected a table, received \"text\""),
        ({"error": "SlowDown"}, "expected a service"),
        ({**SLOW, "eror": "x"}, r"received the field 'eror' \(did you mean error\?\)"),
        ({**SLOW, "service": "s4"}, 'service: received "s4", expected function, model, child'),
        ({**SLOW, "action": "PutObjekt"}, 'action: received "PutObjekt", expected an operation of s3'),
        ({**SLOW, "error": "Slowdown"}, r'received "Slowdown" \(did you mean SlowDown\?\), expected an error of s3'),
        ({**SLOW, "nth": 0}, "nth: received 0, expected a whole number, 1 or more"),
        ({**SLOW, "nth": 1, "share": 0.5}, 'received "nth" beside "from" or "share"'),
        ({**SLOW, "share": 1.5}, "share: received 1.5, expected a number from 0 to 1"),
        ({**SLOW, "delay": -1}, "delay: received -1, expected seconds, 0 or more"),
        ({**SLOW, "cut": True}, "received error and cut, expected one thing to happen"),
        ({**SLOW, "status": 99}, "status: received 99, expected an HTTP status"),
        ({"service": "s3"}, "expected what happens: one of error, cut, lost"),
        ({"service": "s3", "kill": True}, "received kill for s3, expected one of error, cut"),
        ({"service": "s3", "cut": False}, "cut: received false, expected true"),
        ({"service": "s3", "lost": "yes"}, 'lost: received "yes", expected "cut" or "error"'),
        ({"service": "model", "status": 500, "kill": True}, "received status and kill"),
        ({"service": "model", "kill": True, "caller": "*"}, None),
        ({"service": "model", "kill": True, "caller": "x"}, "received a caller for model"),
        ({"service": "function", "answer": "not JSON"}, "expected JSON"),
        ({"service": "child", "error": "E", "status": 400}, "received a status for child"),
    ],
)  # fmt: skip
def test_a_rule_that_can_mean_nothing_is_refused(given: Any, said: str | None) -> None:
    if said is None:
        rule_of(given)
        return
    with pytest.raises(RuleError, match=said):
        rule_of(given)


def test_a_file_that_cannot_be_read_is_refused_with_its_name(tmp_path: Path) -> None:
    def refused(name: str, text: str) -> str:
        path = tmp_path / name
        path.write_text(text)
        with pytest.raises(RuleError) as problem:
            client.load(path)
        return str(problem.value)

    assert "broken.toml: expected TOML" in refused("broken.toml", "[[fault")
    assert "broken.json: expected JSON" in refused("broken.json", "{")
    assert "empty.toml: expected a list of faults, [[fault]] in TOML, received {}" in refused("empty.toml", "")
    assert "second.toml, fault 2: expected a service" in refused(
        "second.toml", '[[fault]]\nservice = "s3"\ncut = true\n[[fault]]\ncut = true\n'
    )
    with pytest.raises(RuleError, match=r"absent\.toml: cannot be read"):
        client.load(tmp_path / "absent.toml")


@pytest.mark.parametrize("path", sorted((ROOT / "examples" / "faults").iterdir()), ids=lambda path: path.name)
def test_the_examples_are_rules(path: Path) -> None:
    given, rules = client.load(path)
    assert len(given) == len(rules) > 0
    assert rules_of(json.loads(json.dumps({"fault": given}))) == rules


@pytest.mark.parametrize(
    ("pattern", "text", "meant"),
    [
        ("*", "", True),
        ("a*c", "abc", True),
        ("a*c", "abcd", False),
        ("a*a", "a", False),
        ("*b*", "abc", True),
        ("a[b]*", "a[b]c", True),
        ("abc", "ab", False),
    ],
)
def test_a_pattern_has_stars_and_nothing_else(pattern: str, text: str, meant: bool) -> None:
    assert matches(pattern, text) is meant


@pytest.mark.parametrize(
    ("method", "path", "query", "headers", "action"),
    [
        ("PUT", "/b/a/k", {}, {}, "PutObject"),
        ("PUT", "/b/k", {}, {"x-amz-copy-source": "b/x"}, "CopyObject"),
        ("PUT", "/b/k", {"uploadId": ["u"], "partNumber": ["1"]}, {}, "UploadPart"),
        ("GET", "/b/k", {}, {}, "GetObject"),
        ("GET", "/b", {"list-type": ["2"], "prefix": ["p"]}, {}, "ListObjectsV2"),
        ("GET", "/b", {"prefix": ["p"]}, {}, "ListObjects"),
        ("HEAD", "/b/k", {}, {}, "HeadObject"),
        ("POST", "/b/k", {"uploads": [""]}, {}, "CreateMultipartUpload"),
        ("POST", "/b/k", {"uploadId": ["u"]}, {}, "CompleteMultipartUpload"),
        ("POST", "/b", {"delete": [""]}, {}, "DeleteObjects"),
        ("DELETE", "/b/k", {}, {}, "DeleteObject"),
        ("GET", "/", {}, {}, "ListBuckets"),
    ],
)
def test_an_operation_of_s3_is_known_by_its_request(
    method: str, path: str, query: dict[str, list[str]], headers: dict[str, str], action: str
) -> None:
    call = call_of("s3", method, path, query, headers, b"", ("000000000000", "us-east-1"))
    assert call.action == action
    assert call.resource == f"arn:aws:s3:::{path.strip('/')}"


def test_every_error_that_passes_is_one_the_service_has() -> None:
    for service, names in errors.PASSING.items():
        assert set(names) <= {*errors.errors_of(service), *errors.CALLERS}
