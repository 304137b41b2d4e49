"""The CloudWatch metrics that alarms and the dashboard read: plain data, no construct."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

OWN = "Sluice"
"""The namespace of what the functions publish themselves: see `lambda_src.metrics`."""

ACCOUNT: Mapping[str, str] = {}
"""The dimensions of a metric that is of the whole account in the region."""


@dataclass(frozen=True)
class Metric:
    """One metric and the statistic of it that is of use.

    `Sum`, `Average`, `Maximum`, `SampleCount` or a percentile such as `p99`.
    """

    namespace: str
    name: str
    dimensions: Mapping[str, str]
    statistic: str = "Sum"
    seconds: int = 300
    """The period that a graph shows it by."""


@dataclass(frozen=True)
class Machine:
    """A state machine's metrics.

    https://docs.aws.amazon.com/step-functions/latest/dg/procedure-cw-metrics.html
    """

    arn: str

    def metric(self, name: str, statistic: str = "Sum") -> Metric:
        return Metric("AWS/States", name, {"StateMachineArn": self.arn}, statistic)


@dataclass(frozen=True)
class Function:
    """A function's metrics. `title` is what its step is called.

    https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
    """

    title: str
    name: str

    def metric(self, name: str, statistic: str = "Sum") -> Metric:
        return Metric("AWS/Lambda", name, {"FunctionName": self.name}, statistic)


@dataclass(frozen=True)
class Endpoint:
    """The metrics of an endpoint's variant, and of the instances behind it.

    https://docs.aws.amazon.com/sagemaker/latest/dg/monitoring-cloudwatch.html
    """

    name: str
    variant: str

    def metric(self, name: str, statistic: str = "Sum") -> Metric:
        return Metric("AWS/SageMaker", name, self._dimensions, statistic)

    def instances(self, name: str) -> Metric:
        return Metric("/aws/sagemaker/Endpoints", name, self._dimensions, "Average")

    def running(self) -> Metric:
        """How many instances run: each tells of itself once a minute.

        https://docs.aws.amazon.com/sagemaker/latest/dg/async-inference-troubleshooting.html
        """
        return Metric("/aws/sagemaker/Endpoints", "CPUUtilization", self._dimensions, "SampleCount", 60)

    def queue(self, name: str) -> Metric:
        """A metric of an asynchronous endpoint's queue, which all variants share.

        https://docs.aws.amazon.com/sagemaker/latest/dg/async-inference-monitor.html
        """
        return Metric("AWS/SageMaker", name, {"EndpointName": self.name}, "Average", 60)

    @property
    def _dimensions(self) -> Mapping[str, str]:
        return {"EndpointName": self.name, "VariantName": self.variant}


def own(stack: str, workflow: Literal["Job", "Request"], name: str, statistic: str = "Sum") -> Metric:
    """A metric that the stack's functions publish of one of its workflows."""
    return Metric(OWN, name, {"Stack": stack, "Workflow": workflow}, statistic)
