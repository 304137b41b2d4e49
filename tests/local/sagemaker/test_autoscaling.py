"""Application Auto Scaling's records, and what they mean for deleting an endpoint."""

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
    assert code(scaling.put_scaling_policy, **policy) == "ObjectNotFoundException"


def test_a_policy_can_be_deleted_once(scaling: Any) -> None:
    scaling.put_scaling_policy(PolicyName="p", **KEY)

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
