"""What endpoints tell CloudWatch of their invocations: counted here, published now and then."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from local.sagemaker.aws import Document, Place

NAMESPACE = "AWS/SageMaker"
"""https://docs.aws.amazon.com/sagemaker/latest/dg/monitoring-cloudwatch.html"""

SECONDS = 1.0
"""How long counts are kept back: to publish each would cost more than to serve it."""

Publish = Callable[[Place, str, list[Document]], None]


@dataclass
class _Counts:
    """The invocations of one variant since they were last published."""

    statuses: Counter[int] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    """Microseconds, as CloudWatch has them."""


class Metrics:
    """Invocations, Invocation4XXErrors, Invocation5XXErrors and ModelLatency of every variant."""

    def __init__(self, publish: Publish) -> None:
        self._publish = publish
        self._counts: dict[tuple[Place, str, str], _Counts] = {}
        self._published = time.monotonic()
        self._loads: dict[tuple[Place, str, str], tuple[int, float]] = {}

    def add(self, place: Place, endpoint: str, variant: str, status: int, seconds: float) -> None:
        """One invocation: how the model answered it, and how long it took."""
        counts = self._counts.setdefault((place, endpoint, variant), _Counts())
        counts.statuses[status // 100] += 1
        counts.latencies.append(seconds * 1e6)
        calls, busy = self._loads.get((place, endpoint, variant), (0, 0.0))
        self._loads[place, endpoint, variant] = calls + 1, busy + seconds
        if time.monotonic() - self._published > SECONDS:
            self.flush()

    def load(self, place: Place, endpoint: str, variant: str) -> tuple[int, float]:
        """How many invocations ended since this was last asked, and how many seconds they took together."""
        return self._loads.pop((place, endpoint, variant), (0, 0.0))

    def flush(self) -> None:
        """Publishes what was counted since the last time."""
        counted, self._counts, self._published = self._counts, {}, time.monotonic()
        for (place, endpoint, variant), counts in counted.items():
            dimensions = [{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": variant}]
            self._publish(place, NAMESPACE, [{**datum, "Dimensions": dimensions} for datum in _data(counts)])


def _data(counts: _Counts) -> list[Document]:
    total = counts.statuses.total()
    data: list[Document] = [{"MetricName": "Invocations", "Unit": "Count", "Values": [1], "Counts": [total]}]
    for name, kind in (("Invocation4XXErrors", 4), ("Invocation5XXErrors", 5)):
        # A value an invocation, so that their average is the share that failed.
        failed = counts.statuses[kind]
        data.append({"MetricName": name, "Unit": "Count", "Values": [1, 0], "Counts": [failed, total - failed]})
    latency = {
        "SampleCount": total,
        "Sum": sum(counts.latencies),
        "Minimum": min(counts.latencies),
        "Maximum": max(counts.latencies),
    }
    data.append({"MetricName": "ModelLatency", "Unit": "Microseconds", "StatisticValues": latency})
    return data
