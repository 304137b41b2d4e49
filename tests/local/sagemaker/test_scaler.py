"""Endpoints that scale: out and in by their policies, to zero and from it, and what an update leaves alone.

No test waits for a minute to pass: each says that it has.
"""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.sagemaker import kept
from local.sagemaker.aws import Place
from local.sagemaker.endpoints import MAX_INSTANCES
from local.sagemaker.policies import BACKLOG, CONCURRENCY, INVOCATIONS
from tests.local.sagemaker import around
from tests.local.sagemaker.around import ACCOUNT, ECHO, REGION, Cloud, program, variant_of

PLACE = Place(ACCOUNT, REGION)
KEY = {
    "ServiceNamespace": "sagemaker",
    "ResourceId": "endpoint/e/variant/AllTraffic",
    "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
}


@pytest.fixture
def ready(cloud: Cloud) -> Cloud:
    """With endpoint `e` of one instance."""
    cloud.put_model("m", program(ECHO))
    cloud.put_config("c", {"ModelName": "m"})
    cloud.put_endpoint("e", "c")
    return cloud


def scale(cloud: Cloud, least: int, most: int, **metrics: float) -> None:
    """Registers the variant; each metric is tracked at a value."""
    client = cloud.client("application-autoscaling")
    client.register_scalable_target(**KEY, MinCapacity=least, MaxCapacity=most)
    for metric, value in metrics.items():
        customized = {
            "Namespace": "AWS/SageMaker",
            "MetricName": metric,
            "Dimensions": [{"Name": "EndpointName", "Value": "e"}],
            "Statistic": "Average",
        }
        specification: dict[str, Any] = (
            {"CustomizedMetricSpecification": customized}
            if metric == BACKLOG
            else {"PredefinedMetricSpecification": {"PredefinedMetricType": metric}}
        )
        client.put_scaling_policy(
            **KEY,
            PolicyName=metric,
            PolicyType="TargetTrackingScaling",
            TargetTrackingScalingPolicyConfiguration={"TargetValue": value, **specification},
        )


def minutes(cloud: Cloud, count: int, *, calls: int = 0, seconds: float = 0.0) -> list[int]:
    """How many instances there are after each of so many minutes, each with so many calls of so many seconds."""
    sagemaker, counts = cloud.sagemaker, []

    async def pass_one() -> None:
        for _ in range(calls):
            sagemaker.metrics.add(PLACE, "e", "AllTraffic", 200, seconds)
        sagemaker.scaler.look(sagemaker.store(PLACE), sagemaker.scaling(PLACE), 60)

    for _ in range(count):
        cloud.run(pass_one())
        counts.append(shown(cloud)[0])
    return counts


def shown(cloud: Cloud) -> tuple[int, int]:
    """(current, desired) instances, once nothing is in progress."""
    described = cloud.settled("e")
    assert described["EndpointStatus"] == "InService"
    (variant,) = described["ProductionVariants"]
    return variant["CurrentInstanceCount"], variant["DesiredInstanceCount"]


def servers(cloud: Cloud) -> list[int]:
    """The processes of the endpoint's servers."""
    fleet = cloud.sagemaker.store(PLACE).endpoint("e").fleet
    assert fleet is not None
    return [instance.process.pid for variant in fleet.variants for instance in variant.instances]


def test_it_scales_out_to_what_each_has_at_once_and_waits_for_the_new_ones_to_begin(ready: Cloud) -> None:
    scale(ready, 1, 4, **{CONCURRENCY: 4})
    # 20 calls of 30 s in a minute are 10 at once: 3 instances have less than 4 each.
    assert minutes(ready, 1, calls=20, seconds=30) == [3]
    assert shown(ready) == (3, 3)
    assert len(set(servers(ready))) == 3
    assert minutes(ready, 5, calls=60, seconds=30) == [3, 3, 3, 3, 4]


def test_it_scales_out_by_calls_after_three_minutes_and_in_after_fifteen_quiet_ones_but_not_too_soon(
    ready: Cloud,
) -> None:
    scale(ready, 1, 3, **{INVOCATIONS: 10})
    assert minutes(ready, 3, calls=20) == [1, 1, 2]
    gone = set(servers(ready))
    assert minutes(ready, 16, calls=3) == [2] * 14 + [1, 1]
    gone -= set(servers(ready))
    assert len(gone) == 1
    with pytest.raises(ProcessLookupError):
        os.kill(gone.pop(), 0)


def test_of_two_policies_the_one_that_wants_more_counts(ready: Cloud) -> None:
    scale(ready, 1, 4, **{CONCURRENCY: 4, INVOCATIONS: 1_000})
    assert minutes(ready, 1, calls=10, seconds=36) == [2]
    # Hardly any calls, and yet as much at once as there should be: nothing goes.
    assert minutes(ready, 20, calls=12, seconds=40) == [2] * 20


def test_a_new_minimum_or_maximum_is_kept_at_once(ready: Cloud) -> None:
    scale(ready, 2, 4, **{INVOCATIONS: 10})
    assert minutes(ready, 1) == [2]
    scale(ready, 1, 1)
    assert minutes(ready, 1) == [1]


def test_it_scales_to_zero_and_a_request_starts_the_first_which_answers_it(cloud: Cloud) -> None:
    cloud.put_model("m", program(ECHO))
    cloud.client("sagemaker").create_endpoint_config(
        EndpointConfigName="c",
        ProductionVariants=[variant_of(ModelName="m")],
        AsyncInferenceConfig={"OutputConfig": {"S3OutputPath": "s3://data/out/"}},
    )
    cloud.put_endpoint("e", "c")
    scale(cloud, 0, 2, **{BACKLOG: 4})
    step = {"AdjustmentType": "ChangeInCapacity", "StepAdjustments": [{"ScalingAdjustment": 1}]}
    policy = {"PolicyName": "first", "PolicyType": "StepScaling", "StepScalingPolicyConfiguration": step}
    arn = cloud.client("application-autoscaling").put_scaling_policy(**KEY, **policy)["PolicyARN"]
    alarm = {
        "Namespace": "AWS/SageMaker",
        "MetricName": "HasBacklogWithoutCapacity",
        "Dimensions": [{"Name": "EndpointName", "Value": "e"}],
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "Threshold": 1.0,
        "Period": 60,
        "EvaluationPeriods": 2,
        "AlarmActions": [arn],
        "StateValue": "INSUFFICIENT_DATA",
    }
    cloud.memory.alarms_described.append(alarm)
    assert minutes(cloud, 15) == [1] * 14 + [0]
    assert servers(cloud) == []

    cloud.memory.objects["data", "in"] = b'"question"'
    answers = [
        cloud.client("sagemaker-runtime").invoke_endpoint_async(EndpointName="e", InputLocation="s3://data/in")
        for _ in range(9)
    ]
    assert minutes(cloud, 1) == [0]
    assert minutes(cloud, 1) == [1]
    keys = [("data", it["OutputLocation"].removeprefix("s3://data/")) for it in answers]
    queue = cloud.sagemaker._runtime._queues[cloud.sagemaker.store(PLACE).endpoint("e")]
    cloud.run(ended(queue._work))
    assert [json.loads(cloud.memory.objects[key])["data"] for key in keys] == ["question"] * 9
    assert queue.backlog == 0
    assert minutes(cloud, 15)[-1] == 0


async def ended(work: set[Any]) -> None:
    for task in list(work):
        await task


def test_a_backlog_scales_the_queue_out(cloud: Cloud) -> None:
    cloud.put_model("m", program(ECHO))
    cloud.client("sagemaker").create_endpoint_config(
        EndpointConfigName="c",
        ProductionVariants=[variant_of(ModelName="m")],
        AsyncInferenceConfig={"OutputConfig": {"S3OutputPath": "s3://data/out/"}},
    )
    cloud.put_endpoint("e", "c")
    scale(cloud, 1, 3, **{BACKLOG: 2})
    cloud.sagemaker.scaler._backlog = lambda _: 5
    assert minutes(cloud, 3) == [1, 1, 3]


def test_an_alarm_on_another_metric_rings_when_cloudwatch_says_so(ready: Cloud) -> None:
    scale(ready, 1, 4)
    step = {"AdjustmentType": "ExactCapacity", "StepAdjustments": [{"ScalingAdjustment": 2}]}
    policy = {"PolicyName": "two", "PolicyType": "StepScaling", "StepScalingPolicyConfiguration": step}
    arn = ready.client("application-autoscaling").put_scaling_policy(**KEY, **policy)["PolicyARN"]
    alarm = {"Namespace": "Mine", "MetricName": "Load", "Dimensions": [], "AlarmActions": [arn], "StateValue": "OK"}
    ready.memory.alarms_described.append(alarm)
    assert minutes(ready, 1) == [1]
    alarm["StateValue"] = "ALARM"
    assert minutes(ready, 1) == [2]


def test_an_update_keeps_the_count_that_scaling_came_to_if_it_is_asked_to(ready: Cloud) -> None:
    scale(ready, 1, 4, **{CONCURRENCY: 4})
    minutes(ready, 1, calls=20, seconds=30)
    ready.put_config("again", {"ModelName": "m"})
    update = ready.client("sagemaker").update_endpoint

    update(EndpointName="e", EndpointConfigName="again", RetainAllVariantProperties=True)
    assert shown(ready) == (3, 3)

    update(EndpointName="e", EndpointConfigName="c")
    assert shown(ready) == (1, 1)


@pytest.mark.parametrize("change", [{"InstanceType": "ml.c5.large"}, {"VariantName": "Another"}])
def test_a_variant_that_scales_keeps_its_name_and_its_instance_type(ready: Cloud, change: dict[str, str]) -> None:
    scale(ready, 1, 4)
    ready.put_config("changed", {"ModelName": "m", **change})
    update = ready.client("sagemaker").update_endpoint

    with pytest.raises(ClientError, match="must be deregistered as scalable targets with AutoScaling before"):
        update(EndpointName="e", EndpointConfigName="changed")

    ready.client("application-autoscaling").deregister_scalable_target(**KEY)
    update(EndpointName="e", EndpointConfigName="changed")
    assert shown(ready) == (1, 1)


def test_an_instance_that_does_not_come_up_leaves_the_others_and_is_tried_again(ready: Cloud) -> None:
    scale(ready, 2, 2)
    archive = ready.memory.objects.pop(("models", "m.tar.gz"))
    assert minutes(ready, 1) == [1]
    assert shown(ready) == (1, 1)
    ready.memory.objects["models", "m.tar.gz"] = archive
    assert minutes(ready, 1) == [2]


def test_more_than_this_machine_has_is_not_started(ready: Cloud) -> None:
    scale(ready, MAX_INSTANCES + 1, MAX_INSTANCES + 1)
    assert minutes(ready, 1) == [1]


def test_a_target_of_no_endpoint_scales_nothing(cloud: Cloud) -> None:
    scale(cloud, 1, 4)
    sagemaker = cloud.sagemaker

    async def look() -> None:
        sagemaker.scaler.look(sagemaker.store(PLACE), sagemaker.scaling(PLACE), 60)

    cloud.run(look())


def test_what_scales_goes_on_scaling_in_a_later_process(ready: Cloud) -> None:
    scale(ready, 1, 4, **{CONCURRENCY: 4})
    known = json.loads(json.dumps(kept.dump(ready.sagemaker)))
    with around.cloud() as later:
        later.memory.objects.update(ready.memory.objects)
        later.run(kept.restore(later.sagemaker, known))
        assert later.sagemaker.scaler.watched == [PLACE]
        assert minutes(later, 1, calls=20, seconds=30) == [3]
