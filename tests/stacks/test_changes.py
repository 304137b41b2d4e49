"""Changing a model: how traffic goes over and what takes it back, a challenger beside it, and what is captured."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import aws_cdk as cdk
import pytest

from stacks.constructs.data_bucket import DataBucket
from stacks.constructs.endpoint.realtime_endpoint import RealtimeEndpoint
from stacks.constructs.function.function_build import BuildError
from stacks.constructs.guard.protection import protection
from stacks.constructs.model.model_source import challenger_source, model_source
from stacks.constructs.model.served_model import ServedModel
from stacks.constructs.model.versions import model_version
from stacks.settings import PROD, InvalidSettings, Settings
from tests.synthesis import ROOT, Assembly, Stack

DEV = Settings(stage="test", model_instances=2)
SHADOW: dict[str, Any] = {"challenger": "model", "challenger_percentage": 100, "challenger_shadow": True}
GIVEN = {
    "Plain": DEV,
    "Canary": replace(DEV, deployment="canary", deployment_percentage=10, deployment_wait=600, deployment_bake=0),
    "Linear": replace(DEV, deployment="linear", observability=True, rollback=True),
    "Watched": replace(DEV, observability=True, rollback=True),
    "Baked": replace(DEV, deployment_bake=60),
    "Shadowed": replace(DEV, **SHADOW),
}


@pytest.fixture(scope="module")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Stack]:
    """An endpoint by each of the settings."""
    context = json.loads((ROOT / "cdk.json").read_text())["context"]
    app = cdk.App(context=context, outdir=str(tmp_path_factory.mktemp("cdk.out")))
    for name, settings in GIVEN.items():
        made = cdk.Stack(app, name, env=cdk.Environment(region="us-east-1"))
        guarded = protection(made, settings)
        common: dict[str, Any] = {"settings": settings, "protection": guarded}
        second = challenger_source(settings)
        RealtimeEndpoint(
            made,
            "Realtime",
            model=ServedModel(made, "Model", source=model_source(settings), **common),
            challenger=ServedModel(made, "Challenger", source=second, **common) if second else None,
            data=DataBucket(made, "Data", **common),
            **common,
        )
    assembly = app.synth()
    return {name: Stack(assembly.get_stack_by_name(name).template) for name in GIVEN}


@pytest.fixture
def challenged(synthesized: Callable[[str], Assembly]) -> Stack:
    """Production with a challenger for a tenth of the traffic, and a twentieth of it captured."""
    return synthesized("prod-vpc").stacks["InferenceStack"]


def only(stack: Stack, kind: str) -> dict[str, Any]:
    (found,) = stack.of_type(f"AWS::SageMaker::{kind}").values()
    return found


def blue_green(bake: int, most: int, **routing: Any) -> dict[str, Any]:
    return {
        "TerminationWaitInSeconds": bake,
        "MaximumExecutionTimeoutInSeconds": most,
        "TrafficRoutingConfiguration": routing,
    }


def percent(value: int) -> dict[str, Any]:
    return {"Type": "CAPACITY_PERCENT", "Value": value}


ALARMS = {
    "Alarms": [{"AlarmName": "<AWS::StackName>-ModelErrors"}, {"AlarmName": "<AWS::StackName>-ModelLatency"}],
}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Plain", None),
        (
            "Canary",
            {
                "BlueGreenUpdatePolicy": blue_green(
                    0, 4200, Type="CANARY", WaitIntervalInSeconds=600, CanarySize=percent(10)
                )
            },
        ),
        (
            "Linear",
            {
                "BlueGreenUpdatePolicy": blue_green(
                    300, 5100, Type="LINEAR", WaitIntervalInSeconds=300, LinearStepSize=percent(20)
                ),
                "AutoRollbackConfiguration": ALARMS,
            },
        ),
        (
            "Watched",
            {
                "BlueGreenUpdatePolicy": blue_green(300, 3900, Type="ALL_AT_ONCE", WaitIntervalInSeconds=0),
                "AutoRollbackConfiguration": ALARMS,
            },
        ),
        ("Baked", {"BlueGreenUpdatePolicy": blue_green(60, 3660, Type="ALL_AT_ONCE", WaitIntervalInSeconds=0)}),
    ],
)
def test_an_endpoint_goes_over_as_the_settings_say(
    stacks: Mapping[str, Stack], name: str, expected: dict[str, Any] | None
) -> None:
    assert only(stacks[name], "Endpoint").get("DeploymentConfig") == expected


def test_production_goes_over_by_a_canary_that_alarms_take_back(synthesized: Callable[[str], Assembly]) -> None:
    config = only(synthesized("prod").stacks["InferenceStack"], "Endpoint")["DeploymentConfig"]
    assert config["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]["Type"] == "CANARY"
    assert config["AutoRollbackConfiguration"] == ALARMS


def test_sagemaker_may_look_at_those_alarms_as_the_models_role(synthesized: Callable[[str], Assembly]) -> None:
    statements = synthesized("prod").stacks["InferenceStack"].statements("ModelRole")
    (found,) = [it["Resource"] for it in statements if it["Action"] == "cloudwatch:DescribeAlarms"]
    assert found == [
        f"arn:aws:cloudwatch:us-east-1:<AWS::AccountId>:alarm:{it['AlarmName']}" for it in ALARMS["Alarms"]
    ]


def test_nothing_of_a_model_its_configuration_or_its_endpoint_has_a_fixed_name(challenged: Stack) -> None:
    for kind in ("Model", "EndpointConfig", "Endpoint"):
        for properties in challenged.of_type(f"AWS::SageMaker::{kind}").values():
            assert f"{kind}Name" not in properties


def test_a_challenger_answers_its_share_of_the_traffic(challenged: Stack) -> None:
    variants = {it["VariantName"]: it for it in only(challenged, "EndpointConfig")["ProductionVariants"]}
    assert {name: it["InitialVariantWeight"] for name, it in variants.items()} == {"AllTraffic": 0.9, "Challenger": 0.1}
    assert variants["Challenger"]["ModelName"] == "<ChallengerModel.ModelName>"
    same = ("InstanceType", "InitialInstanceCount")
    assert [variants["Challenger"][name] for name in same] == [variants["AllTraffic"][name] for name in same]


def test_a_challenger_scales_as_the_model_does_and_its_errors_take_an_update_back(challenged: Stack) -> None:
    targets = challenged.of_type("AWS::ApplicationAutoScaling::ScalableTarget").values()
    assert sorted(it["ResourceId"].rpartition("/")[2] for it in targets) == ["AllTraffic", "Challenger"]
    alarms = only(challenged, "Endpoint")["DeploymentConfig"]["AutoRollbackConfiguration"]["Alarms"]
    assert {"AlarmName": "<AWS::StackName>-ChallengerErrors"} in alarms


def test_results_know_the_versions_of_both(challenged: Stack) -> None:
    variables = challenged.of_type("AWS::Lambda::Function")["StoreResultsFunction"]["Environment"]["Variables"]
    assert variables["MODEL_VERSION"] == variables["CHALLENGER_VERSION"] == model_version()
    for model in challenged.of_type("AWS::SageMaker::Model").values():
        assert model["PrimaryContainer"]["Environment"]["MODEL_VERSION"] == model_version()


def test_a_shadow_gets_its_share_beside_all_of_the_traffic(stacks: Mapping[str, Stack]) -> None:
    config = only(stacks["Shadowed"], "EndpointConfig")
    (production,), (shadow,) = config["ProductionVariants"], config["ShadowProductionVariants"]
    assert (production["VariantName"], production["InitialVariantWeight"]) == ("AllTraffic", 1)
    assert (shadow["VariantName"], shadow["InitialVariantWeight"]) == ("Challenger", 1)
    assert shadow["ModelName"] == "<ChallengerModel.ModelName>"


def test_a_share_is_captured_encrypted_and_for_a_while_by_roles_that_may_write_nothing_else(challenged: Stack) -> None:
    assert only(challenged, "EndpointConfig")["DataCaptureConfig"] == {
        "EnableCapture": True,
        "InitialSamplingPercentage": 5,
        "DestinationS3Uri": "s3://<DataBucket>/capture",
        "KmsKeyId": "<Key.Arn>",
        "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
        "CaptureContentTypeHeader": {"JsonContentTypes": ["application/json"]},
    }
    rules = challenged.of_type("AWS::S3::Bucket")["DataBucket"]["LifecycleConfiguration"]["Rules"]
    assert {"ExpirationInDays": 30, "Prefix": "capture/", "Status": "Enabled"} in rules
    for role in ("ModelRole", "ChallengerRole"):
        written = [it["Resource"] for it in challenged.statements(role) if it["Action"] == "s3:PutObject"]
        assert written == ["<DataBucket.Arn>/capture/*"]


def test_nothing_is_captured_unless_asked_for(stacks: Mapping[str, Stack]) -> None:
    assert "DataCaptureConfig" not in only(stacks["Plain"], "EndpointConfig")
    assert not any(it["Action"] == "s3:PutObject" for it in stacks["Plain"].statements("ModelRole"))


def test_a_challenger_that_is_no_archive_is_refused_by_its_own_settings_name() -> None:
    with pytest.raises(BuildError, match=r"challenger: expected a folder or a model\.tar\.gz that is there"):
        challenger_source(replace(DEV, challenger="nowhere", challenger_percentage=1))


TWO: dict[str, Any] = {"model_instances": 2}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"deployment": "rolling"}, "deployment: expected one of all-at-once, canary, linear, received rolling"),
        (
            {"deployment": "canary"},
            "deployment: expected all-at-once where model_instances is 1, as a step is half of the instances at most, "
            "received canary",
        ),
        (
            {"mode": "serverless", "deployment": "canary"},
            "deployment: expected none in mode serverless, received canary; it is a setting of mode realtime and async",
        ),
        (
            {"mode": "serverless", "rollback": True, "observability": True},
            "rollback: expected none in mode serverless, received True; it is a setting of mode realtime and async",
        ),
        (
            {"deployment_percentage": 10},
            "deployment_percentage: expected None where all traffic goes over at once, received 10",
        ),
        ({"deployment_wait": 10}, "deployment_wait: expected None where all traffic goes over at once, received 10"),
        (
            {**TWO, "deployment": "canary", "deployment_percentage": 51},
            "deployment_percentage: expected 1 to 50, received 51",
        ),
        (
            {**TWO, "deployment": "linear", "deployment_percentage": 9},
            "deployment_percentage: expected 10 to 50, received 9",
        ),
        (
            {**TWO, "deployment": "canary", "deployment_wait": 3601},
            "deployment_wait: expected 0 to 3600, received 3601",
        ),
        ({"deployment_bake": -1}, "deployment_bake: expected 0 to 3600, received -1"),
        (
            {**TWO, "deployment": "linear", "deployment_percentage": 10, "deployment_wait": 3600},
            "deployment_wait: expected at most 25200 seconds in all steps, as SageMaker ends an update after 28800, "
            "received 32700",
        ),
        (
            {"rollback": True},
            "rollback: expected false without observability, as there are no alarms then, received true",
        ),
        (
            {"rollback": True, "observability": True, "deployment_bake": 179},
            "deployment_bake: expected 180 or more with rollback, as an alarm does not ring sooner, received 179",
        ),
        (
            {**TWO, "deployment": "canary", "rollback": True, "observability": True, "deployment_wait": 60},
            "deployment_wait: expected 180 or more with rollback, as an alarm does not ring sooner, received 60",
        ),
        (
            {**TWO, "deployment": "canary", "model_instance_type": "ml.inf1.xlarge"},
            "model_instance_type: expected no inf1 with deployment canary or linear or with rollback, which SageMaker "
            "leaves out for them without a word, received ml.inf1.xlarge",
        ),
        (
            {"challenger": "model"},
            "challenger_percentage: expected the share of the traffic for the challenger, received None",
        ),
        ({"challenger_percentage": 5}, "challenger_percentage: expected none without a challenger, received 5"),
        ({"challenger_shadow": True}, "challenger_shadow: expected none without a challenger, received True"),
        (
            {"challenger": "model", "challenger_percentage": 100},
            "challenger_percentage: expected 1 to 99, received 100",
        ),
        (
            {**SHADOW, "mode": "async"},
            "challenger: expected none in mode async, received model; it is a setting of mode realtime",
        ),
        (
            {"mode": "serverless", "capture_percentage": 5},
            "capture_percentage: expected none in mode serverless, received 5; it is a setting of mode realtime",
        ),
        ({"capture_percentage": 101}, "capture_percentage: expected 0 to 100, received 101"),
    ],
)
def test_settings_that_cannot_change_a_model_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidSettings) as refused:
        Settings(stage="test", **given)
    assert str(refused.value) == message


def test_production_goes_to_modes_that_have_no_steps() -> None:
    assert PROD.in_mode("serverless").deployment is None
    assert PROD.in_mode("async").deployment == "canary"
