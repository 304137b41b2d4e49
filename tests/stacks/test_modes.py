"""The modes of the endpoint: what each deploys, what it leaves alone, and which settings contradict it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from stacks.settings import DEV, LOCAL, PROD, InvalidSettings, Settings
from stacks.settings.modes import DEFAULTS
from tests.synthesis import Stack, Synthesis

Synthesized = Callable[[str], Synthesis]


@pytest.fixture
def serverless(synthesized: Synthesized) -> Stack:
    return synthesized("dev-serverless").stacks["InferenceStack"]


@pytest.fixture
def asynchronous(synthesized: Synthesized) -> Stack:
    return synthesized("prod-async").stacks["InferenceStack"]


def variant(stack: Stack) -> dict[str, Any]:
    (config,) = stack.of_type("AWS::SageMaker::EndpointConfig").values()
    (found,) = config["ProductionVariants"]
    return dict(found)


def test_a_serverless_endpoint_has_memory_and_a_concurrency_instead_of_instances(serverless: Stack) -> None:
    assert variant(serverless) == {
        "InitialVariantWeight": 1,
        "ModelName": "<Model.ModelName>",
        "VariantName": "AllTraffic",
        "ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 20},
    }
    (model,) = serverless.of_type("AWS::SageMaker::Model").values()
    assert model["EnableNetworkIsolation"] is False


def test_each_mode_has_an_endpoint_of_its_own_and_all_have_the_same_bucket_and_functions(
    synthesized: Synthesized, serverless: Stack, asynchronous: Stack
) -> None:
    realtime = synthesized("dev").stacks["InferenceStack"]
    stacks = (realtime, serverless, asynchronous)
    endpoints = [set(it.of_type("AWS::SageMaker::Endpoint")) for it in stacks]
    assert endpoints == [{"RealtimeEndpoint"}, {"ServerlessEndpoint"}, {"AsyncEndpointMlM5Large"}]
    kept = {"DataBucket", "PreprocessDataFunction", "StoreResultsFunction", "JobWorkflowStateMachine", "Model"}
    assert all(kept <= set(it.resources) for it in stacks)
    same = [{name for name in it.template["Resources"] if name.startswith("DataBucket")} for it in stacks]
    assert same[0] == same[1] == same[2]


def test_only_the_endpoints_name_differs_in_the_workflow_of_a_serverless_endpoint(
    synthesized: Synthesized, serverless: Stack
) -> None:
    realtime = synthesized("dev").stacks["InferenceStack"].definition
    assert str(serverless.definition).replace("<Serverless", "<Realtime") == str(realtime)


def test_an_asynchronous_endpoint_answers_into_the_bucket_and_tells_topics(asynchronous: Stack) -> None:
    (config,) = asynchronous.of_type("AWS::SageMaker::EndpointConfig").values()
    assert config["AsyncInferenceConfig"] == {
        "ClientConfig": {"MaxConcurrentInvocationsPerInstance": 4},
        "OutputConfig": {
            "KmsKeyId": "<Key.Arn>",
            "NotificationConfig": {"ErrorTopic": "<ModelFailed>", "SuccessTopic": "<ModelAnswered>"},
            "S3FailurePath": "s3://<DataBucket>/async/failed",
            "S3OutputPath": "s3://<DataBucket>/async/out",
        },
    }
    assert config["KmsKeyId"] == "<Key.Arn>"
    rules = asynchronous.of_type("AWS::S3::Bucket")["DataBucket"]["LifecycleConfiguration"]["Rules"]
    assert {"ExpirationInDays": 7, "Prefix": "async/", "Status": "Enabled"} in rules
    subscribed = {it["TopicArn"] for it in asynchronous.of_type("AWS::SNS::Subscription").values()}
    assert subscribed == {"<ModelAnswered>", "<ModelFailed>"}


def test_the_model_state_waits_for_its_token_as_long_as_a_request_may_wait_and_take(asynchronous: Stack) -> None:
    state = asynchronous.definition["States"]["InferenceModel"]
    assert state["Resource"] == "arn:aws:states:::lambda:invoke.waitForTaskToken"
    assert state["Arguments"]["Payload"] == {
        "token": "{% $states.context.Task.Token %}",
        "instances": "{% $states.input.instances %}",
    }
    assert state["TimeoutSeconds"] == 2 * 900 + 5
    assert state["Catch"][0]["ErrorEquals"] == ["ModelRefused"]
    assert "EndpointUnavailable" in state["Retry"][0]["ErrorEquals"]


def test_a_jobs_children_are_standard_where_they_wait_for_tokens_and_else_express(
    asynchronous: Stack, serverless: Stack
) -> None:
    for stack, kind in ((asynchronous, "STANDARD"), (serverless, "EXPRESS")):
        maps = [state for state in stack.job["States"].values() if state["Type"] == "Map"]
        assert len(maps) == 4
        assert {it["ItemProcessor"]["ProcessorConfig"]["ExecutionType"] for it in maps} == {kind}


def test_a_jobs_concurrency_is_what_the_mode_serves() -> None:
    assert LOCAL.capacity == 4
    assert DEV.in_mode("serverless").capacity == 20
    assert PROD.in_mode("async").capacity == 32


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"mode": "batch"}, "mode: expected one of realtime, serverless, async, transform, received batch"),
        (
            {"mode": "serverless", "model_instances": 2},
            "model_instances: expected none in mode serverless, received 2; it is a setting of mode realtime and async",
        ),
        (
            {"mode": "realtime", "serverless_memory": 1024},
            "serverless_memory: expected none in mode realtime, received 1024; it is a setting of mode serverless",
        ),
        (
            {"mode": "serverless", "async_timeout": 60},
            "async_timeout: expected none in mode serverless, received 60; it is a setting of mode async",
        ),
        (
            {"mode": "serverless", "serverless_memory": 1500},
            "serverless_memory: expected 1024 to 6144 in steps of 1024, received 1500",
        ),
        (
            {"mode": "serverless", "serverless_concurrency": 201},
            "serverless_concurrency: expected 1 to 200, received 201",
        ),
        ({"mode": "async", "async_timeout": 3601}, "async_timeout: expected 1 to 3600, received 3601"),
        (
            {"mode": "async", "machine_timeout": 1805},
            "machine_timeout: expected more than the 1805 seconds that one step may take, received 1805",
        ),
        (
            {"mode": "serverless", "vpc": True},
            "vpc: expected false in mode serverless, received true; it is for modes realtime and transform",
        ),
    ],
)
def test_settings_that_contradict_the_mode_are_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidSettings) as refused:
        Settings(stage="test", **changed)
    assert str(refused.value) == message


@pytest.mark.parametrize("stage", [LOCAL, DEV, PROD])
def test_every_stage_can_go_over_to_every_mode_and_back(stage: Settings) -> None:
    for mode in DEFAULTS:
        assert stage.in_mode(mode).mode == mode
        assert stage.in_mode(mode).in_mode("realtime").mode == "realtime"
    assert PROD.in_mode("async").model_instances == 2


@pytest.mark.parametrize("mode", DEFAULTS)
def test_a_limit_of_time_may_be_given_with_the_mode(mode: str) -> None:
    assert PROD.in_mode(mode, machine_timeout=9_000).machine_timeout == 9_000
