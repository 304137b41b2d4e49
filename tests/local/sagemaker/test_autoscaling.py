"""Application Auto Scaling's targets and policies: what is kept, what is refused, and when an endpoint is deleted."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local.sagemaker.around import ACCOUNT, ECHO, REGION, Cloud, program

KEY = {
    "ServiceNamespace": "sagemaker",
    "ResourceId": "endpoint/e/variant/AllTraffic",
    "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
}
TRACKING = {
    "TargetValue": 70.0,
    "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
}


TRACKED = {
    **KEY,
    "PolicyName": "p",
    "PolicyType": "TargetTrackingScaling",
    "TargetTrackingScalingPolicyConfiguration": TRACKING,
}


@pytest.fixture
def scaling(cloud: Cloud) -> Any:
    client = cloud.client("application-autoscaling")
    client.register_scalable_target(**KEY, MinCapacity=1, MaxCapacity=4)
    return client


def code(call: Any, **parameters: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    return str(caught.value.response["Error"]["Code"])


def test_a_target_is_registered_changed_and_deregistered(scaling: Any) -> None:
    arn = scaling.register_scalable_target(**KEY, MaxCapacity=8)["ScalableTargetARN"]

    (target,) = scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
    assert (target["MinCapacity"], target["MaxCapacity"], target["ScalableTargetARN"]) == (1, 8, arn)
    assert arn.startswith(f"arn:aws:application-autoscaling:{REGION}:{ACCOUNT}:scalable-target/")

    scaling.deregister_scalable_target(**KEY)
    assert scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"] == []
    assert code(scaling.deregister_scalable_target, **KEY) == "ObjectNotFoundException"


def test_targets_are_found_by_resource_and_dimension(scaling: Any) -> None:
    def found(**parameters: Any) -> int:
        answer = scaling.describe_scalable_targets(ServiceNamespace="sagemaker", **parameters)
        return len(answer["ScalableTargets"])

    assert found(ResourceIds=[KEY["ResourceId"]], ScalableDimension=KEY["ScalableDimension"]) == 1
    assert found(ResourceIds=["endpoint/other/variant/v"]) == 0
    assert found(ScalableDimension="sagemaker:variant:DesiredProvisionedConcurrency") == 0


@pytest.mark.parametrize(
    "change",
    [
        {"ServiceNamespace": "dynamodb"},
        {"ResourceId": "table/t"},
        {"ResourceId": "endpoint/new/variant/v"},
        {"MinCapacity": 5, "MaxCapacity": 4},
        {"ScalableDimension": "sagemaker:variant:DesiredProvisionedConcurrency"},
        {"SuspendedState": {"ScheduledScalingSuspended": True}},
    ],
)
def test_a_target_that_cannot_be_is_refused(scaling: Any, change: dict[str, Any]) -> None:
    assert code(scaling.register_scalable_target, **{**KEY, **change}) == "ValidationException"


def test_a_policy_belongs_to_a_target_and_goes_with_it(scaling: Any) -> None:
    policy = {"PolicyName": "p", "PolicyType": "TargetTrackingScaling", **KEY}
    arn = scaling.put_scaling_policy(**policy, TargetTrackingScalingPolicyConfiguration=TRACKING)["PolicyARN"]
    changed = {**TRACKING, "TargetValue": 50.0}
    again = scaling.put_scaling_policy(**policy, TargetTrackingScalingPolicyConfiguration=changed)
    assert again["PolicyARN"] == arn

    (kept,) = scaling.describe_scaling_policies(ServiceNamespace="sagemaker", PolicyNames=["p"])["ScalingPolicies"]
    assert kept["TargetTrackingScalingPolicyConfiguration"] == changed
    assert f"resource/sagemaker/{KEY['ResourceId']}:policyName/p" in arn

    scaling.deregister_scalable_target(**KEY)
    assert scaling.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"] == []
    assert code(scaling.put_scaling_policy, **TRACKED) == "ObjectNotFoundException"


STEPS = {"AdjustmentType": "ChangeInCapacity", "StepAdjustments": [{"ScalingAdjustment": 1}]}
OTHER = {
    "Namespace": "AWS/SageMaker",
    "MetricName": "ApproximateBacklogSizePerInstance",
    "Dimensions": [{"Name": "EndpointName", "Value": "another"}],
    "Statistic": "Average",
}


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        ({}, "StepScalingPolicyConfiguration must be specified"),
        ({"PolicyType": "PredictiveScaling"}, "PolicyType PredictiveScaling is valid in AWS"),
        ({"AdjustmentType": "PercentChangeInCapacity"}, "AdjustmentType PercentChangeInCapacity is valid in AWS"),
        ({"MetricAggregationType": "Maximum"}, "MetricAggregationType Maximum is valid in AWS"),
        ({"MinAdjustmentMagnitude": 2}, "StepScalingPolicyConfiguration.MinAdjustmentMagnitude is valid in AWS"),
        ({"StepAdjustments": []}, "At least one StepAdjustment"),
        ({"TargetValue": 0.0}, "TargetValue must be greater than 0"),
        ({"CustomizedMetricSpecification": OTHER}, "Exactly one of"),
        ({"PredefinedMetricSpecification": None}, "Exactly one of"),
        (
            {"PredefinedMetricSpecification": {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"}},
            "PredefinedMetricType ECSServiceAverageCPUUtilization is valid in AWS",
        ),
        (
            {"PredefinedMetricSpecification": None, "CustomizedMetricSpecification": OTHER},
            "only ApproximateBacklogSizePerInstance of the endpoint is",
        ),
    ],
)
def test_a_policy_that_would_not_be_carried_out_is_refused(scaling: Any, policy: dict[str, Any], reason: str) -> None:
    given: dict[str, Any] = {"PolicyType": policy["PolicyType"]} if "PolicyType" in policy else {}
    if policy and not given:
        tracking = policy.keys() & {*TRACKING, "CustomizedMetricSpecification"}
        kind, base = ("TargetTrackingScaling", TRACKING) if tracking else ("StepScaling", STEPS)
        configuration = {name: value for name, value in {**base, **policy}.items() if value is not None}
        given = {"PolicyType": kind, f"{kind}PolicyConfiguration": configuration}

    with pytest.raises(ClientError) as refused:
        scaling.put_scaling_policy(PolicyName="p", **KEY, **given)

    assert reason in str(refused.value)
    assert scaling.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"] == []


def test_a_policy_can_be_deleted_once(scaling: Any) -> None:
    scaling.put_scaling_policy(**TRACKED)

    scaling.delete_scaling_policy(PolicyName="p", **KEY)

    assert code(scaling.delete_scaling_policy, PolicyName="p", **KEY) == "ObjectNotFoundException"


def test_an_action_that_is_not_served_is_unknown_and_each_needs_its_permission(cloud: Cloud, scaling: Any) -> None:
    assert code(scaling.describe_scaling_activities, ServiceNamespace="sagemaker") == "UnknownOperationException"

    cloud.memory.forbidden.add(("AKIATEST", "application-autoscaling:DeregisterScalableTarget"))
    assert code(scaling.deregister_scalable_target, **KEY) == "AccessDeniedException"


def test_deleting_an_endpoint_deregisters_its_target_if_the_caller_may(cloud: Cloud, scaling: Any) -> None:
    cloud.put_model("m", program(ECHO))
    cloud.put_config("c", {"ModelName": "m"})
    cloud.put_endpoint("E", "c")
    forbidden = ("AKIATEST", "application-autoscaling:DeregisterScalableTarget")
    cloud.memory.forbidden.add(forbidden)
    delete = cloud.client("sagemaker").delete_endpoint

    with pytest.raises(ClientError, match="An Application AutoScaling scalable target exists"):
        delete(EndpointName="E")

    cloud.memory.forbidden.remove(forbidden)
    delete(EndpointName="E")
    assert scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"] == []
