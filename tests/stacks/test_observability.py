"""The dashboard and the alarms: what they watch is there, and docs/operations.md has a line for each alarm."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from stacks.settings import STAGES as SETTINGS
from tests.synthesis import ROOT, STACKS, VARIANTS, Assembly, Stack

OPERATIONS = ROOT / "docs" / "operations.md"
WATCHED = [variant for variant, settings in VARIANTS.items() if settings.observability]
COST = re.compile(r"\| alarms \| \$0\.10 \| (\d+) in `InferenceStack`, (\d+) in `MlWorkflowStack`")


@pytest.fixture(params=[(variant, name) for variant in WATCHED for name in STACKS], ids="-".join)
def stack(request: pytest.FixtureRequest, synthesized: Callable[[str], Assembly]) -> Stack:
    variant, name = request.param
    return synthesized(variant).stacks[name]


def alarms_of(stack: Stack) -> dict[str, dict[str, Any]]:
    """The properties of each alarm for a person, by its title; one of scaling's tells nobody."""
    title = "Observability"
    found = stack.of_type("AWS::CloudWatch::Alarm").items()
    return {name.removeprefix(title): properties for name, properties in found if name.startswith(title)}


def widgets_of(stack: Stack) -> list[dict[str, Any]]:
    (dashboard,) = stack.of_type("AWS::CloudWatch::Dashboard").values()
    return list(json.loads(dashboard["DashboardBody"])["widgets"])


def metrics_of(stack: Stack) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Each metric that an alarm or the dashboard reads: namespace, name, dimensions."""
    for alarm in alarms_of(stack).values():
        yield alarm["Namespace"], alarm["MetricName"], {it["Name"]: it["Value"] for it in alarm["Dimensions"]}
    for widget in widgets_of(stack)[1:]:
        for namespace, name, *dimensions, _ in widget["properties"]["metrics"]:
            yield namespace, name, dict(zip(dimensions[::2], dimensions[1::2], strict=True))


def documented() -> set[str]:
    """The alarms of the document: what stands in the first column of its table."""
    section = OPERATIONS.read_text().partition("## Alarms\n")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`(\w+)`", row)}


def test_only_production_is_watched_without_being_asked() -> None:
    assert {stage for stage, settings in SETTINGS.items() if settings.observability} == {"prod"}


@pytest.mark.parametrize("name", STACKS)
def test_an_unwatched_stack_has_nothing_of_it(synthesized: Callable[[str], Assembly], name: str) -> None:
    stack = synthesized("local").stacks[name]
    assert [it for it in stack.resources if it.startswith("Observability")] == []
    for function in stack.of_type("AWS::Lambda::Function").values():
        assert "METRICS_STACK" not in function.get("Environment", {}).get("Variables", {})


def test_the_document_has_a_line_for_each_alarm_and_no_other(synthesized: Callable[[str], Assembly]) -> None:
    stacks = [synthesized(variant).stacks[name] for variant in WATCHED for name in STACKS]
    assert documented() == {title for stack in stacks for title in alarms_of(stack)}


def test_the_document_counts_the_alarms_that_it_prices(synthesized: Callable[[str], Assembly]) -> None:
    counted = COST.search(OPERATIONS.read_text())
    assert counted
    prod = synthesized("prod").stacks
    assert [int(it) for it in counted.groups()] == [
        len(alarms_of(prod[name])) for name in ("InferenceStack", "MlWorkflowStack")
    ]


def test_the_document_names_each_metric_of_our_own(stack: Stack) -> None:
    section = OPERATIONS.read_text().partition("## Metrics of our own\n")[2].partition("\n## ")[0]
    read = {name for namespace, name, _ in metrics_of(stack) if namespace == "Sluice"}
    assert read == {name for name in re.findall(r"`(\w+)`", section) if name.startswith(("Re", "Ba", "Mo"))} - {
        "Request"
    }


def test_every_alarm_points_to_its_line_and_is_silent_without_data(stack: Stack) -> None:
    for title, alarm in alarms_of(stack).items():
        assert alarm["AlarmDescription"].endswith(f". See {title} in docs/operations.md.")
        assert alarm["TreatMissingData"] == "notBreaching"
        assert alarm["ComparisonOperator"] == "GreaterThanThreshold"


def test_only_the_alarms_that_take_an_update_of_an_endpoint_back_have_names_made_from_the_stacks(stack: Stack) -> None:
    named = {title: alarm["AlarmName"] for title, alarm in alarms_of(stack).items() if "AlarmName" in alarm}
    assert named == {title: f"<AWS::StackName>-{title}" for title in named}
    rollbacks = [
        [it["AlarmName"] for it in endpoint["DeploymentConfig"]["AutoRollbackConfiguration"]["Alarms"]]
        for endpoint in stack.of_type("AWS::SageMaker::Endpoint").values()
    ]
    assert rollbacks == ([list(named.values())] if named else [])
    for endpoint in stack.of_type("AWS::SageMaker::Endpoint"):
        # It cannot wait for them: they are of its name.
        assert not any(name.startswith("Observability") for name in stack.resources[endpoint].get("DependsOn", []))


def test_every_dimension_is_of_the_stack(stack: Stack) -> None:
    machines = {f"<{name}>" for name in stack.of_type("AWS::StepFunctions::StateMachine")}
    functions = {f"<{name}>" for name in stack.of_type("AWS::Lambda::Function")}
    variants = {
        it["VariantName"]
        for config in stack.of_type("AWS::SageMaker::EndpointConfig").values()
        for it in config["ProductionVariants"]
    }
    known = {
        "StateMachineArn": machines,
        "FunctionName": functions,
        "EndpointName": {f"<{name}.EndpointName>" for name in stack.of_type("AWS::SageMaker::Endpoint")},
        "VariantName": variants,
        "Stack": set(STACKS),
        "Workflow": {"Job", "Request"},
    }
    for namespace, name, dimensions in metrics_of(stack):
        assert all(value in known[dimension] for dimension, value in dimensions.items()), (namespace, name)


def test_what_is_read_of_our_own_metrics_the_functions_publish_for_this_stack(stack: Stack) -> None:
    publishing = {
        function["Environment"]["Variables"]["METRICS_STACK"]
        for function in stack.of_type("AWS::Lambda::Function").values()
        if "METRICS_STACK" in function.get("Environment", {}).get("Variables", {})
    }
    assert publishing == {values["Stack"] for namespace, _, values in metrics_of(stack) if namespace == "Sluice"}


def test_the_dashboard_shows_the_alarms_each_function_and_no_widget_over_another(stack: Stack) -> None:
    first, *graphs = widgets_of(stack)
    assert first["properties"]["alarms"] == [f"<Observability{title}.Arn>" for title in alarms_of(stack)]
    shown = {values["FunctionName"] for _, _, values in metrics_of(stack) if "FunctionName" in values}
    assert shown == {f"<{name}>" for name in stack.of_type("AWS::Lambda::Function")}
    places = [(column, row) for it in [first, *graphs] for column, row in squares(it)]
    assert len(places) == len(set(places))
    assert all(column < 24 for column, _ in places)


def squares(widget: dict[str, Any]) -> Iterator[tuple[int, int]]:
    for column in range(widget["width"]):
        for row in range(widget["height"]):
            yield widget["x"] + column, widget["y"] + row


@pytest.mark.parametrize("variant", WATCHED)
def test_alarms_go_to_the_topic_of_the_settings_alone(synthesized: Callable[[str], Assembly], variant: str) -> None:
    topic = VARIANTS[variant].alarm_topic_arn
    for name in STACKS:
        for alarm in alarms_of(synthesized(variant).stacks[name]).values():
            assert alarm.get("AlarmActions") == alarm.get("OKActions") == ([topic] if topic else None)
