"""CloudWatch: metrics of the embedded AWS's own services, and the alarms that watch them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from local.ministack.privates import cloudwatch

_evaluate_alarm = cloudwatch._evaluate_alarm


def _evaluate_alarm_alone(alarm: dict[str, Any]) -> None:
    """MiniStack would judge an alarm by its metric's points of every dimension: here by those of its own."""
    dimensions = {it["Name"]: it["Value"] for it in alarm.get("Dimensions") or []}
    key = (alarm.get("Namespace"), alarm.get("MetricName"), cloudwatch._dims_key(dimensions))
    everything = cloudwatch._metrics
    cloudwatch._metrics = {key: points} if (points := everything.get(key)) else {}
    try:
        _evaluate_alarm(alarm)
    finally:
        cloudwatch._metrics = everything


cloudwatch._evaluate_alarm = _evaluate_alarm_alone


def put_metrics(namespace: str, data: list[dict[str, Any]]) -> None:
    """Publishes metrics, each as PutMetricData takes one, for the embedded AWS's own services."""
    cloudwatch._put_metric_data({}, {"Namespace": namespace, "MetricData": data}, False, True)


def ringing(alarms: Sequence[str]) -> list[str]:
    """Those of the named alarms that are in the state ALARM."""
    known = {name: cloudwatch._alarms.get(name) or cloudwatch._composite_alarms.get(name) for name in alarms}
    return [name for name, alarm in known.items() if alarm and alarm["StateValue"] == "ALARM"]


def alarms_on(action: str) -> list[dict[str, Any]]:
    """The alarms that carry an action, an ARN, out when they ring."""
    alarms = cloudwatch._alarms.values()
    return [it for it in alarms if action in it.get("AlarmActions", ()) and it.get("ActionsEnabled", True)]
