"""Metrics in log lines: taken out as CloudWatch does, and what is none of them is left alone."""

from __future__ import annotations

import pytest

from lambda_src import metrics
from local.log_metrics import metrics_in


def test_what_a_function_writes_is_read_as_its_metrics(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("METRICS_STACK", "Stack")
    metrics.publish("Job", {"Batches": 6, "RejectedShare": 12.5})
    found = list(metrics_in(capsys.readouterr().out.splitlines()))
    assert [namespace for namespace, _ in found] == ["Sluice", "Sluice"]
    assert [(it["MetricName"], it["Unit"], it["Values"]) for _, it in found] == [
        ("Batches", "Count", [6]),
        ("RejectedShare", "Percent", [12.5]),
    ]
    for _, datum in found:
        assert datum["Dimensions"] == [{"Name": "Stack", "Value": "Stack"}, {"Name": "Workflow", "Value": "Job"}]


@pytest.mark.parametrize(
    "line",
    [
        "prepared 3 of 3 records",
        '{"_aws"',
        '{"_aws": null}',
        '{"_aws": {"Timestamp": 1}}',
        '{"_aws": {"Timestamp": 1, "CloudWatchMetrics": [{"Namespace": "N", "Dimensions": [["D"]], "Metrics": []}]}}',
        '{"said": "\\"_aws\\""}',
    ],
)
def test_a_line_that_is_not_in_the_format_has_no_metrics(line: str) -> None:
    assert list(metrics_in([line])) == []


def test_a_value_may_be_a_list_and_stand_under_several_sets_of_dimensions() -> None:
    line = (
        '{"_aws": {"Timestamp": 2000, "CloudWatchMetrics": [{"Namespace": "N", "Dimensions": [["D"], []],'
        ' "Metrics": [{"Name": "M"}]}]}, "D": "d", "M": [1, 2]}'
    )
    assert [(it["Dimensions"], it["Values"], it["Unit"], it["Timestamp"]) for _, it in metrics_in([line])] == [
        ([{"Name": "D", "Value": "d"}], [1, 2], "None", 2.0),
        ([], [1, 2], "None", 2.0),
    ]
