"""Log delivery: which events of an execution reach the log group, and how they look there."""

import asyncio
import json
import re
import time
from typing import Any

import pytest

from local.clock import Clock
from local.states.executions import Execution
from local.states.logs import Delivery
from local.states.machines import ApiError, Engine
from tests.local.states.fake_aws import MACHINE, ROLE, FakeAws, Raised, machine, task

Json = Any
GROUP = "arn:aws:logs:us-east-1:000000000000:log-group:/states/tested:*"
PASS = {"A": {"Type": "Pass", "Output": "done", "Assign": {"x": 1}, "End": True}}
FAIL = {"A": {"Type": "Fail", "Error": "E", "Cause": "C"}}


def logging(level: str, *, data: bool = False, group: str = GROUP) -> dict[str, Json]:
    destinations = [{"cloudWatchLogsLogGroup": {"logGroupArn": group}}]
    return {"level": level, "includeExecutionData": data, "destinations": destinations}


def logged(states: Json, configuration: Json, *, aws: FakeAws | None = None, kind: str = "STANDARD") -> list[Json]:
    """The lines that one execution leaves."""
    aws = aws or FakeAws()

    async def run() -> Execution:
        engine = Engine(aws, Clock(0))
        engine.create(MACHINE, definition=machine(states), role_arn=ROLE, kind=kind, logging=configuration)
        execution = engine.start(MACHINE, "run", {"secret": 1})
        assert execution.task is not None
        await asyncio.wait([execution.task])
        return execution

    execution = asyncio.run(run())
    lines = [line for _, _, line in aws.logged]
    assert {line["execution_arn"] for line in lines} <= {execution.arn}
    return lines


def test_a_line_has_the_fields_that_aws_writes() -> None:
    aws = FakeAws()
    lines = logged(PASS, logging("ALL", data=True), aws=aws)
    assert abs(int(lines[1].pop("event_timestamp")) / 1000 - time.time()) < 5
    assert lines[1] == {
        "id": "2",
        "type": "PassStateEntered",
        "details": {"input": '{"secret":1}', "inputDetails": {"truncated": False}, "name": "A"},
        "previous_event_id": "0",
        "execution_arn": MACHINE.replace("stateMachine", "execution") + ":run",
        "redrive_count": "0",
    }
    [(group, stream)] = {(group, stream) for group, stream, _ in aws.logged}
    assert group == "/states/tested"
    assert re.fullmatch(r"states/tested/\d{4}-\d\d-\d\d-\d\d-\d\d/[0-9a-f]{8}", stream)


def test_without_execution_data_no_input_output_or_variable_is_logged_but_errors_are() -> None:
    lines = logged(PASS, logging("ALL"))
    assert [line["type"] for line in lines] == [
        "ExecutionStarted",
        "PassStateEntered",
        "PassStateExited",
        "ExecutionSucceeded",
    ]
    assert [line["details"] for line in lines] == [{"roleArn": ROLE}, {"name": "A"}, {"name": "A"}, {}]
    assert logged(FAIL, logging("ALL"))[-1]["details"] == {"error": "E", "cause": "C"}


@pytest.mark.parametrize(
    ("level", "kinds"),
    [
        ("OFF", []),
        ("FATAL", ["ExecutionFailed"]),
        ("ERROR", ["TaskFailed", "FailStateEntered", "ExecutionFailed"]),
        (
            "ALL",
            [
                "ExecutionStarted",
                "TaskStateEntered",
                "TaskScheduled",
                "TaskStarted",
                "TaskFailed",
                "TaskStateExited",
                "FailStateEntered",
                "ExecutionFailed",
            ],
        ),
    ],
)
def test_a_level_takes_its_events(level: str, kinds: list[str]) -> None:
    def function(_value: Json) -> Json:
        raise Raised("E")

    states = {
        "A": task("f", Next="B", Catch=[{"ErrorEquals": ["E"], "Next": "B"}]),
        "B": {"Type": "Fail"},
    }
    lines = logged(states, logging(level), aws=FakeAws({"f": function}))
    assert [line["type"] for line in lines] == kinds


def test_an_express_execution_is_logged_although_it_has_no_history() -> None:
    lines = logged(PASS, logging("ALL"), kind="EXPRESS")
    assert [line["id"] for line in lines] == ["1", "2", "3", "4"]
    assert lines[-1]["type"] == "ExecutionSucceeded"


def test_a_long_execution_is_delivered_in_parts_and_in_order() -> None:
    loop = {
        "S": {"Type": "Pass", "Assign": {"n": 0}, "Next": "A"},
        "A": {"Type": "Pass", "Assign": {"n": "{% $n + 1 %}"}, "Next": "B"},
        "B": {"Type": "Choice", "Choices": [{"Condition": "{% $n < 400 %}", "Next": "A"}], "Default": "C"},
        "C": {"Type": "Succeed"},
    }
    lines = logged(loop, logging("ALL"))
    assert [int(line["id"]) for line in lines] == list(range(1, len(lines) + 1))
    assert len(lines) > 1500


def test_a_waiting_execution_is_delivered_while_it_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local.states.logs._DELIVERY_SECONDS", 0.001)
    aws = FakeAws({"hang": lambda _value: asyncio.Event().wait()})

    async def run() -> None:
        engine = Engine(aws, Clock(0))
        definition = machine({"A": task("hang")})
        engine.create(MACHINE, definition=definition, role_arn=ROLE, logging=logging("ALL"))
        execution = engine.start(MACHINE, "run", {})
        async with asyncio.timeout(5):
            while not aws.logged:
                await asyncio.sleep(0.001)
        engine.stop(execution.arn, "E")

    asyncio.run(run())
    kinds = [line["type"] for _, _, line in aws.logged]
    assert kinds == ["ExecutionStarted", "TaskStateEntered", "TaskScheduled", "TaskStarted", "ExecutionAborted"]


@pytest.mark.parametrize(
    ("configuration", "said"),
    [
        ({"level": "ALL"}, "Must specify exactly one Log Destination."),
        ({"level": "ERROR", "destinations": []}, "Must specify exactly one Log Destination."),
        (logging("ALL", group="nowhere"), "Log Destination not found."),
    ],
)
def test_a_configuration_that_names_no_log_group_is_refused(configuration: Json, said: str) -> None:
    engine = Engine(FakeAws())
    with pytest.raises(ApiError) as refused:
        engine.create(MACHINE, definition=machine(PASS), role_arn=ROLE, logging=configuration)
    assert (refused.value.code, refused.value.message) == (
        "InvalidLoggingConfiguration",
        f"Invalid Logging Configuration: {said}",
    )
    engine.create(MACHINE, definition=machine(PASS), role_arn=ROLE)
    with pytest.raises(ApiError, match=said):
        engine.update(MACHINE, logging=configuration)


def test_level_off_needs_no_log_group() -> None:
    assert Delivery.of({"level": "OFF"}) is None
    assert Delivery.of({}) is None
    assert json.dumps(logged(PASS, {"level": "OFF"})) == "[]"
