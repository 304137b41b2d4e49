"""Scaling policies, read from what PutScalingPolicy takes. One that would not be evaluated is refused."""

from __future__ import annotations

from dataclasses import dataclass

from local.sagemaker.aws import Document
from local.sagemaker.errors import invalid, unserved

CONCURRENCY = "SageMakerVariantConcurrentRequestsPerModelHighResolution"
INVOCATIONS = "SageMakerVariantInvocationsPerInstance"
BACKLOG = "ApproximateBacklogSizePerInstance"
COOLDOWN = 300
"""Seconds, where a policy does not say.
https://docs.aws.amazon.com/autoscaling/application/userguide/target-tracking-scaling-policy-overview.html
"""

TRACKING_FIELDS = {
    "TargetValue",
    "PredefinedMetricSpecification",
    "CustomizedMetricSpecification",
    "ScaleOutCooldown",
    "ScaleInCooldown",
    "DisableScaleIn",
}
STEP_FIELDS = {"AdjustmentType", "StepAdjustments", "Cooldown", "MetricAggregationType"}


@dataclass(frozen=True)
class Tracking:
    """Keeps a metric of each instance at `target`."""

    metric: str
    """`CONCURRENCY`, `INVOCATIONS` or `BACKLOG`."""
    target: float
    out_cooldown: float
    in_cooldown: float
    scales_in: bool

    @property
    def looks(self) -> int:
        """How many minutes the metric has to be above the target: three values, which are of 10 s or of a minute."""
        return 1 if self.metric == CONCURRENCY else 3


@dataclass(frozen=True)
class Step:
    """Changes the capacity when an alarm rings, by how far its metric is beyond the threshold."""

    exact: bool
    """Whether an adjustment is a capacity, or a change of it."""
    adjustments: tuple[tuple[float, float, int], ...]
    """(lower bound, upper bound, adjustment)"""
    cooldown: float

    def capacity(self, now: int, beyond: float) -> int:
        for lower, upper, adjustment in self.adjustments:
            if lower <= beyond < upper:
                return adjustment if self.exact else now + adjustment
        return now


def policy_of(request: Document, endpoint: str) -> Tracking | Step:
    """Raises `ValidationException` for what AWS refuses, and for what is not evaluated here."""
    kind = request.get("PolicyType", "StepScaling")
    field = {"TargetTrackingScaling": "TargetTrackingScalingPolicyConfiguration"}.get(
        kind, f"{kind}PolicyConfiguration"
    )
    if kind not in ("StepScaling", "TargetTrackingScaling"):
        raise unserved(f"PolicyType {kind}")
    configuration = request.get(field)
    if not configuration:
        raise invalid(f"{field} must be specified for policy type {kind}.")
    return _step(configuration) if kind == "StepScaling" else _tracking(configuration, endpoint)


def _tracking(configuration: Document, endpoint: str) -> Tracking:
    _refuse_others("TargetTrackingScalingPolicyConfiguration", configuration, TRACKING_FIELDS)
    predefined, customized = (configuration.get(f"{kind}MetricSpecification") for kind in ("Predefined", "Customized"))
    if (predefined is None) == (customized is None):
        raise invalid(
            "Exactly one of PredefinedMetricSpecification and CustomizedMetricSpecification must be specified."
        )
    metric = _predefined(predefined) if predefined else _customized(customized or {}, endpoint)
    if configuration["TargetValue"] <= 0:
        raise invalid("TargetValue must be greater than 0.")
    return Tracking(
        metric,
        configuration["TargetValue"],
        configuration.get("ScaleOutCooldown", COOLDOWN),
        configuration.get("ScaleInCooldown", COOLDOWN),
        not configuration.get("DisableScaleIn", False),
    )


def _predefined(specification: Document) -> str:
    _refuse_others("PredefinedMetricSpecification", specification, {"PredefinedMetricType"})
    metric = str(specification["PredefinedMetricType"])
    if metric not in (CONCURRENCY, INVOCATIONS):
        raise unserved(f"PredefinedMetricType {metric}")
    return metric


def _customized(specification: Document, endpoint: str) -> str:
    """The one that AWS documents for asynchronous endpoints, of this very endpoint.

    https://docs.aws.amazon.com/sagemaker/latest/dg/async-inference-autoscale.html
    """
    dimensions = {it["Name"]: it["Value"].lower() for it in specification.get("Dimensions") or []}
    expected = {
        "Namespace": "AWS/SageMaker",
        "MetricName": BACKLOG,
        "Statistic": "Average",
        "Dimensions": {"EndpointName": endpoint.lower()},
    }
    given = {**specification, "Dimensions": dimensions}
    if given != expected:
        raise unserved(f"CustomizedMetricSpecification {specification} (only {BACKLOG} of the endpoint is)")
    return BACKLOG


def _step(configuration: Document) -> Step:
    _refuse_others("StepScalingPolicyConfiguration", configuration, STEP_FIELDS)
    kind = configuration.get("AdjustmentType")
    if kind not in ("ChangeInCapacity", "ExactCapacity"):
        raise unserved(f"AdjustmentType {kind}")
    if configuration.get("MetricAggregationType", "Average") != "Average":
        raise unserved(f"MetricAggregationType {configuration['MetricAggregationType']}")
    infinity = float("inf")
    adjustments = tuple(
        (
            it.get("MetricIntervalLowerBound", -infinity),
            it.get("MetricIntervalUpperBound", infinity),
            it["ScalingAdjustment"],
        )
        for it in configuration.get("StepAdjustments") or []
    )
    if not adjustments:
        raise invalid("At least one StepAdjustment must be specified.")
    return Step(kind == "ExactCapacity", adjustments, configuration.get("Cooldown", COOLDOWN))


def _refuse_others(structure: str, given: Document, served: set[str]) -> None:
    for field in given:
        if field not in served:
            raise unserved(f"{structure}.{field}")
