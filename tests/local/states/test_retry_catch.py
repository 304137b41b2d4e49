"""Retry, Catch and timeouts."""

import asyncio
import json
from typing import Any

import pytest

from local.states.failures import (
    DATA_LIMIT_EXCEEDED,
    RUNTIME,
    TASK_FAILED,
    TIMEOUT,
    Attempts,
    Retrier,
    StateFailure,
    matches,
)
from tests.local.states.fake_aws import FakeAws, Raised, output, run, task
from tests.local.states.test_flow import Recorded

Json = Any


class Flaky:
    """A function that raises these errors, one a call, and then answers."""

    def __init__(self, *errors: str) -> None:
        self._errors = list(errors)
        self.calls = 0

    def __call__(self, value: Json) -> Json:
        self.calls += 1
        if self._errors:
            raise Raised(self._errors.pop(0))
        return "done"


async def hang(_value: Json) -> Json:
    await asyncio.Event().wait()


def retrier(*errors: str, **more: Json) -> dict[str, Json]:
    return {"ErrorEquals": list(errors), **more}


def delays(*errors: str, retry: list[Json]) -> list[float]:
    """What the engine waits between the tries of a Task that fails so."""
    clock = Recorded()
    run({"A": task("f", Retry=retry)}, aws=FakeAws({"f": Flaky(*errors)}), clock=clock)
    return clock.waits


# Retry


def test_a_retry_tries_three_times_more_and_waits_twice_as_long_each_time() -> None:
    function = Flaky(*["E"] * 9)
    clock = Recorded()
    ran = run({"A": task("f", Retry=[retrier("E")])}, aws=FakeAws({"f": function}), clock=clock)
    assert (ran.status, ran.error, function.calls) == ("FAILED", "E", 4)
    assert clock.waits == [1, 2, 4]


def test_a_retry_ends_with_the_first_success() -> None:
    function = Flaky("E", "E")
    ran = run({"A": task("f", Retry=[retrier("E", MaxAttempts=5)])}, aws=FakeAws({"f": function}))
    assert (ran.output, function.calls) == ("done", 3)
    assert ran.types.count("TaskFailed") == 2
    assert ran.types.count("TaskStateEntered") == 1


def test_interval_rate_and_cap_make_the_waits() -> None:
    retry = [retrier("E", IntervalSeconds=3, BackoffRate=2.5, MaxDelaySeconds=20, MaxAttempts=4)]
    assert delays(*["E"] * 9, retry=retry) == [3, 7.5, 18.75, 20]


def test_a_rate_of_one_waits_the_same_each_time() -> None:
    assert delays(*["E"] * 9, retry=[retrier("E", BackoffRate=1.0, IntervalSeconds=2)]) == [2, 2, 2]


def test_full_jitter_waits_anything_up_to_the_interval() -> None:
    capped = Retrier(("E",), interval=4, backoff_rate=3, max_delay=10, full_jitter=True)
    for attempt, longest in ((1, 4), (2, 10), (3, 10)):
        drawn = [capped.delay(attempt) for _ in range(300)]
        assert all(0 <= delay <= longest for delay in drawn)
        assert min(drawn) < longest / 10
        assert max(drawn) > longest * 9 / 10


def test_no_attempts_means_no_retry_even_where_a_later_retrier_would() -> None:
    function = Flaky("E", "E")
    retry = [retrier("E", MaxAttempts=0), retrier("States.ALL")]
    assert run({"A": task("f", Retry=retry)}, aws=FakeAws({"f": function})).status == "FAILED"
    assert function.calls == 1


def test_the_first_retrier_that_names_the_error_counts_it() -> None:
    retry = [retrier("Rare", IntervalSeconds=7, MaxAttempts=1), retrier("States.ALL", IntervalSeconds=2, MaxAttempts=2)]
    assert delays("Other", "Rare", "Other", "Other", retry=retry) == [2, 7, 4]
    assert delays("Rare", "Rare", "Other", retry=retry) == [7]


def test_the_context_counts_the_retries() -> None:
    state = task("f", Retry=[retrier("States.ALL")]) | {
        "Arguments": {"FunctionName": "f", "Payload": "{% $states.context.State.RetryCount %}"}
    }
    aws = FakeAws({"f": Flaky("E", "E")})
    run({"A": state}, aws=aws)
    assert [payload for _, payload in aws.invoked] == [0, 1, 2]


def test_a_failed_evaluation_can_be_retried_and_caught() -> None:
    state = task("f", Next="B", Retry=[retrier("States.QueryEvaluationError", MaxAttempts=2)])
    state |= {"Arguments": {"FunctionName": "f", "Payload": "{% $states.input.gone %}"}}
    state |= {"Catch": [{"ErrorEquals": ["States.QueryEvaluationError"], "Next": "B"}]}
    ran = run({"A": state, "B": output("$states.input.Error")})
    assert ran.output == "States.QueryEvaluationError"
    assert ran.types.count("EvaluationFailed") == 3


@pytest.mark.parametrize(
    ("name", "error", "held"),
    [
        ("E", "E", True),
        ("E", "Else", False),
        ("States.ALL", "E", True),
        ("States.ALL", TIMEOUT, True),
        ("States.ALL", DATA_LIMIT_EXCEEDED, True),
        ("States.ALL", RUNTIME, False),
        (RUNTIME, RUNTIME, False),
        (TASK_FAILED, "E", True),
        (TASK_FAILED, TIMEOUT, False),
        (TASK_FAILED, RUNTIME, False),
        (TIMEOUT, TIMEOUT, True),
    ],
)
def test_which_names_hold_which_errors(name: str, error: str, held: bool) -> None:
    assert matches([name], StateFailure(error)) is held
    assert not matches([name], StateFailure(error, terminal=True))


def test_what_no_retrier_names_is_not_retried() -> None:
    assert Attempts((Retrier(("E",)),)).next_delay(StateFailure("Else")) is None


# Catch


def test_a_catch_goes_on_with_the_error_as_its_output() -> None:
    states = {"A": task("f", Next="C", Catch=[{"ErrorEquals": ["E"], "Next": "B"}]), "B": output("$states.input")}
    ran = run({**states, "C": output("1")}, aws=FakeAws({"f": Flaky("E")}))
    assert ran.output["Error"] == "E"
    assert json.loads(ran.output["Cause"])["errorType"] == "E"
    assert ran.types[4:7] == ["TaskFailed", "TaskStateExited", "PassStateEntered"]


def test_a_catch_has_its_own_output_and_variables() -> None:
    catcher = {
        "ErrorEquals": ["States.ALL"],
        "Next": "B",
        "Output": {"record": "{% $states.input %}", "failed": "{% $states.errorOutput.Error %}"},
        "Assign": {"why": "{% $parse($states.errorOutput.Cause).errorMessage %}"},
    }
    ran = run(
        {"A": task("f", Next="B", Assign={"why": "none"}, Catch=[catcher]), "B": output("[$states.input, $why]")},
        {"id": 7},
        aws=FakeAws({"f": Flaky("E")}),
    )
    assert ran.output == [{"record": {"id": 7}, "failed": "E"}, "it went wrong"]


def test_the_first_catcher_that_names_the_error_holds_it() -> None:
    catch = [
        {"ErrorEquals": ["Other"], "Next": "B", "Output": "other"},
        {"ErrorEquals": ["States.TaskFailed"], "Next": "B", "Output": "failed"},
        {"ErrorEquals": ["States.ALL"], "Next": "B", "Output": "all"},
    ]
    states = {"A": task("f", Next="B", Catch=catch), "B": output("$states.input")}
    assert run(states, aws=FakeAws({"f": Flaky("E")})).output == "failed"


def test_a_catch_comes_after_the_last_retry() -> None:
    function = Flaky("E", "E", "E")
    state = task("f", Next="B", Retry=[retrier("E", MaxAttempts=1)], Catch=[{"ErrorEquals": ["E"], "Next": "B"}])
    assert run({"A": state, "B": output("'caught'")}, aws=FakeAws({"f": function})).output == "caught"
    assert function.calls == 2


def test_a_failing_catch_fails_the_execution() -> None:
    catcher = {"ErrorEquals": ["States.ALL"], "Next": "B", "Output": "{% $states.result %}"}
    ran = run({"A": task("f", Next="B", Catch=[catcher]), "B": output("1")}, aws=FakeAws({"f": Flaky("E")}))
    assert ran.error == "States.QueryEvaluationError"


def test_what_nothing_holds_fails_the_execution_with_its_error_and_cause() -> None:
    ran = run({"A": task("f")}, aws=FakeAws({"f": Flaky("ValueError")}))
    assert (ran.status, ran.error) == ("FAILED", "ValueError")
    assert ran.details("TaskFailed") == [
        {"resourceType": "lambda", "resource": "invoke", "error": "ValueError", "cause": ran.cause}
    ]


# Timeouts


@pytest.mark.parametrize("seconds", [1, "{% $states.input.t %}"])
def test_a_task_past_its_time_fails_with_a_timeout(seconds: Json, monkeypatch: pytest.MonkeyPatch) -> None:
    shorten(monkeypatch)
    state = task("f", TimeoutSeconds=seconds, Next="B", Catch=[{"ErrorEquals": ["States.Timeout"], "Next": "B"}])
    ran = run({"A": state, "B": output("$states.input")}, {"t": 1}, aws=FakeAws({"f": hang}))
    assert ran.output == {"Error": "States.Timeout"}
    assert ran.details("TaskTimedOut") == [{"resourceType": "lambda", "resource": "invoke", "error": "States.Timeout"}]


def test_a_timeout_is_no_task_failure_and_can_be_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten(monkeypatch)
    retry = [retrier("States.TaskFailed", MaxAttempts=5), retrier("States.Timeout", MaxAttempts=2)]
    ran = run({"A": task("f", TimeoutSeconds=1, Retry=retry)}, aws=FakeAws({"f": hang}))
    assert (ran.error, ran.types.count("TaskTimedOut")) == ("States.Timeout", 3)


def test_a_machine_past_its_time_is_timed_out_and_nothing_holds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten(monkeypatch)
    state = task("f", Next="B", Catch=[{"ErrorEquals": ["States.ALL"], "Next": "B"}])
    ran = run({"A": state, "B": output("1")}, aws=FakeAws({"f": hang}), TimeoutSeconds=1)
    assert (ran.status, ran.error) == ("TIMED_OUT", "States.Timeout")
    assert ran.types[-1] == "ExecutionTimedOut"


def shorten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Timeouts are real time: here a second of them lasts 20 ms."""
    real = asyncio.timeout
    monkeypatch.setattr(asyncio, "timeout", lambda delay: real(None if delay is None else delay / 50))
