"""Blue/green updates: how the traffic goes over, and that it comes back when an alarm rings."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.clock import Clock
from local.sagemaker.aws import Document, Place
from local.sagemaker.deployment import Shift, shifted, steps_of
from tests.local.sagemaker.around import ACCOUNT, ECHO, REGION, ROLE, Cloud, cloud, program

ALARMS = {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "errors"}]}}


def policy(kind: str, seconds: int = 60, **more: Any) -> Document:
    routing = {"Type": kind, "WaitIntervalInSeconds": seconds, **more}
    return {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing}}


def percent(value: int) -> Document:
    return {"Type": "CAPACITY_PERCENT", "Value": value}


@pytest.mark.parametrize(
    ("config", "shares"),
    [
        (None, (1.0,)),
        (policy("ALL_AT_ONCE"), (1.0,)),
        (policy("CANARY", CanarySize=percent(10)), (0.1, 1.0)),
        (policy("CANARY", CanarySize={"Type": "INSTANCE_COUNT", "Value": 1}), (0.25, 1.0)),
        (policy("LINEAR", LinearStepSize=percent(25)), (0.25, 0.5, 0.75, 1.0)),
        (policy("LINEAR", LinearStepSize=percent(40)), (0.4, 0.8, 1.0)),
    ],
)
def test_the_traffic_goes_over_in_the_steps_of_the_policy(config: Document | None, shares: tuple[float, ...]) -> None:
    assert steps_of(config, 4).shares == shares


@pytest.mark.parametrize("config", [{"RollingUpdatePolicy": {}}, ALARMS])
def test_a_deployment_that_is_not_served_is_refused(config: Document) -> None:
    with pytest.raises(Exception, match="the embedded AWS does not serve it"):
        steps_of(config, 1)


class Served:
    """Servers by name only."""

    def __init__(self, name: str) -> None:
        self.name = name

    @contextlib.asynccontextmanager
    async def serving(self, target: str | None) -> AsyncIterator[str]:
        yield self.name


@pytest.mark.parametrize(("share", "new"), [(0.0, 0), (0.1, 10), (0.25, 25), (1.0, 100)])
def test_a_share_of_the_requests_goes_to_the_new_servers(share: float, new: int) -> None:
    async def run() -> int:
        shift = Shift(Served("old"), Served("new"))  # type: ignore[arg-type]  # it only asks who serves
        shift.share = share
        served = []
        for _ in range(100):
            async with shift.serving(None) as name:
                served.append(name)
        return sum(str(name) == "new" for name in served)

    assert asyncio.run(run()) == new


def test_an_alarm_takes_all_traffic_back() -> None:
    rung: list[list[str]] = [[]] * 12 + [["errors"]]

    async def run() -> tuple[list[str], float]:
        shift = Shift(Served("old"), Served("new"))  # type: ignore[arg-type]  # nothing is served
        steps = steps_of({**policy("CANARY", CanarySize=percent(10)), **ALARMS}, 1)
        return await shifted(shift, steps, lambda: rung.pop(0), Clock(0)), shift.share

    assert asyncio.run(run()) == (["errors"], 0.0)
    assert rung == []


@pytest.fixture(scope="module")
def ready() -> Iterator[Cloud]:
    with cloud(clock=Clock(0)) as made:
        for name, source in (
            ("good", ECHO),
            ("bad", ECHO.replace("return json.dumps(prediction), accept", "raise ValueError")),
        ):
            made.put_model(name, program(source), {"NAME": name})
            made.put_config(name, {"ModelName": name})
        assert made.put_endpoint("E", "good")["EndpointStatus"] == "InService"
        yield made


def update(ready: Cloud, config: str, deployment: Document) -> Document:
    sagemaker = ready.client("sagemaker")
    sagemaker.update_endpoint(EndpointName="E", EndpointConfigName=config, DeploymentConfig=deployment)
    return ready.settled("E")


def test_an_update_that_rings_an_alarm_leaves_the_old_servers_in_service(ready: Cloud) -> None:
    ready.memory.alarms.add("errors")
    described = update(ready, "bad", {**policy("CANARY", CanarySize=percent(50)), **ALARMS})
    ready.memory.alarms.clear()
    assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("InService", "good")
    assert described["FailureReason"] == "Rolled back: these alarms are in the ALARM state: errors"
    ready.client("sagemaker-runtime").invoke_endpoint(EndpointName="E", Body=b"1", ContentType="application/json")
    assert len(ready.sagemaker.endpoints._fleets) == 1


def test_an_update_by_alarms_that_the_models_role_may_not_look_at_is_refused(ready: Cloud) -> None:
    denied = (ROLE, "cloudwatch:DescribeAlarms")
    ready.memory.forbidden.add(denied)
    with pytest.raises(ClientError, match=r"cannot be described: .*DescribeAlarms on resource: .*:alarm:errors"):
        update(ready, "good", {**policy("CANARY", CanarySize=percent(50)), **ALARMS})
    ready.memory.forbidden.remove(denied)
    assert ready.settled("E")["EndpointStatus"] == "InService"


def test_a_step_is_watched_for_its_wait_and_the_last_while_the_old_servers_are_kept() -> None:
    class Waits(Clock):
        waited = 0.0

        async def sleep(self, seconds: float) -> None:
            self.waited += seconds

    async def run(kind: str, **more: Any) -> float:
        shift, clock = Shift(Served("old"), Served("new")), Waits()  # type: ignore[arg-type]  # nothing is served
        config = policy(kind, **more)
        config["BlueGreenUpdatePolicy"]["TerminationWaitInSeconds"] = 7
        await shifted(shift, steps_of(config, 1), list, clock)
        return round(clock.waited, 6)

    assert asyncio.run(run("ALL_AT_ONCE")) == 7
    assert asyncio.run(run("CANARY", CanarySize=percent(10))) == 60 + 7
    assert asyncio.run(run("LINEAR", LinearStepSize=percent(25))) == 3 * 60 + 7


def test_a_deployment_to_other_variants_is_refused(ready: Cloud) -> None:
    ready.put_config("renamed", {"ModelName": "good", "VariantName": "Other"})
    with pytest.raises(ClientError, match="AllTraffic cannot become Other by DeploymentConfig"):
        update(ready, "renamed", policy("ALL_AT_ONCE"))


def test_an_update_without_alarms_ends_with_the_new_servers(ready: Cloud) -> None:
    ready.put_config("other", {"ModelName": "good"})
    described = update(ready, "other", {**policy("LINEAR", LinearStepSize=percent(50)), **ALARMS})
    assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("InService", "other")
    assert "FailureReason" not in described
    assert len(ready.sagemaker.endpoints._fleets) == 1


def test_invocations_are_counted_for_cloudwatch(ready: Cloud) -> None:
    ready.sagemaker.metrics.flush()
    ready.memory.metrics.clear()
    runtime = ready.client("sagemaker-runtime")
    for body in (b"1", b"2"):
        runtime.invoke_endpoint(EndpointName="E", Body=body, ContentType="application/json")
    with pytest.raises(ClientError):
        runtime.invoke_endpoint(EndpointName="E", Body=b"{", ContentType="application/json")
    ready.sagemaker.metrics.flush()
    data = {datum["MetricName"]: datum for datum in ready.memory.metrics}
    assert data["Invocations"]["Counts"] == [3]
    assert data["Invocation5XXErrors"]["Counts"] == [1, 2]
    assert data["Invocation4XXErrors"]["Counts"] == [0, 3]
    latency = data["ModelLatency"]["StatisticValues"]
    assert latency["SampleCount"] == 3
    assert 0 < latency["Minimum"] <= latency["Maximum"] <= latency["Sum"]
    assert data["Invocations"]["Dimensions"] == [
        {"Name": "EndpointName", "Value": "E"},
        {"Name": "VariantName", "Value": "AllTraffic"},
    ]
    assert ready.sagemaker.store(Place(ACCOUNT, REGION)).endpoint("E").status == "InService"
