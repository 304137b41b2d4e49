"""Resource types: what Ref and GetAtt give, what is replaced, and when a stack has to roll back."""

from __future__ import annotations

import json
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

import pytest

from local.sagemaker.cloudformation import Endpoints, Named
from local.sagemaker.policies import INVOCATIONS
from local.sagemaker.scaling_resources import Policies, Targets
from tests.local.sagemaker.around import ACCOUNT, ECHO, IMAGE, REGION, ROLE, Cloud, program, variant_of

ARN = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:"
BROKEN = program("def model_fn(model_dir): raise RuntimeError('weights are missing')")


@dataclass
class Stacks:
    cloud: Cloud
    replaced: int = 0

    def physical_name(self, stack_name: str, logical_id: str, *, max_length: int, replacing: bool = False) -> str:
        self.replaced += replacing
        return f"{stack_name}-{logical_id}-{self.replaced}"[:max_length]

    def here(self) -> tuple[str, str]:
        return ACCOUNT, REGION

    def run_on_loop(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self.cloud.run(coroutine)


@dataclass
class Types:
    model: Named
    config: Named
    endpoint: Endpoints
    target: Targets
    policy: Policies


@pytest.fixture
def types(cloud: Cloud) -> Types:
    stacks = Stacks(cloud)
    cloud.memory.objects["models", "good.tar.gz"] = program(ECHO)
    cloud.memory.objects["models", "broken.tar.gz"] = BROKEN
    return Types(
        Named(cloud.sagemaker, stacks, "Model"),
        Named(cloud.sagemaker, stacks, "EndpointConfig"),
        Endpoints(cloud.sagemaker, stacks),
        Targets(cloud.sagemaker, stacks),
        Policies(cloud.sagemaker, stacks),
    )


def model(data: str = "good", **more: Any) -> dict[str, Any]:
    container = {"Image": IMAGE, "ModelDataUrl": f"s3://models/{data}.tar.gz", **more}
    return {"PrimaryContainer": container, "ExecutionRoleArn": ROLE}


def config_of(types: Types, logical_id: str, data: str = "good", **more: Any) -> str:
    """The name of a new configuration of a new model."""
    _, of_model = types.model.create(f"Model{logical_id}", model(data, **more), "Stack")
    variants = [variant_of(ModelName=of_model["ModelName"], InitialInstanceCount="1")]
    return types.config.create(f"Config{logical_id}", {"ProductionVariants": variants}, "Stack")[1][
        "EndpointConfigName"
    ]


def answering(cloud: Cloud, name: str) -> str:
    response = cloud.client("sagemaker-runtime").invoke_endpoint(EndpointName=name, Body=b"1")
    return str(json.loads(response["Body"].read())["model"])


def test_a_model_and_a_configuration_are_their_arns_and_have_their_names(types: Types) -> None:
    arn, attributes = types.model.create("Model", model(), "Stack")
    assert (arn, attributes) == (f"{ARN}model/stack-model-0", {"ModelName": "Stack-Model-0"})

    variants = [variant_of(ModelName="Stack-Model-0", InitialInstanceCount="1", InitialVariantWeight="1")]
    arn, attributes = types.config.create("Config", {"ProductionVariants": variants}, "Stack")
    assert arn == f"{ARN}endpoint-config/stack-config-0"
    assert attributes == {"EndpointConfigName": "Stack-Config-0"}


def test_the_whole_life_of_an_endpoint_in_a_stack(cloud: Cloud, types: Types) -> None:
    first = config_of(types, "1", Environment={"NAME": "first"})
    old = {"EndpointConfigName": first}
    arn, attributes = types.endpoint.create("Endpoint", old, "Stack")
    assert (arn, attributes) == (f"{ARN}endpoint/stack-endpoint-0", {"EndpointName": "Stack-Endpoint-0"})
    assert answering(cloud, "Stack-Endpoint-0") == "first"

    new = {
        "EndpointConfigName": config_of(types, "2", Environment={"NAME": "second"}),
        "RetainAllVariantProperties": "true",
    }
    assert types.endpoint.update(arn, old, new, "Stack", "Endpoint") == (arn, attributes)
    assert answering(cloud, "Stack-Endpoint-0") == "second"

    types.endpoint.delete(arn, new)
    types.endpoint.delete(arn, new)
    assert cloud.client("sagemaker").list_endpoints()["Endpoints"] == []


def test_an_endpoint_that_fails_leaves_the_reason_and_nothing_else(cloud: Cloud, types: Types) -> None:
    properties = {"EndpointConfigName": config_of(types, "1", "broken")}

    with pytest.raises(ValueError, match="did not pass the ping health check: RuntimeError: weights are missing"):
        types.endpoint.create("Endpoint", properties, "Stack")

    assert cloud.client("sagemaker").list_endpoints()["Endpoints"] == []


def test_an_update_that_fails_leaves_the_old_configuration_and_rolls_back_to_it(cloud: Cloud, types: Types) -> None:
    old = {"EndpointConfigName": config_of(types, "1", Environment={"NAME": "first"})}
    new = {"EndpointConfigName": config_of(types, "2", "broken")}
    arn, attributes = types.endpoint.create("Endpoint", old, "Stack")

    with pytest.raises(ValueError, match="weights are missing"):
        types.endpoint.update(arn, old, new, "Stack", "Endpoint")

    assert types.endpoint.update(arn, new, old, "Stack", "Endpoint") == (arn, attributes)
    assert answering(cloud, "Stack-Endpoint-0") == "first"


def test_a_changed_model_is_another_one_under_a_new_name(cloud: Cloud, types: Types) -> None:
    arn, _ = types.model.create("Model", model(), "Stack")

    new, attributes = types.model.update(arn, model(), model(Environment={"A": "1"}), "Stack", "Model")

    assert attributes == {"ModelName": "Stack-Model-1"}
    types.model.delete(arn, model())
    listed = cloud.client("sagemaker").list_models()["Models"]
    assert [entry["ModelArn"] for entry in listed] == [new]


def test_a_changed_model_with_a_fixed_name_cannot_be_updated(types: Types) -> None:
    named = {**model(), "ModelName": "fixed"}
    arn, _ = types.model.create("Model", named, "Stack")

    with pytest.raises(ValueError, match=r"custom-named resource requires replacing\. Rename fixed"):
        types.model.update(arn, named, {**named, "EnableNetworkIsolation": True}, "Stack", "Model")


def test_changed_tags_replace_nothing(cloud: Cloud, types: Types) -> None:
    old = {**model(), "Tags": [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "1"}]}
    new = {**model(), "Tags": [{"Key": "b", "Value": "2"}]}
    arn, attributes = types.model.create("Model", old, "Stack")

    assert types.model.update(arn, old, new, "Stack", "Model") == (arn, attributes)

    assert cloud.client("sagemaker").list_tags(ResourceArn=arn)["Tags"] == new["Tags"]


def test_another_endpoint_name_is_another_endpoint(cloud: Cloud, types: Types) -> None:
    old = {"EndpointConfigName": config_of(types, "1"), "EndpointName": "one"}
    arn, _ = types.endpoint.create("Endpoint", old, "Stack")

    replaced, _ = types.endpoint.update(arn, old, {**old, "EndpointName": "two"}, "Stack", "Endpoint")

    assert replaced == f"{ARN}endpoint/two"
    types.endpoint.delete(arn, old)
    listed = cloud.client("sagemaker").list_endpoints()["Endpoints"]
    assert [entry["EndpointName"] for entry in listed] == ["two"]


def test_awss_refusal_is_the_reason(types: Types) -> None:
    with pytest.raises(ValueError, match=r"Could not find model .* \(ValidationException\)"):
        types.config.create("Config", {"ProductionVariants": [variant_of(ModelName="none")]}, "Stack")


def test_a_property_that_is_not_served_fails_the_resource(types: Types) -> None:
    with pytest.raises(ValueError, match="does not serve it yet"):
        types.model.create("Model", {**model(), "InferenceExecutionConfig": {"Mode": "Direct"}}, "Stack")


TARGET = {
    "ServiceNamespace": "sagemaker",
    "ResourceId": "endpoint/e/variant/v",
    "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    "MinCapacity": "1",
    "MaxCapacity": 2,
}


def test_a_scalable_target_and_its_policy_live_and_go_with_the_stack(cloud: Cloud, types: Types) -> None:
    scaling = cloud.client("application-autoscaling")
    target, attributes = types.target.create("Target", TARGET, "Stack")
    assert target == attributes["Id"] == "endpoint/e/variant/v|sagemaker:variant:DesiredInstanceCount|sagemaker"
    tracking = {"TargetValue": "4", "PredefinedMetricSpecification": {"PredefinedMetricType": INVOCATIONS}}
    policy_of = {
        "PolicyName": "p",
        "PolicyType": "TargetTrackingScaling",
        "ScalingTargetId": target,
        "TargetTrackingScalingPolicyConfiguration": tracking,
    }
    policy, _ = types.policy.create("Policy", policy_of, "Stack")

    assert types.target.update(target, TARGET, {**TARGET, "MaxCapacity": 3}, "Stack", "Target")[0] == target
    assert types.policy.update(policy, policy_of, policy_of, "Stack", "Policy")[0] == policy
    (kept,) = scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
    assert kept["MaxCapacity"] == 3

    types.policy.delete(policy, policy_of)
    assert scaling.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"] == []
    types.target.delete(target, TARGET)
    types.target.delete(target, TARGET)
    assert scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"] == []


def test_a_schedule_is_refused_because_nothing_would_follow_it(types: Types) -> None:
    with pytest.raises(ValueError, match="ScheduledActions"):
        types.target.create("Target", {**TARGET, "ScheduledActions": [{}]}, "Stack")
