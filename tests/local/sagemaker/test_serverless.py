"""Serverless endpoints: no server until a request comes, as many at once as the configuration allows."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest
from botocore.exceptions import ClientError

from local.sagemaker import instance, serverless
from local.sagemaker.aws import Place
from local.sagemaker.fleet import Variant
from local.sagemaker.serverless import ServerlessFleet
from tests.local.sagemaker.around import ACCOUNT, ECHO, IMAGE, REGION, ROLE, Cloud, program

# Answers with its process.
MODEL = program(
    "import json, os\n"
    "def model_fn(model_dir): pass\n"
    "def transform_fn(model, data, content_type, accept):\n"
    "    if data == b'end': os._exit(1)\n"
    "    return json.dumps(os.getpid()), 'application/json'\n"
)
SERVERLESS = {"MemorySizeInMB": 2048, "MaxConcurrency": 2}


def config(cloud: Cloud, name: str, model: str, **given: Any) -> None:
    variant = {"VariantName": "AllTraffic", "ModelName": model, "ServerlessConfig": SERVERLESS, **given}
    cloud.client("sagemaker").create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])


@pytest.fixture
def endpoint(shared: Cloud) -> Iterator[str]:
    if "held" not in {it["ModelName"] for it in shared.client("sagemaker").list_models()["Models"]}:
        shared.put_model("held", MODEL)
        config(shared, "held", "held")
    assert shared.put_endpoint("held", "held")["EndpointStatus"] == "InService"
    yield "held"
    held = shared.sagemaker.store(Place(ACCOUNT, REGION)).endpoint("held")
    shared.client("sagemaker").delete_endpoint(EndpointName="held")
    shared.run(shared.sagemaker.endpoints.settled(held))


def invoke(cloud: Cloud, body: bytes) -> int:
    answer = cloud.client("sagemaker-runtime").invoke_endpoint(EndpointName="held", Body=body)
    return int(json.loads(answer["Body"].read()))


def variant(cloud: Cloud) -> dict[str, Any]:
    described = cloud.client("sagemaker").describe_endpoint(EndpointName="held")
    return dict(described["ProductionVariants"][0])


def test_a_serverless_endpoint_is_in_service_without_a_server(shared: Cloud, endpoint: str) -> None:
    found = variant(shared)
    assert found["CurrentServerlessConfig"] == SERVERLESS
    assert (found["CurrentInstanceCount"], found["DesiredInstanceCount"]) == (0, 0)
    fleet = shared.sagemaker.store(Place(ACCOUNT, REGION)).endpoint("held").fleet
    assert fleet is not None
    assert fleet.variants[0].instances == []


def test_the_first_request_starts_a_server_which_the_next_one_finds(shared: Cloud, endpoint: str) -> None:
    assert invoke(shared, b"") == invoke(shared, b"")


def test_a_server_that_has_ended_is_replaced_by_the_next_request(shared: Cloud, endpoint: str) -> None:
    first = invoke(shared, b"")
    with pytest.raises(ClientError, match="ModelError"):
        invoke(shared, b"end")
    assert invoke(shared, b"") != first


def test_requests_beyond_the_concurrency_are_throttled_with_a_null_message(shared: Cloud, endpoint: str) -> None:
    fleet = shared.sagemaker.store(Place(ACCOUNT, REGION)).endpoint("held").fleet
    assert fleet is not None
    held = contextlib.AsyncExitStack()

    async def hold() -> set[int]:
        both = [await held.enter_async_context(fleet.serving(None)) for _ in range(2)]
        return {server.process.pid for _, server in both}

    servers = shared.run(hold())
    assert len(servers) == 2
    with pytest.raises(ClientError) as caught:
        invoke(shared, b"")
    assert caught.value.response["Error"] == {"Code": "ThrottlingException", "Message": None}
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    shared.run(held.aclose())
    assert invoke(shared, b"") in servers


def test_a_body_over_4_mib_is_refused(shared: Cloud, endpoint: str) -> None:
    with pytest.raises(ClientError) as caught:
        invoke(shared, b" " * (4 * 1024**2 + 1))
    assert caught.value.response["Error"] == {"Code": "413", "Message": "HTTP content length exceeded 4194304 bytes."}


def test_an_idle_server_goes(shared: Cloud) -> None:
    async def run() -> list[int]:
        async with aiohttp.ClientSession() as session:
            data = program(ECHO)
            lines: list[str] = []
            one = Variant("v", 1, 0, "image", lambda: instance.start(data, {}, REGION, lines.append))
            fleet = ServerlessFleet(one, 1, session, idle_seconds=0.05)
            async with fleet.serving(None) as (_, server):
                counts = [len(one.instances)]
            await server.process.wait()
            counts.append(len(one.instances))
            await fleet.stop()
            return counts

    assert asyncio.run(run()) == [1, 0]


def test_requests_beyond_this_machines_processes_wait_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serverless, "MAX_PROCESSES", 1)

    async def run() -> set[int]:
        async with aiohttp.ClientSession() as session:
            data = program(ECHO)
            one = Variant("v", 1, 0, "image", lambda: instance.start(data, {}, REGION, lambda line: None))
            fleet = ServerlessFleet(one, 3, session)

            async def request() -> int:
                async with fleet.serving(None) as (_, server):
                    await asyncio.sleep(0)
                    return server.process.pid

            served = set(await asyncio.gather(*(request() for _ in range(3))))
            await fleet.stop()
            return served

    assert len(asyncio.run(run())) == 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"InitialInstanceCount": 1}, "InitialInstanceCount cannot be specified with ServerlessConfig"),
        ({"InstanceType": "ml.m5.large"}, "InstanceType cannot be specified with ServerlessConfig"),
        ({"ServerlessConfig": {**SERVERLESS, "MemorySizeInMB": 1500}}, "multiple of 1024, received 1500"),
        ({"ServerlessConfig": {**SERVERLESS, "ProvisionedConcurrency": 1}}, "ServerlessConfig.ProvisionedConcurrency"),
    ],
)
def test_a_serverless_variant_that_aws_would_not_take_is_refused(
    shared: Cloud, endpoint: str, given: dict[str, Any], said: str
) -> None:
    with pytest.raises(ClientError, match=said):
        config(shared, "refused", "held", **given)


def test_a_model_with_network_isolation_is_refused(shared: Cloud) -> None:
    shared.memory.objects["models", "isolated"] = MODEL
    shared.client("sagemaker").create_model(
        ModelName="isolated",
        PrimaryContainer={"Image": IMAGE, "ModelDataUrl": "s3://models/isolated"},
        ExecutionRoleArn=ROLE,
        EnableNetworkIsolation=True,
    )
    with pytest.raises(ClientError, match="which serverless endpoints do not support"):
        config(shared, "refused", "isolated")


def test_an_endpoint_with_instances_does_not_become_serverless_but_the_other_way_it_does(
    shared: Cloud, endpoint: str
) -> None:
    shared.put_config("instances", {"ModelName": "held"})
    sagemaker = shared.client("sagemaker")
    sagemaker.update_endpoint(EndpointName="held", EndpointConfigName="instances", RetainAllVariantProperties=True)
    assert shared.settled("held")["ProductionVariants"][0]["CurrentInstanceCount"] == 1
    with pytest.raises(ClientError, match="Cannot convert the instance-based endpoint"):
        sagemaker.update_endpoint(EndpointName="held", EndpointConfigName="held")
