"""Endpoints with real servers: their states, updates that keep serving, and failures that say why."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.sagemaker import endpoints, instance
from local.sagemaker.aws import Place
from local.sagemaker.fleet import Fleet
from local.sagemaker.instance import Instance
from local.sagemaker.store import Endpoint
from tests.local.sagemaker.around import ACCOUNT, ECHO, REGION, Cloud, program

ARN = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:"
BROKEN = program("def model_fn(model_dir): raise RuntimeError('weights are missing')")
FAILURE = (
    "The primary container for production variant AllTraffic did not pass the ping health check: "
    "RuntimeError: weights are missing"
)
SLOW = program("import time; time.sleep(600)")


@pytest.fixture
def ready(cloud: Cloud) -> Cloud:
    """Models a and b that answer with their name, and configurations a, b and broken."""
    for name in ("a", "b"):
        cloud.put_model(name, program(ECHO), {"NAME": name})
        cloud.put_config(name, {"ModelName": name})
    cloud.put_model("broken", BROKEN)
    cloud.put_config("broken", {"ModelName": "broken"})
    return cloud


def answering(cloud: Cloud, **parameters: Any) -> str:
    response = cloud.client("sagemaker-runtime").invoke_endpoint(
        EndpointName="E", ContentType="application/json", Body=b"1", **parameters
    )
    return str(json.loads(response["Body"].read())["model"])


def message(call: Any, **parameters: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    return str(caught.value.response["Error"]["Message"])


def endpoint(cloud: Cloud) -> Endpoint:
    return cloud.sagemaker.store(Place(ACCOUNT, REGION)).endpoint("E")


def pids(cloud: Cloud) -> list[int]:
    fleet = endpoint(cloud).fleet
    assert fleet is not None
    return [one.process.pid for variant in fleet.variants for one in variant.instances]


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_an_endpoint_is_creating_and_then_in_service(ready: Cloud) -> None:
    sagemaker = ready.client("sagemaker")
    created = sagemaker.create_endpoint(EndpointName="E", EndpointConfigName="a")
    assert created["EndpointArn"] == f"{ARN}endpoint/e"
    assert sagemaker.describe_endpoint(EndpointName="E")["EndpointStatus"] == "Creating"

    described = ready.settled("E")

    assert described["EndpointStatus"] == "InService"
    assert described["EndpointConfigName"] == "a"
    assert described["ProductionVariants"][0]["CurrentInstanceCount"] == 1
    assert sagemaker.list_endpoints(StatusEquals="InService")["Endpoints"][0]["EndpointName"] == "E"
    assert answering(ready) == "a"


def test_nothing_changes_an_endpoint_in_progress(ready: Cloud) -> None:
    sagemaker = ready.client("sagemaker")
    sagemaker.create_endpoint(EndpointName="E", EndpointConfigName="a")
    words = f'Cannot update in-progress endpoint "{ARN}endpoint/e".'

    assert message(sagemaker.update_endpoint, EndpointName="E", EndpointConfigName="b") == words
    assert message(sagemaker.delete_endpoint, EndpointName="E") == words
    assert "already existing endpoint" in message(sagemaker.create_endpoint, EndpointName="e", EndpointConfigName="a")


def test_a_server_that_does_not_come_up_fails_the_endpoint_with_its_last_error(ready: Cloud) -> None:
    described = ready.put_endpoint("E", "broken")

    assert (described["EndpointStatus"], described["FailureReason"]) == ("Failed", FAILURE)
    assert "not found" in message(ready.client("sagemaker-runtime").invoke_endpoint, EndpointName="E", Body=b"")
    group = {(group, stream) for group, stream, _ in ready.memory.lines}
    assert group == {("/aws/sagemaker/Endpoints/E", "AllTraffic/local")}


def test_a_server_that_does_not_answer_in_its_time_fails_the_endpoint(cloud: Cloud) -> None:
    cloud.put_model("slow", SLOW)
    cloud.put_config("slow", {"ModelName": "slow"})
    config = cloud.sagemaker.store(Place(ACCOUNT, REGION)).config("slow")
    # AWS's least is a minute.
    config["ProductionVariants"][0]["ContainerStartupHealthCheckTimeoutInSeconds"] = 0.2

    assert "no answer to /ping within 0.2 seconds" in cloud.put_endpoint("E", "slow")["FailureReason"]


def test_an_update_brings_new_servers_and_then_stops_the_old_ones(ready: Cloud) -> None:
    ready.put_endpoint("E", "a")
    old = pids(ready)

    ready.client("sagemaker").update_endpoint(EndpointName="E", EndpointConfigName="b")
    assert endpoint(ready).status == "Updating"
    assert answering(ready) == "a"

    assert ready.settled("E")["EndpointConfigName"] == "b"
    assert answering(ready) == "b"
    assert all(gone(pid) for pid in old)


def test_an_update_that_fails_keeps_the_old_servers_and_says_why(ready: Cloud) -> None:
    ready.put_endpoint("E", "a")

    ready.client("sagemaker").update_endpoint(EndpointName="E", EndpointConfigName="broken")
    described = ready.settled("E")

    assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("InService", "a")
    assert described["FailureReason"] == FAILURE
    assert answering(ready) == "a"


def test_a_failed_endpoint_can_be_updated_to_one_that_works(ready: Cloud) -> None:
    ready.put_endpoint("E", "broken")

    ready.client("sagemaker").update_endpoint(EndpointName="E", EndpointConfigName="a")

    described = ready.settled("E")
    assert described["EndpointStatus"] == "InService"
    assert "FailureReason" not in described


def test_a_deleted_endpoint_is_deleting_and_then_gone_with_its_servers(ready: Cloud) -> None:
    ready.put_endpoint("E", "a")
    servers, kept = pids(ready), endpoint(ready)

    ready.client("sagemaker").delete_endpoint(EndpointName="E")
    assert kept.status == "Deleting"
    ready.run(ready.sagemaker.endpoints.settled(kept))

    assert "Could not find endpoint" in message(ready.client("sagemaker").describe_endpoint, EndpointName="E")
    assert all(gone(pid) for pid in servers)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Instance]:
    """Every instance that is started, in order."""
    found: list[Instance] = []
    start = instance.start

    async def noted(*arguments: Any) -> Instance:
        found.append(await start(*arguments))
        return found[-1]

    monkeypatch.setattr(instance, "start", noted)
    return found


def test_closing_stops_every_server_also_those_that_still_start(started: list[Instance], ready: Cloud) -> None:
    ready.put_model("slow", SLOW)
    ready.put_config("slow", {"ModelName": "slow"})
    ready.put_endpoint("E", "a")
    ready.client("sagemaker").create_endpoint(EndpointName="slow", EndpointConfigName="slow")
    ready.run(_until(lambda: len(started) == 2))

    ready.run(ready.sagemaker.close())

    assert [one.alive for one in started] == [False, False]


def test_closing_in_the_middle_of_a_deletion_or_an_update_stops_every_server(
    started: list[Instance], ready: Cloud
) -> None:
    ready.put_endpoint("E", "a")
    ready.put_endpoint("F", "a")
    ready.client("sagemaker").delete_endpoint(EndpointName="E")
    ready.client("sagemaker").update_endpoint(EndpointName="F", EndpointConfigName="b")
    ready.run(_until(lambda: len(started) == 3))

    ready.run(ready.sagemaker.close())

    assert [one.alive for one in started] == [False] * 3


async def _until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.005)


def test_traffic_goes_to_variants_by_weight_and_evenly_to_their_instances(ready: Cloud) -> None:
    ready.put_config(
        "both",
        {"ModelName": "a", "VariantName": "A", "InitialVariantWeight": 3, "InitialInstanceCount": 2},
        {"ModelName": "b", "VariantName": "B", "InitialVariantWeight": 1},
        {"ModelName": "b", "VariantName": "None", "InitialVariantWeight": 0},
    )
    ready.put_endpoint("E", "both")

    answers = [answering(ready) for _ in range(8)]

    assert (answers.count("a"), answers.count("b")) == (6, 2)
    assert answering(ready, TargetVariant="None") == "b"
    assert len(set(pids(ready))) == 4
    words = message(ready.client("sagemaker-runtime").invoke_endpoint, EndpointName="E", Body=b"", TargetVariant="C")
    assert words == "Variant C not found for endpoint E."


def test_a_server_that_ends_by_itself_is_replaced(ready: Cloud) -> None:
    ready.put_config("two", {"ModelName": "a", "InitialInstanceCount": 2})
    ready.put_endpoint("E", "two")
    fleet = endpoint(ready).fleet
    assert isinstance(fleet, Fleet)
    dead, living = pids(ready)
    killed = next(i for i in fleet.variants[0].instances if i.process.pid == dead)
    os.kill(dead, signal.SIGKILL)
    ready.run(killed.process.wait())

    assert [answering(ready) for _ in range(3)] == ["a"] * 3
    ready.run(_healed(fleet))

    replaced = pids(ready)
    assert len(replaced) == 2
    assert living in replaced
    assert dead not in replaced


async def _healed(fleet: Fleet) -> None:
    await asyncio.gather(*fleet._healing)


def test_more_instances_than_this_machine_should_run_are_refused(ready: Cloud) -> None:
    ready.put_config("many", {"ModelName": "a", "InitialInstanceCount": endpoints.MAX_INSTANCES + 1})

    with pytest.raises(ClientError, match=r"service limit .* is 16 Instances") as caught:
        ready.put_endpoint("E", "many")

    assert caught.value.response["Error"]["Code"] == "ResourceLimitExceeded"


def test_an_update_can_keep_the_counts_and_weights_that_serve(ready: Cloud) -> None:
    ready.put_config("two", {"ModelName": "a", "InitialInstanceCount": 2, "InitialVariantWeight": 5})
    ready.put_endpoint("E", "two")

    ready.client("sagemaker").update_endpoint(
        EndpointName="E",
        EndpointConfigName="b",
        RetainAllVariantProperties=True,
        ExcludeRetainedVariantProperties=[{"VariantPropertyType": "DesiredWeight"}],
    )

    variant = ready.settled("E")["ProductionVariants"][0]
    assert (variant["DesiredInstanceCount"], variant["DesiredWeight"]) == (2, 1.0)


def blue_green(routing: str) -> dict[str, Any]:
    return {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": {"Type": routing, "WaitIntervalInSeconds": 0}}}


ALL_AT_ONCE, CANARY = blue_green("ALL_AT_ONCE"), blue_green("CANARY")


def test_a_canary_without_a_size_is_refused(ready: Cloud) -> None:
    create = ready.client("sagemaker").create_endpoint

    said = message(create, EndpointName="E", EndpointConfigName="a", DeploymentConfig=CANARY)
    assert "CanarySize must be specified" in said


def test_a_deployment_all_at_once_is_what_happens_anyway(ready: Cloud) -> None:
    ready.client("sagemaker").create_endpoint(EndpointName="E", EndpointConfigName="a", DeploymentConfig=ALL_AT_ONCE)

    assert ready.settled("E")["EndpointStatus"] == "InService"
