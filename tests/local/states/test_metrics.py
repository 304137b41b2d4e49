"""What the engine tells CloudWatch of executions."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from local.clock import Clock
from local.states.machines import Engine
from tests.local.states.fake_aws import MACHINE, ROLE, FakeAws, machine

WAIT = {"Type": "Wait", "Seconds": 0, "End": True}
FAIL = {"Type": "Fail", "Error": "Broken"}


def published(*definitions: str, stop: bool = False) -> list[tuple[str, str, Any]]:
    """What was published once when each of these machines had run, one execution each."""

    async def all_of_them() -> None:
        for number, definition in enumerate(definitions):
            engine.create(f"{MACHINE}{number}", definition=definition, role_arn=ROLE)
            execution = engine.start(f"{MACHINE}{number}", "run", {})
            if stop:
                engine.stop(execution.arn)
            assert execution.task is not None
            await asyncio.wait([execution.task])
        await asyncio.sleep(0)
        engine.metrics.flush()

    aws = FakeAws()
    engine = Engine(aws, Clock(1))
    asyncio.run(all_of_them())
    return aws.published


def counted(found: list[tuple[str, str, Any]]) -> dict[str, float]:
    """How often each metric of the first machine was published."""
    return {it["MetricName"]: sum(it["Counts"]) for arn, _, it in found if arn == f"{MACHINE}0"}


@pytest.mark.parametrize(
    ("definition", "stop", "ending"),
    [
        (machine({"Only": WAIT}), False, "Succeeded"),
        (machine({"Only": FAIL}), False, "Failed"),
        (machine({"Only": {**WAIT, "Seconds": 60}}, TimeoutSeconds=1), False, "TimedOut"),
        (machine({"Only": {**WAIT, "Seconds": 60}}), True, "Aborted"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isalpha() else "",
)
def test_an_execution_counts_as_started_and_as_what_it_ended_as(definition: str, stop: bool, ending: str) -> None:
    found = published(definition, stop=stop)
    assert counted(found) == {"ExecutionsStarted": 1, f"Executions{ending}": 1, "ExecutionTime": 1}
    assert {namespace for _, namespace, _ in found} == {"AWS/States"}


def test_each_machines_metrics_are_its_own() -> None:
    found = published(machine({"Only": WAIT}), machine({"Only": FAIL}))
    named = {arn: it["Dimensions"] for arn, _, it in found}
    assert named == {
        f"{MACHINE}{number}": [{"Name": "StateMachineArn", "Value": f"{MACHINE}{number}"}] for number in (0, 1)
    }


def test_a_maps_children_do_not_count() -> None:
    child = {
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"},
        "StartAt": "One",
        "States": {"One": WAIT},
    }
    records = {"Type": "Map", "Items": [1, 2, 3], "ItemProcessor": child, "Label": "Records", "End": True}
    assert counted(published(machine({"Records": records})))["ExecutionsStarted"] == 1


def test_what_is_counted_is_published_without_another_execution(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local.states.metrics.SECONDS", 0.0)

    async def run() -> None:
        engine.create(MACHINE, definition=machine({"Only": FAIL}), role_arn=ROLE)
        engine.start(MACHINE, "run", {})
        while not any(it["MetricName"] == "ExecutionsFailed" for _, _, it in aws.published):
            await asyncio.sleep(0)

    aws = FakeAws()
    engine = Engine(aws, Clock(1))
    asyncio.run(asyncio.wait_for(run(), 10))
