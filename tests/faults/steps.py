"""The functions and callers of a run by their names, and the bounds that retries keep."""

from __future__ import annotations

from lambda_src.contract import Json
from tests.faults.fault import Over, Rule, Sent
from tests.faults.given import changed, good
from tests.faults.place import Place

STEPS = {
    Over.REQUEST: ("PreprocessData", "StoreResults"),
    Over.REQUEST_ML: ("Preprocess", "Predict"),
    Over.JOB: ("JobCheckJob", "PreprocessData", "StoreResults", "JobSummarize"),
    Over.JOB_ML: ("JobCheckJob", "Preprocess", "Predict", "StoreResults", "JobSummarize"),
}
"""The functions that a run calls."""

FIRST = {Over.REQUEST: "PreprocessData", Over.JOB: "PreprocessData"}
"""The first function that gets records; `Preprocess` in the others."""

TRIES = 7
"""Calls of one step for an error that passes: the first and six more. A killed function gets three, others one."""

TOLERANCE = "States.ExceedToleratedFailureThreshold"
"""The error of a job of which more failed than it tolerates: by default, anything."""

CAPS = [min(2.0**retry, 20.0) for retry in range(TRIES - 1)]
"""The longest that each retry is waited for, in seconds: full jitter draws from 0 to there."""


def failing(error: str) -> str:
    """What becomes of a batch that fails, in the document's words."""
    return f"A request fails with `{error}`; in a job the batch's records have failed, and can be retried."


def mixed(count: int = 4) -> Sent:
    """Good records and one that is rejected, in batches of two."""
    values: list[Json] = [*good(count), changed(mean_area="vast")]
    return Sent(values, options={"batch_size": 2})


def one_batch(count: int = 4, **options: Json) -> Sent:
    """Good records in one batch."""
    return Sent(good(count), options={"batch_size": count, **options})


def invoking(place: Place, step: str, **rule: Json) -> Rule:
    """A rule for the calls of a step's function."""
    return {"service": "lambda", "action": "Invoke", "resource": arn(place, step), **rule}


def running(place: Place, step: str, **rule: Json) -> Rule:
    """A rule for what happens inside a step's function."""
    return {"service": "function", "resource": arn(place, step), **rule}


def asking(place: Place, **rule: Json) -> Rule:
    """A rule for the calls of the endpoint that Step Functions makes."""
    return {"service": "sagemaker-runtime", "action": "InvokeEndpoint", "caller": "*:assumed-role/*", **rule}


def storing(place: Place, step: str, action: str, **rule: Json) -> Rule:
    """A rule for the calls to S3 that a step's function makes."""
    caller = f"*:assumed-role/{place.over.stack}-{step}Role*"
    return {"service": "s3", "action": action, "caller": caller, **rule}


def arn(place: Place, step: str) -> str:
    """A pattern of the function's ARN."""
    return f"*:function:{place.physical(f'{step}Function')}"


def first(place: Place) -> str:
    """The step that gets the records."""
    return FIRST.get(place.over, "Preprocess")


def steps(place: Place) -> tuple[str, ...]:
    """The steps with a function."""
    return STEPS[place.over]


def tried(place: Place, step: str) -> int:
    """How often a step's function was called."""
    return int(place.seen.calls("lambda", "Invoke", arn(place, step)))


def check_waits(place: Place, waits: int | None = None) -> None:
    """Each wait lies between nothing and its cap, and there were no more than so many before the tries of a state."""
    for found in place.seen.waits.values():
        by_state: dict[str, list[float]] = {}
        for state, seconds in found:
            by_state.setdefault(state, []).append(seconds)
        for state, drawn in by_state.items():
            assert all(0 <= it <= cap for it, cap in zip(drawn, CAPS, strict=False)), (state, drawn)
            assert waits is None or len(drawn) <= waits, (state, drawn)
            assert sum(drawn) <= sum(CAPS)
