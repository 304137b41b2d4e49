"""The alarms of a stack, as data: what a person must know. docs/operations.md says of each what to do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from aws_cdk import Aws

from lambda_src.contract import CHALLENGER
from stacks.constructs.watch.metrics import ACCOUNT, Endpoint, Function, Machine, Metric, own
from stacks.settings import Settings

PREDICT_ERRORS = 10
"""How often in five minutes the function with the model inside may fail. A batch that the model refuses is
split, so that a single record of it may fail the function some 7 times."""


@dataclass(frozen=True, kw_only=True)
class Alarm:
    """Rings when `metric` is above `threshold` in `of` of the last `periods` periods of so many seconds.

    `title` is the construct's id and the heading in docs/operations.md; `meaning` one sentence for who is woken by
    it. No data is no alarm: nothing runs, then. `named` gives it a name made from the stack's, for those that have to
    name it before it exists.
    """

    title: str
    meaning: str
    metric: Metric
    threshold: float = 0
    seconds: int = 300
    periods: int = 1
    of: int = 1
    named: bool = False


def alarm_name(title: str) -> str:
    """The name of an alarm that has one: for an endpoint, say, which the alarm is on and which is to name it."""
    return f"{Aws.STACK_NAME}-{title}"


def rolling_back(settings: Settings) -> list[str]:
    """The alarms that take an endpoint's update back, by their titles."""
    return ["ModelErrors", "ModelLatency", *(["ChallengerErrors"] if answers_too(settings) else [])]


def answers_too(settings: Settings) -> bool:
    """Whether a part of the answers is a challenger's."""
    return bool(settings.challenger) and not settings.challenger_shadow


def job_alarms(stack: str, job: Machine, settings: Settings) -> Iterator[Alarm]:
    """What may go wrong with batch jobs."""
    yield Alarm(
        title="FailedJobs",
        meaning="A batch job failed: more of its batches than it tolerates, or a step of its own.",
        metric=job.metric("ExecutionsFailed"),
    )
    # AWS has no metric of one execution's progress while it runs: a stuck job ends at its machine's time limit.
    yield Alarm(
        title="StuckJobs",
        meaning="A batch job ran into its time limit and was ended.",
        metric=job.metric("ExecutionsTimedOut"),
    )
    yield Alarm(
        title="WaitingJobs",
        meaning="Batch jobs wait to begin: the account has as many open Map Runs as it may.",
        metric=Metric("AWS/States", "ApproximateMapRunBacklogSize", ACCOUNT, "Maximum"),
        periods=3,
        of=3,
    )
    yield Alarm(
        title="ThrottledJobs",
        meaning="Step Functions holds a batch job back: the account makes more state transitions than it may.",
        metric=job.metric("ExecutionThrottled"),
        periods=3,
        of=3,
    )
    yield Alarm(
        title="RejectedRecords",
        meaning="A batch job rejected a larger share of its records than usual.",
        metric=own(stack, "Job", "RejectedShare", "Maximum"),
        threshold=settings.alarm_rejected,
    )


def trigger_alarms(start_job: Function) -> Iterator[Alarm]:
    """What may go wrong where jobs are started by what lands in the bucket."""
    yield Alarm(
        title="UnstartedJobs",
        meaning="A job could not be started for a data set that has landed; Lambda tries twice more.",
        metric=start_job.metric("Errors"),
    )


def endpoint_alarms(endpoint: Endpoint, settings: Settings) -> Iterator[Alarm]:
    """What may go wrong with a model behind an endpoint."""
    # The average over invocations, each a 0 or a 1, is the share that failed. A canary's few calls must count, so
    # the threshold is low; AWS's own example of an alarm that rolls a deployment back is this one.
    # https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-configuration.html
    yield Alarm(
        title="ModelErrors",
        meaning="The endpoint answers a larger share of calls with a server error than it may.",
        metric=endpoint.metric("Invocation5XXErrors", "Average"),
        threshold=settings.alarm_model_errors / 100,
        seconds=60,
        periods=3,
        of=2,
        named=True,
    )
    yield Alarm(
        title="ModelLatency",
        meaning="One call in a hundred or more takes the model longer than it may.",
        metric=endpoint.metric("ModelLatency", "p99"),
        threshold=settings.alarm_model_seconds * 1e6,  # microseconds
        seconds=60,
        periods=5,
        of=3,
        named=True,
    )
    if answers_too(settings):
        yield Alarm(
            title="ChallengerErrors",
            meaning="The challenger answers a larger share of its calls with a server error than it may.",
            metric=replace(endpoint, variant=CHALLENGER).metric("Invocation5XXErrors", "Average"),
            threshold=settings.alarm_model_errors / 100,
            seconds=60,
            periods=3,
            of=2,
            named=True,
        )


def model_function_alarms(function: Function, settings: Settings) -> Iterator[Alarm]:
    """What may go wrong with a model inside a function."""
    yield Alarm(
        title="ModelErrors",
        meaning="The function with the model inside fails more often than refused records explain.",
        metric=function.metric("Errors"),
        threshold=PREDICT_ERRORS,
    )
    yield Alarm(
        title="ModelLatency",
        meaning="One call in a hundred or more takes the model longer than it may.",
        metric=function.metric("Duration", "p99"),
        threshold=settings.alarm_model_seconds * 1e3,  # milliseconds
        periods=3,
        of=2,
    )


def function_alarms(functions: tuple[Function, ...]) -> Iterator[Alarm]:
    """What may go wrong with the functions that every batch and request calls."""
    for function in functions:
        yield Alarm(
            title=f"{function.title}Throttled",
            meaning=f"Lambda turns calls of {function.title} away: the account's concurrency is used up.",
            metric=function.metric("Throttles"),
            periods=3,
            of=2,
        )
