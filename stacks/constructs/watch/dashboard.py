"""What stands on a stack's dashboard, as CloudWatch's JSON: one resource, whatever it shows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from stacks.constructs.watch.metrics import Endpoint, Function, Machine, Metric, own

COLUMNS, WIDTH, HEIGHT = 3, 8, 6
"""CloudWatch's grid is 24 wide.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
"""

ENDINGS = ("Started", "Succeeded", "Failed", "TimedOut", "Aborted")


@dataclass(frozen=True)
class Graph:
    """Lines under one title, each a label and its metric."""

    title: str
    lines: Sequence[tuple[str, Metric]]


def workflow_graphs(stack: str, job: Machine, request: Machine) -> list[Graph]:
    """Executions, records by outcome, batches."""
    return [
        Graph("Jobs", [(ending, job.metric(f"Executions{ending}")) for ending in ENDINGS]),
        Graph("Requests", [(ending, request.metric(f"Executions{ending}")) for ending in ENDINGS]),
        Graph(
            "How long they take (p99, ms)",
            [("job", job.metric("ExecutionTime", "p99")), ("request", request.metric("ExecutionTime", "p99"))],
        ),
        Graph(
            "Records by outcome",
            [
                *(
                    (f"job: {it.lower()}", own(stack, "Job", f"Records{it}"))
                    for it in ("Predicted", "Rejected", "Failed")
                ),
                *(
                    (f"request: {it.lower()}", own(stack, "Request", f"Records{it}"))
                    for it in ("Predicted", "Rejected")
                ),
            ],
        ),
        Graph("Rejected share of a job (%)", [("highest", own(stack, "Job", "RejectedShare", "Maximum"))]),
        Graph(
            "Batches of jobs",
            [
                ("batches", own(stack, "Job", "Batches")),
                ("failed", own(stack, "Job", "BatchesFailed")),
                ("model calls", own(stack, "Job", "ModelCalls")),
                ("retries", own(stack, "Job", "Retries")),
            ],
        ),
    ]


def challenger_graphs(model: Endpoint, challenger: Endpoint) -> list[Graph]:
    """The challenger beside the model: its own metrics tell of a shadow too."""
    both = (("model", model), ("challenger", challenger))
    return [
        Graph("Challenger latency (p99, µs)", [(name, it.metric("ModelLatency", "p99")) for name, it in both]),
        Graph(
            "Challenger calls",
            [("all", challenger.metric("Invocations")), ("5xx", challenger.metric("Invocation5XXErrors"))],
        ),
    ]


def endpoint_graphs(endpoint: Endpoint, *, queued: bool) -> list[Graph]:
    """The model behind an endpoint, and its scaling; `queued` where requests wait in a queue."""
    load = (
        [
            ("requests that wait or are worked on", endpoint.queue("ApproximateBacklogSize")),
            ("an instance's", endpoint.queue("ApproximateBacklogSizePerInstance")),
        ]
        if queued
        else [
            ("calls at once, an instance's", endpoint.metric("ConcurrentRequestsPerModel", "Average")),
            ("calls, an instance's", endpoint.metric("InvocationsPerInstance")),
        ]
    )
    return [
        Graph(
            "Model latency (µs)",
            [
                ("p50", endpoint.metric("ModelLatency", "p50")),
                ("p99", endpoint.metric("ModelLatency", "p99")),
                ("SageMaker's own, p99", endpoint.metric("OverheadLatency", "p99")),
            ],
        ),
        Graph(
            "Model calls",
            [
                # A queue's calls have a metric of their own: the page of `Endpoint.queue` says so.
                ("all", endpoint.metric("InvocationsProcessed" if queued else "Invocations")),
                ("4xx", endpoint.metric("Invocation4XXErrors")),
                ("5xx", endpoint.metric("Invocation5XXErrors")),
            ],
        ),
        Graph(
            "Scaling",
            [
                ("instances that run", endpoint.running()),
                *load,
                ("CPU (%)", endpoint.instances("CPUUtilization")),
                ("memory (%)", endpoint.instances("MemoryUtilization")),
            ],
        ),
    ]


def function_graphs(functions: Sequence[Function], machines: Sequence[tuple[str, Machine]]) -> list[Graph]:
    """The functions by step, and what held them and the machines back."""

    def each(name: str, statistic: str) -> list[tuple[str, Metric]]:
        return [(function.title, function.metric(name, statistic)) for function in functions]

    held_back = [(f"{title}: transitions", machine.metric("ExecutionThrottled")) for title, machine in machines]
    return [
        Graph("Function duration (p99, ms)", each("Duration", "p99")),
        Graph("Function errors", each("Errors", "Sum")),
        Graph("Throttles", [*each("Throttles", "Sum"), *held_back]),
        Graph("Functions at once", each("ConcurrentExecutions", "Maximum")),
    ]


def body(graphs: Sequence[Graph], alarms: Sequence[str], region: str) -> str:
    """The dashboard's JSON: the state of the alarms (ARNs) on top, then the graphs, left to right."""
    widgets: list[dict[str, Any]] = [
        {
            "type": "alarm", "x": 0, "y": 0, "width": COLUMNS * WIDTH, "height": 3,
            "properties": {"title": "Alarms", "alarms": list(alarms)},
        }
    ]  # fmt: skip
    for number, graph in enumerate(graphs):
        row, column = divmod(number, COLUMNS)
        properties = {
            "title": graph.title,
            "view": "timeSeries",
            "region": region,
            "yAxis": {"left": {"min": 0}},
            "metrics": [_line(label, metric) for label, metric in graph.lines],
        }
        widgets.append(
            {
                "type": "metric", "x": column * WIDTH, "y": 3 + row * HEIGHT, "width": WIDTH, "height": HEIGHT,
                "properties": properties,
            }
        )  # fmt: skip
    return json.dumps({"start": "-PT12H", "widgets": widgets}, ensure_ascii=False)


def _line(label: str, metric: Metric) -> list[Any]:
    dimensions = [text for pair in metric.dimensions.items() for text in pair]
    return [
        metric.namespace,
        metric.name,
        *dimensions,
        {"label": label, "stat": metric.statistic, "period": metric.seconds},
    ]
