"""What Step Functions tells CloudWatch of executions: counted here, published soon after."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Datum = dict[str, Any]

NAMESPACE = "AWS/States"

SECONDS = 0.5
"""How long counts are kept back: to publish each would cost more than to count it."""

Publish = Callable[[str, str, list[Datum]], None]
"""Takes a machine's ARN, for its account and region, the namespace, and data as PutMetricData takes them."""

_ENDINGS = {"SUCCEEDED": "Succeeded", "FAILED": "Failed", "TIMED_OUT": "TimedOut", "ABORTED": "Aborted"}


@dataclass
class _Counts:
    """The executions of one machine since they were last published."""

    events: Counter[str] = field(default_factory=Counter)
    milliseconds: Counter[int] = field(default_factory=Counter)


class Metrics:
    """ExecutionsStarted, -Succeeded, -Failed, -TimedOut, -Aborted and ExecutionTime of every machine.

    Not of a Map Run's children: what AWS publishes of those, and under which ARN, is not confirmed.
    https://docs.aws.amazon.com/step-functions/latest/dg/procedure-cw-metrics.html
    """

    def __init__(self, publish: Publish) -> None:
        self._publish = publish
        self._counts: defaultdict[str, _Counts] = defaultdict(_Counts)
        self._timer: asyncio.TimerHandle | None = None

    def started(self, machine_arn: str) -> None:
        """An execution began, or a redrive of one."""
        self._of(machine_arn).events["Started"] += 1

    def ended(self, machine_arn: str, status: str, seconds: float) -> None:
        """An execution ended with AWS's status, so long after its start."""
        counts = self._of(machine_arn)
        counts.events[_ENDINGS[status]] += 1
        counts.milliseconds[round(seconds * 1000)] += 1

    def flush(self) -> None:
        """Publishes what was counted since the last time."""
        counted, self._counts, self._timer = self._counts, defaultdict(_Counts), None
        for machine_arn, counts in counted.items():
            dimensions = [{"Name": "StateMachineArn", "Value": machine_arn}]
            self._publish(machine_arn, NAMESPACE, [{**datum, "Dimensions": dimensions} for datum in _data(counts)])

    def _of(self, machine_arn: str) -> _Counts:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SECONDS, self.flush)
        return self._counts[machine_arn]


def _data(counts: _Counts) -> list[Datum]:
    data = [
        {"MetricName": f"Executions{name}", "Unit": "Count", "Values": [1], "Counts": [count]}
        for name, count in counts.events.items()
    ]
    times = counts.milliseconds
    if times:
        values = {"Values": list(times), "Counts": list(times.values())}
        data.append({"MetricName": "ExecutionTime", "Unit": "Milliseconds", **values})
    return data
