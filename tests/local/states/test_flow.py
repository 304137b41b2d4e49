"""How a machine's states follow each other: input, output, variables, context, waits and history."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local.clock import Clock
from tests.local.states.fake_aws import MACHINE, ROLE, FakeAws, evaluate, output, run, task

Json = Any


class Recorded(Clock):
    """A clock that notes how long it was asked to wait, and does not."""

    def __init__(self) -> None:
        super().__init__(0)
        self.waits: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)


def test_a_pass_hands_its_input_on_unless_it_has_an_output() -> None:
    ran = run({"A": {"Type": "Pass", "Next": "B"}, "B": output("$states.input.x + 1")}, {"x": 1})
    assert ran.inputs("B") == [{"x": 1}]
    assert ran.output == 2


def test_an_output_is_a_template_whose_plain_values_stay_as_they_are() -> None:
    template = {"n": "{% $states.input.n %}", "list": ["{% 1 + 1 %}", " {% no %}", None], "text": "$states.input"}
    ran = run({"A": {"Type": "Pass", "Output": template, "End": True}}, {"n": None})
    assert ran.output == {"n": None, "list": [2, " {% no %}", None], "text": "$states.input"}


def test_the_history_of_a_pass_has_aws_events() -> None:
    ran = run({"A": {"Type": "Pass", "Assign": {"x": [1]}, "End": True}}, {"a": "é"})
    for event in ran.events:
        assert abs(event.pop("timestamp") - time.time()) < 5
    assert ran.events == [
        {
            "type": "ExecutionStarted",
            "id": 1,
            "previousEventId": 0,
            "executionStartedEventDetails": {
                "input": '{"a":"é"}',
                "inputDetails": {"truncated": False},
                "roleArn": ROLE,
            },
        },
        {
            "type": "PassStateEntered",
            "id": 2,
            "previousEventId": 0,
            "stateEnteredEventDetails": {"name": "A", "input": '{"a":"é"}', "inputDetails": {"truncated": False}},
        },
        {
            "type": "PassStateExited",
            "id": 3,
            "previousEventId": 2,
            "stateExitedEventDetails": {
                "name": "A",
                "output": '{"a":"é"}',
                "outputDetails": {"truncated": False},
                "assignedVariables": {"x": "[1]"},
                "assignedVariablesDetails": {"truncated": False},
            },
        },
        {
            "type": "ExecutionSucceeded",
            "id": 4,
            "previousEventId": 3,
            "executionSucceededEventDetails": {"output": '{"a":"é"}', "outputDetails": {"truncated": False}},
        },
    ]


def test_the_history_of_a_task_has_aws_events() -> None:
    ran = run({"A": task("f", TimeoutSeconds=9)}, {"x": 1}, aws=FakeAws({"f": lambda value: value}))
    assert ran.types[2:5] == ["TaskScheduled", "TaskStarted", "TaskSucceeded"]
    assert [event["previousEventId"] for event in ran.events] == [0, 0, 2, 3, 4, 5, 6]
    assert ran.details("TaskScheduled") == [
        {
            "resourceType": "lambda",
            "resource": "invoke",
            "region": "us-east-1",
            "parameters": '{"FunctionName":"f","Payload":{"x":1}}',
            "timeoutInSeconds": 9,
        }
    ]


# Choice


@pytest.mark.parametrize(("n", "went"), [(1, "low"), (5, "middle"), (9, "high")])
def test_a_choice_takes_the_first_rule_that_is_true(n: int, went: str) -> None:
    choice = {
        "Type": "Choice",
        "Choices": [
            {"Condition": "{% $states.input.n < 3 %}", "Next": "low"},
            {"Condition": "{% $states.input.n < 7 %}", "Next": "middle"},
        ],
        "Default": "high",
    }
    ends = {name: {"Type": "Pass", "Output": name, "End": True} for name in ("low", "middle", "high")}
    assert run({"A": choice, **ends}, {"n": n}).output == went


def test_a_choice_rule_has_its_own_output_and_variables() -> None:
    choice = {
        "Type": "Choice",
        "Choices": [{"Condition": True, "Next": "B", "Output": "{% 'rule' %}", "Assign": {"x": 1}}],
        "Default": "B",
        "Output": "default",
        "Assign": {"x": 2},
    }
    assert run({"A": choice, "B": output("{'in': $states.input, 'x': $x}")}).output == {"in": "rule", "x": 1}
    choice["Choices"] = [{"Condition": False, "Next": "B"}]
    assert run({"A": choice, "B": output("{'in': $states.input, 'x': $x}")}).output == {"in": "default", "x": 2}


def test_a_choice_that_nothing_matches_fails() -> None:
    ran = run({"A": {"Type": "Choice", "Choices": [{"Condition": False, "Next": "B"}]}, "B": output("1")})
    assert (ran.status, ran.error) == ("FAILED", "States.NoChoiceMatched")


def test_a_condition_that_is_no_boolean_fails() -> None:
    ran = run({"A": {"Type": "Choice", "Choices": [{"Condition": "{% 1 %}", "Next": "B"}]}, "B": output("1")})
    assert ran.error == "States.QueryEvaluationError"
    assert "Expected 'boolean', but was 'number' for value: 1" in str(ran.cause)


# Succeed and Fail


def test_a_succeed_ends_the_execution_with_its_output() -> None:
    ran = run({"A": {"Type": "Succeed", "Output": "{% $states.input.x %}"}}, {"x": 3})
    assert (ran.status, ran.output) == ("SUCCEEDED", 3)


def test_a_fail_ends_it_with_an_evaluated_error_and_cause() -> None:
    fail = {"Type": "Fail", "Error": "{% 'E' & $states.input.n %}", "Cause": "{% {'n': $states.input.n} %}"}
    ran = run({"A": fail}, {"n": 1})
    assert (ran.status, ran.error, ran.cause) == ("FAILED", "E1", '{"n":1}')
    assert ran.types == ["ExecutionStarted", "FailStateEntered", "ExecutionFailed"]


def test_a_fail_without_error_and_cause_leaves_them_out() -> None:
    ran = run({"A": {"Type": "Fail"}})
    assert ran.details("ExecutionFailed") == [{}]


# Wait


@pytest.mark.parametrize("seconds", [5, "{% $states.input.s %}"])
def test_a_wait_lasts_its_seconds(seconds: Json) -> None:
    clock = Recorded()
    run({"A": {"Type": "Wait", "Seconds": seconds, "End": True}}, {"s": 5}, clock=clock)
    assert clock.waits == [5]


@pytest.mark.parametrize("field", ["{% $states.input.t %}", None])
def test_a_wait_lasts_until_its_timestamp(field: str | None) -> None:
    moment = (datetime.now(UTC) + timedelta(seconds=100)).isoformat().replace("+00:00", "Z")
    clock = Recorded()
    run({"A": {"Type": "Wait", "Timestamp": field or moment, "End": True}}, {"t": moment}, clock=clock)
    assert clock.waits == [pytest.approx(100, abs=5)]


def test_a_wait_until_the_past_is_over_at_once() -> None:
    started = time.monotonic()
    ran = run({"A": {"Type": "Wait", "Timestamp": "2001-01-01T00:00:00+01:00", "End": True}}, clock=Clock(1))
    assert ran.status == "SUCCEEDED"
    assert time.monotonic() - started < 1


@pytest.mark.parametrize("moment", ["2016-03-14", "2016-03-14 01:59:00Z", "2016-03-14T01:59:00", "noon"])
def test_a_timestamp_that_is_none_fails_as_in_aws(moment: str) -> None:
    ran = run({"A": {"Type": "Wait", "Timestamp": "{% $states.input %}", "End": True}}, moment)
    assert ran.cause == (
        "An error occurred while executing the state 'A' (entered at the event id #2). The Timestamp field cannot be "
        f"parsed as an ISO-8601 extended offset date-time format string: {moment}"
    )


def test_a_wait_of_less_than_nothing_fails() -> None:
    ran = run({"A": {"Type": "Wait", "Seconds": "{% -1 %}", "End": True}})
    assert ran.error == "States.QueryEvaluationError"


def test_the_clocks_scale_shortens_waits() -> None:
    started = time.monotonic()
    asyncio.run(Clock(0.0001).sleep(100))
    assert 0.005 < time.monotonic() - started < 2


def test_the_scale_can_be_set_for_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_WAIT_SCALE", "0.25")
    assert Clock().scale == 0.25


# Variables


def test_variables_are_seen_by_every_later_state() -> None:
    ran = run(
        {
            "A": {"Type": "Pass", "Assign": {"x": "{% $states.input.n %}", "y": {"deep": "{% 2 %}"}}, "Next": "B"},
            "B": {"Type": "Pass", "Next": "C"},
            "C": output("$x + $y.deep"),
        },
        {"n": 40},
    )
    assert ran.output == 42


def test_assign_and_output_see_the_variables_as_they_were() -> None:
    swap = {"x": "{% $y %}", "y": "{% $x %}"}
    ran = run(
        {
            "A": {"Type": "Pass", "Assign": {"x": 1, "y": 2}, "Next": "B"},
            "B": {"Type": "Pass", "Assign": swap, "Output": "{% $x %}", "Next": "C"},
            "C": output("[$states.input, $x, $y]"),
        }
    )
    assert ran.output == [1, 2, 1]


def test_a_variable_that_nobody_assigned_fails_the_state() -> None:
    assert "'$gone'" in evaluate("$gone")
    assert evaluate("$gone").startswith("States.QueryEvaluationError")


def test_a_failed_evaluation_is_an_event_that_follows_what_came_before_the_state() -> None:
    ran = run({"A": {"Type": "Pass", "Next": "B"}, "B": output("$states.input.gone")})
    event = ran.events[4]
    assert (event["type"], event["previousEventId"]) == ("EvaluationFailed", 3)
    assert ran.details("EvaluationFailed") == [
        {
            "state": "B",
            "error": "States.QueryEvaluationError",
            "location": "Output",
            "cause": "An error occurred while executing the state 'B' (entered at the event id #4). The JSONata "
            "expression '$states.input.gone' specified for the field 'Output' returned nothing (undefined).",
        }
    ]


# The context object


def test_the_context_tells_about_execution_machine_and_state() -> None:
    context = run({"A": output("$states.context")}, {"n": 1}).output
    started = datetime.fromisoformat(context["Execution"].pop("StartTime"))
    entered = datetime.fromisoformat(context["State"].pop("EnteredTime"))
    assert timedelta(0) <= datetime.now(UTC) - started < timedelta(seconds=10)
    assert entered - started < timedelta(seconds=5)
    assert context == {
        "Execution": {
            "Id": MACHINE.replace("stateMachine", "execution") + ":run",
            "Input": {"n": 1},
            "Name": "run",
            "RoleArn": ROLE,
            "RedriveCount": 0,
        },
        "StateMachine": {"Id": MACHINE, "Name": "tested"},
        "State": {"Name": "A", "RetryCount": 0},
    }


def test_a_long_machine_lets_others_have_the_loop() -> None:
    loop = {
        "Count": {"Type": "Pass", "Assign": {"n": "{% $n + 1 %}"}, "Next": "More"},
        "More": {
            "Type": "Choice",
            "Choices": [{"Condition": "{% $n < 200 %}", "Next": "Count"}],
            "Default": "Done",
        },
        "Done": output("$n"),
    }
    ran = run({"Start": {"Type": "Pass", "Assign": {"n": 0}, "Next": "Count"}, **loop})
    assert ran.output == 200
