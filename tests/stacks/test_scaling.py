"""Instances that follow the load: what is deployed for it, what an update keeps, and which settings cannot work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from stacks.constructs.endpoint.scaling import endpoint_id
from stacks.settings import DEV, LOCAL, PROD, InvalidSettings, Settings
from tests.synthesis import Stack, Synthesis

Synthesized = Callable[[str], Synthesis]
TARGET, POLICY = "AWS::ApplicationAutoScaling::ScalableTarget", "AWS::ApplicationAutoScaling::ScalingPolicy"


@pytest.fixture
def realtime(synthesized: Synthesized) -> Stack:
    return synthesized("prod-vpc").stacks["InferenceStack"]


@pytest.fixture
def asynchronous(synthesized: Synthesized) -> Stack:
    return synthesized("prod-async").stacks["InferenceStack"]


def tracked(stack: Stack) -> dict[str, dict[str, Any]]:
    """What each target tracking policy is configured with, by its name."""
    configuration = "TargetTrackingScalingPolicyConfiguration"
    return {it["PolicyName"]: it[configuration] for it in stack.of_type(POLICY).values() if configuration in it}


@pytest.mark.parametrize("variant", ["local", "dev", "dev-serverless"])
def test_what_does_not_scale_has_nothing_of_it(synthesized: Synthesized, variant: str) -> None:
    stack = synthesized(variant).stacks["InferenceStack"]
    assert stack.of_type(TARGET) == stack.of_type(POLICY) == {}
    (endpoint,) = stack.of_type("AWS::SageMaker::Endpoint").values()
    assert set(endpoint) <= {"EndpointConfigName", "Tags"}


def test_production_scales_between_its_minimum_and_its_maximum(synthesized: Synthesized) -> None:
    stack = synthesized("prod").stacks["InferenceStack"]
    (target,) = stack.of_type(TARGET).values()
    assert target == {
        "ServiceNamespace": "sagemaker",
        "ResourceId": "endpoint/<RealtimeEndpointMlM5Large.EndpointName>/variant/AllTraffic",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
        "MinCapacity": 2,
        "MaxCapacity": 8,
    }
    assert tracked(stack) == {
        "Concurrency": {
            "PredefinedMetricSpecification": {
                "PredefinedMetricType": "SageMakerVariantConcurrentRequestsPerModelHighResolution"
            },
            "TargetValue": 2.8,
            "ScaleInCooldown": 600,
            "ScaleOutCooldown": 300,
        }
    }
    (environment,) = [
        it["Environment"]["Variables"]
        for it in stack.of_type("AWS::Lambda::Function").values()
        if "MAX_CONCURRENCY" in it.get("Environment", {}).get("Variables", {})
    ]
    assert environment["MAX_CONCURRENCY"] == str(PROD.capacity) == "32"


def test_calls_a_minute_count_too_where_they_are_given(realtime: Stack) -> None:
    policies = tracked(realtime)
    assert set(policies) == {"Concurrency", "Invocations"}
    assert policies["Invocations"]["TargetValue"] == 600
    metric = policies["Invocations"]["PredefinedMetricSpecification"]
    assert metric == {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"}


def test_a_queue_scales_by_its_backlog_and_from_zero_by_a_step(asynchronous: Stack) -> None:
    (target,) = asynchronous.of_type(TARGET).values()
    assert (target["MinCapacity"], target["MaxCapacity"]) == (0, 8)
    (config,) = asynchronous.of_type("AWS::SageMaker::EndpointConfig").values()
    assert config["ProductionVariants"][0]["InitialInstanceCount"] == 1
    dimensions = [{"Name": "EndpointName", "Value": "<AsyncEndpointMlM5Large.EndpointName>"}]
    policy = tracked(asynchronous)["Backlog"]
    assert policy["TargetValue"] == 2.8
    assert policy["CustomizedMetricSpecification"] == {
        "Namespace": "AWS/SageMaker",
        "MetricName": "ApproximateBacklogSizePerInstance",
        "Dimensions": dimensions,
        "Statistic": "Average",
    }
    step = asynchronous.of_type(POLICY)["AsyncScalingFromZero"]
    assert step["PolicyType"] == "StepScaling"
    assert step["StepScalingPolicyConfiguration"]["StepAdjustments"] == [
        {"MetricIntervalLowerBound": 0, "ScalingAdjustment": 1}
    ]
    alarm = asynchronous.of_type("AWS::CloudWatch::Alarm")["AsyncScalingNoInstance"]
    assert (alarm["MetricName"], alarm["Dimensions"]) == ("HasBacklogWithoutCapacity", dimensions)
    assert alarm["AlarmActions"] == ["<AsyncScalingFromZero>"]


def test_scaling_is_made_after_the_endpoint_and_goes_before_it_and_has_no_role_of_its_own(realtime: Stack) -> None:
    """By reference, so CloudFormation keeps the order: a policy names the target, and the target the endpoint."""
    targets = realtime.of_type(TARGET)
    (endpoint,) = realtime.of_type("AWS::SageMaker::Endpoint")
    assert all(f"<{endpoint}.EndpointName>" in it["ResourceId"] for it in targets.values())
    assert {it["ScalingTargetId"] for it in realtime.of_type(POLICY).values()} == {f"<{name}>" for name in targets}
    assert not any("RoleARN" in it for it in targets.values())
    assert not [it for it in realtime.of_type("AWS::IAM::Role") if "Scaling" in it]


def test_an_update_keeps_the_count_that_scaling_came_to_and_nothing_else(realtime: Stack) -> None:
    (endpoint,) = realtime.of_type("AWS::SageMaker::Endpoint").values()
    assert endpoint["RetainAllVariantProperties"] is True
    assert endpoint["ExcludeRetainedVariantProperties"] == [
        {"VariantPropertyType": "DesiredWeight"},
        {"VariantPropertyType": "DataCaptureConfig"},
    ]


def test_an_endpoint_that_scales_is_another_one_where_its_instance_type_is_another() -> None:
    scaled = replace(DEV, model_instances_max=2)
    assert endpoint_id(scaled) == "EndpointMlM5Large"
    assert endpoint_id(replace(scaled, model_instance_type="ml.g5.12xlarge")) == "EndpointMlG512Xlarge"
    assert endpoint_id(replace(scaled, model_instances_max=3, endpoint_concurrency=8)) == endpoint_id(scaled)
    assert endpoint_id(DEV) == endpoint_id(replace(DEV, model_instance_type="ml.c5.xlarge")) == "Endpoint"


def test_the_maximum_is_the_minimum_unless_it_is_given() -> None:
    assert not LOCAL.scaled
    assert not DEV.scaled
    assert replace(DEV, model_instances=3).most_instances == 3
    assert not replace(DEV, model_instances=3, model_instances_max=3).scaled
    assert replace(DEV, model_instances=3, model_instances_max=5).capacity == 20
    assert not PROD.in_mode("serverless").scaled


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"model_instances": 0},
            "model_instances: expected 1 to 1000 in mode realtime, where nobody would answer; mode async scales from "
            "0, received 0",
        ),
        ({"model_instances": -1}, "model_instances: expected 1 to 1000, received -1"),
        ({"mode": "async", "model_instances": -1}, "model_instances: expected 0 to 1000, received -1"),
        (
            {"mode": "async", "model_instances": 0},
            "model_instances_max: expected 1 or more where model_instances is 0, received None",
        ),
        (
            {"mode": "async", "model_instances": 0, "model_instances_max": 0},
            "model_instances_max: expected 1 to 1000, as model_instances is 0, received 0",
        ),
        (
            {"model_instances": 3, "model_instances_max": 2},
            "model_instances_max: expected 3 to 1000, as model_instances is 3, received 2",
        ),
        (
            {"model_instances_max": 1_001},
            "model_instances_max: expected 1 to 1000, as model_instances is 1, received 1001",
        ),
        (
            {"mode": "serverless", "model_instances_max": 2},
            "model_instances_max: expected none in mode serverless, received 2; it is a setting of mode realtime and "
            "async",
        ),
        (
            {"model_instances_max": 200, "endpoint_concurrency": 51},
            "endpoint_concurrency: expected 1 to 50, received 51",
        ),
        (
            {"model_instances_max": 2, "model_instance_type": "ml.t2.medium"},
            "model_instance_type: expected no burstable type where instances scale, as AWS scales none, received "
            "'ml.t2.medium'",
        ),
        ({"scaling_percentage": 101}, "scaling_percentage: expected 10 to 100, received 101"),
        (
            {"scaling_invocations": 60},
            "scaling_invocations: expected None but in mode realtime with model_instances_max above model_instances, "
            "received 60",
        ),
        (
            {"mode": "async", "model_instances_max": 2, "scaling_invocations": 60},
            "scaling_invocations: expected None but in mode realtime with model_instances_max above model_instances, "
            "received 60",
        ),
        (
            {"model_instances_max": 2, "scaling_invocations": 0},
            "scaling_invocations: expected more than 0, received 0",
        ),
    ],
)
def test_settings_that_cannot_scale_are_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidSettings) as refused:
        Settings(stage="test", **changed)
    assert str(refused.value) == message
