"""Parallel and the inline Map."""

import asyncio
from typing import Any

import pytest

from tests.local.states.fake_aws import FakeAws, Raised, output, run, task

Json = Any


def parallel(*branches: dict[str, Json], **more: Json) -> dict[str, Json]:
    """A Parallel of these branches, each given by its states."""
    listed = [{"StartAt": next(iter(states)), "States": states} for states in branches]
    return {"Type": "Parallel", "Branches": listed, **({} if "Next" in more else {"End": True}), **more}


def each(states: dict[str, Json], **more: Json) -> dict[str, Json]:
    """A Map over these states."""
    processor = {"ProcessorConfig": {"Mode": "INLINE"}, "StartAt": next(iter(states)), "States": states}
    return {"Type": "Map", "ItemProcessor": processor, **({} if "Next" in more else {"End": True}), **more}


class Gate:
    """A function whose calls wait until `width` of them run at once, and that remembers the most it saw."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._running = 0
        self._free = asyncio.Event()
        self.most = 0

    async def __call__(self, value: Json) -> Json:
        self._running += 1
        self.most = max(self.most, self._running)
        if self._running >= self._width:
            self._free.set()
        await self._free.wait()
        await asyncio.sleep(0)
        self._running -= 1
        return value


async def fail_after_others_started(_value: Json) -> Json:
    await asyncio.sleep(0.005)
    raise Raised("Broken")


# Parallel


def test_a_parallel_gives_its_branches_outputs_in_their_order() -> None:
    states = {"A": parallel({"B": task("f")}, {"C": output("$states.input.n + 1")}, {"D": {"Type": "Succeed"}})}
    ran = run(states, {"n": 1}, aws=FakeAws({"f": Gate(1)}))
    assert ran.output == [{"n": 1}, 2, {"n": 1}]


def test_a_parallels_arguments_are_what_its_branches_get() -> None:
    ran = run({"A": parallel({"B": output("$states.input")}, Arguments={"m": "{% $states.input.n * 2 %}"})}, {"n": 4})
    assert ran.output == [{"m": 8}]


def test_branches_run_side_by_side() -> None:
    gate = Gate(3)
    run({"A": parallel({"B": task("f")}, {"C": task("f")}, {"D": task("f")})}, aws=FakeAws({"f": gate}))
    assert gate.most == 3


def test_the_first_failing_branch_ends_the_others_and_can_be_caught() -> None:
    gate = Gate(9)
    catch = [{"ErrorEquals": ["Broken"], "Next": "Z"}]
    states = {"A": parallel({"B": task("wait")}, {"C": task("fail")}, Next="Z", Catch=catch)}
    aws = FakeAws({"wait": gate, "fail": fail_after_others_started})
    ran = run({**states, "Z": output("$states.input.Error")}, aws=aws)
    assert ran.output == "Broken"
    assert "TaskSucceeded" not in ran.types
    assert ran.types.count("ParallelStateFailed") == 1


def test_a_failing_parallel_is_retried_as_a_whole() -> None:
    calls: list[int] = []

    def function(_value: Json) -> Json:
        calls.append(1)
        if len(calls) < 3:
            raise Raised("E")
        return "ok"

    state = parallel({"B": task("f")}, Retry=[{"ErrorEquals": ["E"], "MaxAttempts": 4}])
    ran = run({"A": state}, aws=FakeAws({"f": function}))
    assert ran.output == ["ok"]
    assert ran.types.count("ParallelStateStarted") == 3
    assert "ParallelStateFailed" not in ran.types


def test_the_result_of_a_parallel_can_be_shaped() -> None:
    state = parallel(
        {"B": output("1")}, {"C": output("2")}, Output="{% $sum($states.result) %}", Assign={"x": 3}, Next="Z"
    )
    assert run({"A": state, "Z": output("$states.input + $x")}).output == 6


def test_variables_of_a_branch_stay_in_it_while_those_outside_are_seen() -> None:
    inner = {"B": {"Type": "Pass", "Assign": {"x": "inner"}, "Next": "C"}, "C": output("$x & $y")}
    states = {
        "Start": {"Type": "Pass", "Assign": {"x": "outer", "y": "!"}, "Next": "A"},
        "A": parallel(inner, {"D": output("$x")}, Next="Z"),
        "Z": output("[$states.input, $x]"),
    }
    assert run(states).output == ["inner!", "outer", "outer"]


# Map


def test_a_map_runs_over_its_input_and_keeps_the_order() -> None:
    async def slow_first(value: Json) -> Json:
        await asyncio.sleep(0.01 if value == 1 else 0)
        return value * 10

    ran = run({"A": each({"B": task("f")})}, [1, 2, 3], aws=FakeAws({"f": slow_first}))
    assert ran.output == [10, 20, 30]


@pytest.mark.parametrize("items", [[1, 2], "{% $states.input.n %}", [1, "{% 1 + 1 %}"]])
def test_items_are_given_or_evaluated(items: Json) -> None:
    assert run({"A": each({"B": output("$states.input")}, Items=items)}, {"n": [1, 2]}).output == [1, 2]


def test_a_map_over_nothing_gives_nothing() -> None:
    ran = run({"A": each({"B": output("1")})}, [])
    assert ran.output == []
    assert ran.types[2:5] == ["MapStateStarted", "MapStateSucceeded", "MapStateExited"]


def test_a_map_over_what_is_no_array_fails() -> None:
    ran = run({"A": each({"B": output("1")})}, {"a": 1})
    assert ran.error == "States.QueryEvaluationError"
    assert str(ran.cause).endswith('Map state input must be an array but was: {"a":1}')
    ran = run({"A": each({"B": output("1")}, Items="{% $states.input.a %}")}, {"a": "x"})
    assert "Expected 'array', but was 'string' for value: \"x\"" in str(ran.cause)
    assert ran.types[-3:] == ["EvaluationFailed", "MapStateFailed", "ExecutionFailed"]


def test_the_item_selector_sees_the_item_and_the_maps_input() -> None:
    selector = {
        "i": "{% $states.context.Map.Item.Index %}",
        "v": "{% $states.context.Map.Item.Value %}",
        "all": "{% $states.input.all %}",
        "x": "{% $x %}",
    }
    states = {
        "S": {"Type": "Pass", "Assign": {"x": 5}, "Next": "A"},
        "A": each({"B": {"Type": "Succeed"}}, Items="{% $states.input.n %}", ItemSelector=selector),
    }
    ran = run(states, {"n": ["a", "b"], "all": True})
    assert ran.output == [{"i": 0, "v": "a", "all": True, "x": 5}, {"i": 1, "v": "b", "all": True, "x": 5}]


def test_an_item_is_in_the_context_of_the_states_inside() -> None:
    inner = {"B": output("$states.context.Map.Item.Index & $states.context.State.Name")}
    assert run({"A": each(inner)}, ["x", "y"]).output == ["0B", "1B"]


@pytest.mark.parametrize(("concurrency", "most"), [(1, 1), (3, 3), (0, 40), ("{% 2 %}", 2)])
def test_a_map_runs_at_most_its_concurrency_at_once(concurrency: Json, most: int) -> None:
    gate = Gate(most)
    ran = run({"A": each({"B": task("f")}, MaxConcurrency=concurrency)}, list(range(50)), aws=FakeAws({"f": gate}))
    assert gate.most == most
    assert ran.output == list(range(50))


def test_the_first_failing_iteration_ends_the_others() -> None:
    async def function(value: Json) -> Json:
        if value == 1:
            raise await fail_after_others_started(value)
        await asyncio.Event().wait()

    ran = run({"A": each({"B": task("f")}, MaxConcurrency=3)}, list(range(9)), aws=FakeAws({"f": function}))
    assert (ran.status, ran.error) == ("FAILED", "Broken")
    assert ran.types.count("MapIterationStarted") == 3
    assert ran.types.count("MapIterationFailed") == 1
    assert ran.types.count("MapIterationAborted") == 2
    assert ran.types[-2:] == ["MapStateFailed", "ExecutionFailed"]


def test_a_failing_map_is_retried_whole_and_then_caught() -> None:
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "Z", "Output": "{% $states.errorOutput.Error %}"}]
    inner = {"B": {"Type": "Fail", "Error": "E"}}
    state = each(inner, Retry=[{"ErrorEquals": ["E"], "MaxAttempts": 2}], Catch=catch, Next="Z")
    ran = run({"A": state, "Z": output("$states.input")}, [1])
    assert ran.output == "E"
    assert ran.types.count("MapStateStarted") == 3
    assert ran.types.count("MapStateFailed") == 1
    # As recorded from AWS, a retry follows the failed iteration's last state, not the iteration's end.
    second = ran.types.index("MapStateStarted", 3)
    assert ran.types[ran.events[second]["previousEventId"] - 1] == "FailStateEntered"


def test_an_iterations_failure_can_be_caught_within_it() -> None:
    def function(value: Json) -> Json:
        if value == 2:
            raise Raised("Bad")
        return value

    catch = [{"ErrorEquals": ["Bad"], "Next": "C", "Output": "rejected"}]
    inner = {"B": task("f", Next="C", Catch=catch), "C": output("$states.input")}
    assert run({"A": each(inner)}, [1, 2, 3], aws=FakeAws({"f": function})).output == [1, "rejected", 3]


def test_variables_of_an_iteration_stay_in_it() -> None:
    inner = {"B": {"Type": "Pass", "Assign": {"n": "{% $n + $states.input %}"}, "Next": "C"}, "C": output("$n")}
    states = {
        "S": {"Type": "Pass", "Assign": {"n": 100}, "Next": "A"},
        "A": each(inner, Next="Z"),
        "Z": output("[$states.input, $n]"),
    }
    assert run(states, [1, 2]).output == [101, 102, 100]


def test_a_selector_that_fails_fails_the_map() -> None:
    ran = run({"A": each({"B": output("1")}, ItemSelector={"x": "{% $states.input.gone %}"})}, [1])
    assert ran.error == "States.QueryEvaluationError"
    assert "'ItemSelector/x'" in str(ran.cause)


def test_maps_and_parallels_nest() -> None:
    inner = each({"C": output("$states.input * 2")}, Items="{% [$states.input, $states.input + 1] %}")
    ran = run({"A": each({"B": parallel({"D": inner}, {"E": output("$states.input")})})}, [1, 2])
    assert ran.output == [[[2, 4], 1], [[4, 6], 2]]
