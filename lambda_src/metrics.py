"""What AWS has no metric of: one line of a function's log that CloudWatch reads as metrics.

The line is Powertools' too (the embedded metric format). To import that library takes 100 to 170 ms of a cold start and
brings 370 files; json, which is there already, writes the same line in 20 microseconds.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from typing import Literal

NAMESPACE = "Sluice"

STACK_VARIABLE = "METRICS_STACK"
"""The environment variable that names the stack; a function without it has no metrics, which cost money."""


def publish(workflow: Literal["Job", "Request"], values: Mapping[str, float]) -> None:
    """Publishes a value of each metric of the stack's workflow: counts, and shares in percent.

    A function that is run again publishes again: the counts that must add up are in the results, not here.
    """
    if not (stack := os.environ.get(STACK_VARIABLE)):
        return
    dimensions = {"Stack": stack, "Workflow": workflow}
    directive = {
        "Namespace": NAMESPACE,
        "Dimensions": [list(dimensions)],
        "Metrics": [{"Name": name, "Unit": "Percent" if name.endswith("Share") else "Count"} for name in values],
    }
    head = {"Timestamp": time.time_ns() // 1_000_000, "CloudWatchMetrics": [directive]}
    print(json.dumps({"_aws": head, **dimensions, **values}))


def publish_request(predicted: int, rejected: int) -> None:
    """What became of a request's records. A request that fails has no such counts: it is a failed execution."""
    publish("Request", {"RecordsPredicted": predicted, "RecordsRejected": rejected})
