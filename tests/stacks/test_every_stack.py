"""What holds for every stack in every stage."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lambda_src import contract
from tests.retries import bound_for, bounds_of
from tests.synthesis import STACKS, STAGES, Assembly, Stack, synthesize

NAMES = {
    "AlarmName",
    "BucketName",
    "DashboardName",
    "EndpointConfigName",
    "EndpointName",
    "FunctionName",
    "LogGroupName",
    "ModelName",
    "RoleName",
    "StateMachineName",
}


@pytest.fixture(params=[(stage, name) for stage in STAGES for name in STACKS], ids="-".join)
def stack(request: pytest.FixtureRequest, synthesized: Callable[[str], Assembly]) -> Stack:
    stage, name = request.param
    return synthesized(stage).stacks[name]


def states_of(machine: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Each state with its name and its neighbours, those within Maps among them."""
    for name, state in machine["States"].items():
        yield name, state, machine["States"]
        if state["Type"] == "Map":
            yield from states_of(state["ItemProcessor"])


def tasks(stack: Stack) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    for machine in stack.definitions.values():
        yield from (found for found in states_of(machine) if found[1]["Type"] == "Task")


def test_every_task_has_a_time_limit_inside_the_machines(stack: Stack) -> None:
    for machine in stack.definitions.values():
        for _, state, _ in states_of(machine):
            if state["Type"] == "Task":
                assert 0 < state["TimeoutSeconds"] < machine["TimeoutSeconds"]


def test_every_task_of_a_batch_has_a_time_limit_inside_an_express_executions(stack: Stack) -> None:
    for batch in stack.job["States"].values():
        if batch["Type"] == "Map":
            limits = [it["TimeoutSeconds"] for _, it, _ in states_of(batch["ItemProcessor"]) if it["Type"] == "Task"]
            assert limits
            assert max(limits) < 300


def test_a_states_name_stands_once_in_its_machine(stack: Stack) -> None:
    for machine in stack.definitions.values():
        names = [name for name, _, _ in states_of(machine)]
        assert len(names) == len(set(names))


def test_every_retry_is_bounded_capped_and_jittered(stack: Stack) -> None:
    for _, task, _ in tasks(stack):
        for retry, bound in zip(task["Retry"], bounds_of(task), strict=True):
            assert bound.tries <= 7
            assert bound.seconds <= 51
            assert bound.tries == 1 or (retry["JitterStrategy"] == "FULL" and max(bound.waits) <= 20)


RAISED = (
    "InvalidRequest",
    "InvalidJob",
    "ModelRefused",
    "PredictionCountMismatch",
    "ResultConflict",
    "SummaryMismatch",
)
REFUSED = (
    *("States.DataLimitExceeded", "States.Runtime", "States.QueryEvaluationError"),
    *("ModelErrorException", "ValidationErrorException", "AccessDeniedException"),
)


def test_what_no_other_try_can_change_is_tried_once(stack: Stack) -> None:
    own = {name for name, it in vars(contract).items() if isinstance(it, type) and issubclass(it, Exception)}
    assert own == {*RAISED, "RejectedRecord"}  # the last never leaves a function
    for name, task, _ in tasks(stack):
        if name.endswith("MapRun"):
            continue  # Step Functions' own API: any error is tried twice more
        function = task["Resource"].endswith(":lambda:invoke")
        permanent = RAISED if function else [it if "." in it else f"SageMakerRuntime.{it}" for it in REFUSED]
        assert [error for error in permanent if bound_for(bounds_of(task), error).tries > 1] == [], name


def test_a_functions_time_limit_is_inside_that_of_each_state_that_calls_it(stack: Stack) -> None:
    limits = {f"<{name}.Arn>": it["Timeout"] for name, it in stack.of_type("AWS::Lambda::Function").items()}
    called = [task for _, task, _ in tasks(stack) if task["Resource"].endswith(":lambda:invoke")]
    assert {task["Arguments"]["FunctionName"] for task in called} <= limits.keys()
    assert all(limits[task["Arguments"]["FunctionName"]] < task["TimeoutSeconds"] for task in called)


def test_every_task_and_map_catches_whatever_is_left(stack: Stack) -> None:
    for name, task, others in tasks(stack):
        last = task["Catch"][-1]
        assert last["ErrorEquals"] == ["States.ALL"]
        assert others[last["Next"]]["Type"] == "Fail"
        if not name.endswith("PredictPart"):  # it fails as the step that it does again
            assert last["Next"] == f"{name}Failed"


def test_each_machine_is_traced_and_logged_without_data(stack: Stack) -> None:
    for name, machine in stack.of_type("AWS::StepFunctions::StateMachine").items():
        group = name.replace("StateMachine", "Logs")
        assert machine["TracingConfiguration"] == {"Enabled": True}
        assert machine["LoggingConfiguration"] == {
            "Level": "ALL",
            "IncludeExecutionData": False,
            "Destinations": [{"CloudWatchLogsLogGroup": {"LogGroupArn": f"<{group}.Arn>"}}],
        }


def test_every_function_is_traced_and_logs_to_a_group_of_its_own(stack: Stack) -> None:
    groups = set()
    for function in stack.of_type("AWS::Lambda::Function").values():
        assert function["TracingConfig"] == {"Mode": "Active"}
        groups.add(function["LoggingConfig"]["LogGroup"])
    assert len(groups) == len(stack.of_type("AWS::Lambda::Function"))


def test_every_log_group_is_kept_for_a_limited_time(stack: Stack) -> None:
    for group in stack.of_type("AWS::Logs::LogGroup").values():
        assert group["RetentionInDays"] > 0


def test_nothing_has_a_physical_name(stack: Stack) -> None:
    for resource in stack.resources.values():
        fixed = NAMES & set(resource.get("Properties", {}))
        assert all(resource["Properties"][name].startswith("<") for name in fixed)


@pytest.mark.parametrize("stage", STAGES)
def test_the_librarys_validation_finds_nothing(synthesized: Callable[[str], Assembly], stage: str) -> None:
    report = json.loads((synthesized(stage).folder / "validation-report.json").read_text())
    assert report["pluginReports"] == []


@pytest.mark.parametrize("stage", STAGES)
def test_a_second_synth_gives_the_same_bytes(
    synthesized: Callable[[str], Assembly], stage: str, tmp_path: Path
) -> None:
    again = synthesize(stage, tmp_path / "cdk.out")
    assert again.contents() == synthesized(stage).contents()


def test_functions_are_built_for_lambda_outside_the_local_stage(
    synthesized: Callable[[str], Assembly],
) -> None:
    for stage in ("dev", "prod"):
        for stack in synthesized(stage).stacks.values():
            for function in stack.of_type("AWS::Lambda::Function").values():
                assert (function["Runtime"], function["Architectures"]) == ("python3.14", ["arm64"])


def test_predict_carries_a_numpy_for_lambda_outside_the_local_stage(
    synthesized: Callable[[str], Assembly],
) -> None:
    libraries = list(synthesized("prod").folder.glob("asset.*/numpy/_core/_multiarray_umath*.so"))
    assert [path.name for path in libraries] == ["_multiarray_umath.cpython-314-aarch64-linux-gnu.so"]
