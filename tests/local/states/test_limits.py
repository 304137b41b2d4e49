"""AWS's limits: 256 KiB of data, 25,000 events, five minutes of an Express execution."""

import asyncio
from typing import Any

import pytest

from lambda_src.contract import MAX_STATE_BYTES
from local.states.failures import StateFailure
from local.states.history import MAX_EVENTS, History
from local.states.machines import ApiError, Engine
from tests.local.states.fake_aws import MACHINE, ROLE, FakeAws, machine, output, run, run_async, task

Json = Any
ALL = [{"ErrorEquals": ["States.ALL"], "Next": "Z"}]


def test_256_kib_of_output_pass_and_a_byte_more_ends_the_execution() -> None:
    fits = "x" * (MAX_STATE_BYTES - 2)
    aws = FakeAws({"f": lambda size: "x" * size})
    grow = {"Type": "Pass", "Output": "{% $join([$states.input, $states.input]) %}", "End": True}
    assert run({"A": {"Type": "Pass", "End": True}}, fits, aws=aws).output == fits
    ran = run({"A": grow}, "x" * (MAX_STATE_BYTES // 2))
    assert (ran.status, ran.error) == ("FAILED", "States.DataLimitExceeded")
    assert ran.cause == (
        "The state/task 'A' returned a result with a size exceeding the maximum number of bytes service limit."
    )


def test_the_limit_counts_bytes_and_not_characters() -> None:
    half = "é" * (MAX_STATE_BYTES // 4)
    double = {"Type": "Pass", "Output": "{% $states.input & $states.input %}", "End": True}
    assert run({"A": double}, half).error == "States.DataLimitExceeded"


def test_a_function_that_answers_too_much_can_be_caught() -> None:
    aws = FakeAws({"f": lambda _value: "x" * MAX_STATE_BYTES})
    ran = run({"A": task("f", Next="Z", Catch=ALL), "Z": output("$states.input")}, aws=aws)
    assert ran.output == {
        "Error": "States.DataLimitExceeded",
        "Cause": "The state/task 'lambda' returned a result with a size exceeding the maximum number of bytes "
        "service limit.",
    }


def test_arguments_that_are_too_large_end_the_execution() -> None:
    state = task("f", Next="Z", Catch=ALL)
    state["Arguments"] = {"FunctionName": "f", "Payload": "{% [$states.input, $states.input] %}"}
    aws = FakeAws({"f": lambda _value: 1})
    ran = run({"A": state, "Z": output("1")}, "x" * (MAX_STATE_BYTES // 2), aws=aws)
    assert (ran.status, ran.error) == ("FAILED", "States.DataLimitExceeded")
    assert aws.invoked == []


def test_an_input_that_is_too_large_starts_nothing() -> None:
    engine = Engine(FakeAws())
    engine.create(MACHINE, definition=machine({"A": {"Type": "Pass", "End": True}}), role_arn=ROLE)
    with pytest.raises(ApiError) as refused:
        engine.start(MACHINE, "run", "x" * MAX_STATE_BYTES)
    assert refused.value.code == "InvalidExecutionInput"


def test_a_history_holds_25_000_events_the_last_of_them_the_failure() -> None:
    history = History()
    for _ in range(MAX_EVENTS - 1):
        history.add("PassStateEntered", 0)
    with pytest.raises(StateFailure) as full:
        history.add("PassStateEntered", 0)
    assert full.value.terminal
    assert history.add("ExecutionFailed", 0) == MAX_EVENTS


def test_an_execution_that_goes_round_for_ever_ends_at_its_25_000th_event() -> None:
    loop = {"A": {"Type": "Pass", "Next": "B"}, "B": {"Type": "Pass", "Next": "A"}}
    ran = run(loop)
    assert (ran.status, ran.error) == ("FAILED", "States.Runtime")
    assert len(ran.events) == MAX_EVENTS
    assert ran.events[-1]["type"] == "ExecutionFailed"


def test_an_express_execution_keeps_no_history_and_is_not_held_to_its_size() -> None:
    loop = {
        "S": {"Type": "Pass", "Assign": {"n": 0}, "Next": "A"},
        "A": {"Type": "Pass", "Assign": {"n": "{% $n + 1 %}"}, "Next": "B"},
        "B": {"Type": "Choice", "Choices": [{"Condition": "{% $n < 9000 %}", "Next": "A"}], "Default": "C"},
        "C": {"Type": "Succeed", "Output": "{% $n %}"},
    }
    execution = asyncio.run(run_async(Engine(FakeAws()), machine(loop), {}, "EXPRESS"))
    assert (execution.status, execution.output, execution.history) == ("SUCCEEDED", 9000, None)


def test_an_express_execution_lasts_at_most_five_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Json] = []
    real = asyncio.timeout

    def shorter(seconds: Json) -> asyncio.Timeout:
        asked.append(seconds)
        return real(0.01)

    monkeypatch.setattr(asyncio, "timeout", shorter)
    wait = machine({"A": {"Type": "Wait", "Seconds": 900, "End": True}}, TimeoutSeconds=1000)
    execution = asyncio.run(run_async(Engine(FakeAws()), wait, {}, "EXPRESS"))
    assert (execution.status, execution.error) == ("TIMED_OUT", "States.Timeout")
    assert asked == [300]
