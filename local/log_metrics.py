"""Metrics that stand in log lines, as CloudWatch Logs takes them out: the embedded metric format.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

Datum = dict[str, Any]


def metrics_in(texts: Iterable[str]) -> Iterator[tuple[str, Datum]]:
    """The namespace and the data, each as PutMetricData takes one, of every line that is in the format."""
    for text in texts:
        if text.startswith("{") and '"_aws"' in text:
            try:
                document = json.loads(text)
                yield from list(_metrics_of(document, document["_aws"]))
            except (KeyError, TypeError, ValueError):
                continue  # as in AWS, a line that is not in the format is a line of the log and nothing else


def _metrics_of(document: dict[str, Any], head: dict[str, Any]) -> Iterator[tuple[str, Datum]]:
    for directive in head["CloudWatchMetrics"]:
        for names in directive["Dimensions"]:
            dimensions = [{"Name": name, "Value": document[name]} for name in names]
            for metric in directive["Metrics"]:
                value = document[metric["Name"]]
                yield (
                    directive["Namespace"],
                    {
                        "MetricName": metric["Name"],
                        "Unit": metric.get("Unit", "None"),
                        "Timestamp": head["Timestamp"] / 1000,
                        "Dimensions": dimensions,
                        "Values": value if isinstance(value, list) else [value],
                    },
                )
