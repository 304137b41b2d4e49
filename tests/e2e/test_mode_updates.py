"""Stacks that go from every mode to every other: what was there stays, what served before is gone, and all works."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest

from lambda_src.contract import request_prefix
from model import examples, train
from stacks.settings.modes import ASYNC
from tests.e2e.deployment import Deployment, until
from tests.e2e.updates import UPDATED, Moving, circuit
from tests.synthesis import FROM_ZERO, MODES

STACK = "InferenceStack"
KINDS = (
    "AWS::SageMaker::Model",
    "AWS::SageMaker::EndpointConfig",
    "AWS::SageMaker::Endpoint",
    "AWS::Lambda::Function",
)
RECORDS = examples.request(train.load())


def test_a_circuit_has_each_ordered_pair_once() -> None:
    for count in range(2, 6):
        names = [str(number) for number in range(count)]
        pairs = list(circuit(names))
        assert len(pairs) == len(set(pairs)) == count * (count - 1)
        assert pairs[0][0] == pairs[-1][1] == names[0]
        assert all(before[1] == after[0] for before, after in pairwise(pairs))


def test_every_mode_is_updated_to_every_other_with_its_data_and_without_a_trace_of_the_old(
    moving: Moving, subtests: pytest.Subtests
) -> None:
    first = moving.to(next(iter(MODES)))
    expected = predictions(first)
    bucket, kept = first.outputs[STACK]["ResultsBucketUri"], versions(first)
    for old, new in circuit(list(MODES)):
        with subtests.test(f"from {old} to {new}"):
            before = endpoints(moving.now)
            now = moving.to(new)
            assert now.outputs[STACK]["ResultsBucketUri"] == bucket
            assert not before & endpoints(now)
            assert served(now) == declared(now)
            assert now.physical[STACK].keys() == now.assembly.stacks[STACK].template["Resources"].keys()
            assert predictions(now) == expected
            found = versions(now)
            assert kept.items() <= found.items(), "an object that was there has changed"
            kept = found


def test_a_queue_without_requests_has_no_instance_and_a_request_starts_one(moving: Moving) -> None:
    moving.to(ASYNC)  # so that scaling is turned on
    now = moving.to(FROM_ZERO)
    until(lambda: instances(now), lambda found: found == {"Current": 0, "Desired": 0})
    assert len(predictions(now)) == len(RECORDS)
    until(lambda: instances(now), lambda found: found["Current"] == 0)


def test_another_instance_type_of_what_scales_is_another_endpoint_and_would_be_refused_in_place(moving: Moving) -> None:
    now = moving.to(FROM_ZERO)
    template = json.dumps(now.assembly.stacks[STACK].template)
    before, other_type = endpoints(now), template.replace("ml.m5.large", "ml.c5.large")

    status, reasons = moving.edit(STACK, other_type)
    assert status == "UPDATE_ROLLBACK_COMPLETE"
    assert any("must be deregistered as scalable targets with AutoScaling" in reason for reason in reasons)
    assert endpoints(now) == before

    status, reasons = moving.edit(STACK, other_type.replace("EndpointMlM5Large", "EndpointMlC5Large"))
    assert status == UPDATED, reasons
    (endpoint,) = endpoints(now) - before
    assert served(now) == declared(now)
    scaling = now.client("application-autoscaling")
    (target,) = scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
    assert target["ResourceId"] == f"endpoint/{endpoint}/variant/AllTraffic"
    policies = scaling.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"]
    assert {(it["PolicyName"], it["ResourceId"]) for it in policies} == {
        ("Backlog", target["ResourceId"]),
        ("FromZero", target["ResourceId"]),
    }
    moving.now = Deployment(now.ready, now.folder, now.updated)  # the endpoint has another name
    assert len(predictions(moving.now)) == len(RECORDS)


def test_scaling_can_be_turned_off_again(moving: Moving) -> None:
    moving.to(FROM_ZERO)
    now = moving.to(ASYNC)
    scaling = now.client("application-autoscaling")
    assert scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"] == []
    assert served(now) == declared(now)
    assert instances(now) == {"Current": 1, "Desired": 1}
    assert len(predictions(now)) == len(RECORDS)


def instances(deployment: Deployment) -> dict[str, int]:
    """How many instances the endpoint has, and is to have."""
    name = deployment.outputs[STACK]["EndpointName"]
    (variant,) = deployment.client("sagemaker").describe_endpoint(EndpointName=name)["ProductionVariants"]
    return {kind: variant[f"{kind}InstanceCount"] for kind in ("Current", "Desired")}


def declared(deployment: Deployment) -> dict[str, int]:
    """How many models, configurations, endpoints and functions the templates have."""
    of_type = [it["Type"] for stack in deployment.assembly.stacks.values() for it in stack.resources.values()]
    return {kind: of_type.count(kind) for kind in KINDS}


def endpoints(deployment: Deployment) -> set[str]:
    return {it["EndpointName"] for it in deployment.client("sagemaker").list_endpoints()["Endpoints"]}


def served(deployment: Deployment) -> dict[str, int]:
    """How many of them there are."""
    sagemaker, functions = deployment.client("sagemaker"), deployment.client("lambda")
    found = (
        sagemaker.list_models()["Models"],
        sagemaker.list_endpoint_configs()["EndpointConfigs"],
        sagemaker.list_endpoints()["Endpoints"],
        functions.list_functions()["Functions"],
    )
    return {kind: len(those) for kind, those in zip(KINDS, found, strict=True)}


def predictions(deployment: Deployment) -> list[Any]:
    """What a request stores; as numbers, whose texts depend on who wrote them (1 and 1.0)."""
    output = deployment.execute(STACK, {"records": RECORDS}).output
    assert output["predicted"] == len(RECORDS)
    return [json.loads(line) for line in deployment.stored(output["results"]).splitlines()]


def versions(deployment: Deployment) -> dict[tuple[str, str], str]:
    """The content's hash of each version of each result in the data bucket."""
    bucket = deployment.outputs[STACK]["ResultsBucketUri"].removeprefix("s3://")
    pages = (
        deployment.client("s3").get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=request_prefix(""))
    )
    return {(it["Key"], it["VersionId"]): it["ETag"] for page in pages for it in page.get("Versions", [])}
