"""Rows: functions that cannot be called, die, or answer what nobody can use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tests.faults.again import nothing_to_retry, retried
from tests.faults.fault import ALL, JOBS, REQUESTS, Case, Expect, Fault, Over, Rule
from tests.faults.place import Place
from tests.faults.steps import (
    TOLERANCE,
    TRIES,
    check_waits,
    failing,
    first,
    invoking,
    mixed,
    one_batch,
    running,
    steps,
    tried,
)

TRANSIENT = {
    "client-timeout": "ClientExecutionTimeoutException",
    "service-exception": "ServiceException",
    "lambda-exception": "AWSLambdaException",
    "sdk-exception": "SdkClientException",
    "too-many-requests": "TooManyRequestsException",
}
GOES_ON = "Each step is tried again, and every record comes out as if nothing had been."
REJECTED = {"NotANumber": 1}


def once(name: str, what: str, place_of: Any = invoking, times: int = 1, happens: str = GOES_ON, **rule: Any) -> Fault:
    """Every function of the run fails its first call, or calls; then all is well."""

    def rules(place: Place) -> Sequence[Rule]:
        return [place_of(place, step, at_most=times, **rule) for step in steps(place)]

    def then(place: Place) -> None:
        assert place.seen.fired == [times] * len(steps(place))
        check_waits(place)

    expect = Expect(rejected=REJECTED, calls=3 + times)
    return Fault(name, "functions", what, happens, [Case(ALL, mixed(), expect, rules, then=then)])


def for_ever(
    name: str, what: str, ends: str, tries: int, cause: str = "", place_of: Any = invoking, **rule: Any
) -> Fault:
    """The step that gets the records fails each time."""

    def rules(place: Place) -> Sequence[Rule]:
        return [place_of(place, first(place), **rule)]

    def then(place: Place) -> None:
        assert tried(place, first(place)) == tries
        check_waits(place, tries - 1)

    def and_retried(place: Place) -> None:
        then(place)
        retried(place, again=4)

    calls = {1: "the one call", 3: "three calls", TRIES: "seven calls"}[tries]
    happens = f"No more than {calls}. {failing(ends)}"
    sent = one_batch()
    return Fault(
        name,
        "functions",
        what,
        happens,
        [
            Case(REQUESTS, sent, Expect("FAILED", ends, cause, calls=0), rules, then=then),
            Case(JOBS, sent, Expect("FAILED", TOLERANCE, failed={ends: 4}, calls=0), rules, then=and_retried),
        ],
    )


def another_shape() -> Fault:
    """A function's answer lacks what comes next needs."""

    def rules(step: str) -> Callable[[Place], Sequence[Rule]]:
        return lambda place: [running(place, step or first(place), answer='{"another": "shape"}')]

    sent, query = one_batch(), "States.QueryEvaluationError"
    return Fault(
        "answer-of-another-shape",
        "functions",
        "A function answers with an object that lacks what the next step needs",
        "The run fails where it is missed: in the workflow's own query, in `Predict`, or, for a batch's last step, in "
        "the job's sums (`SummaryMismatch`).",
        [
            Case([Over.REQUEST], sent, Expect("FAILED", query, calls=0), rules("")),
            Case([Over.REQUEST_ML], sent, Expect("FAILED", "KeyError", "Predict: 'instances'"), rules("")),
            Case([Over.JOB], sent, Expect("FAILED", TOLERANCE, failed={query: 4}, calls=0), rules("")),
            Case(
                [Over.JOB_ML],
                sent,
                Expect("FAILED", "SummaryMismatch", "another", summary=False),
                rules("StoreResults"),
            ),
        ],
    )


def answers_lost() -> Fault:
    """The last step of every batch does its work, and nobody hears of it."""
    return Fault(
        "answers-lost-for-ever",
        "functions",
        "StoreResults stores all, and its answer is lost each time",
        "The batches fail and the job with them, but every record counts as predicted, as it lies in S3; a retry finds "
        "nothing to run.",
        [
            Case(
                JOBS,
                one_batch(),
                Expect("FAILED", TOLERANCE),
                lambda place: [invoking(place, "StoreResults", lost="error")],
                then=nothing_to_retry,
            )
        ],
    )


FAULTS: tuple[Fault, ...] = (
    *[once(f"{name}-once", f"`Lambda.{error}`, once", error=error) for name, error in TRANSIENT.items()],
    *[
        for_ever(f"{name}-for-ever", f"`Lambda.{error}`, each time", f"Lambda.{error}", TRIES, error=error)
        for name, error in TRANSIENT.items()
    ],
    once("throttled-three-times", "Throttled three times", times=3, error="TooManyRequestsException"),
    once("connection-cut", "The connection to Lambda is cut before the call, once", cut=True),
    once(
        "answer-lost",
        "The function has done its work, and the answer is lost, once",
        happens="It does its work again: what it stored lies there already, byte for byte.",
        lost="cut",
    ),
    once("function-killed", "Killed, as for memory, once", place_of=running, kill=True),
    for_ever(
        "function-killed-for-ever",
        "Killed, as for memory, each time",
        "Runtime.ExitError",
        3,
        "signal: killed",
        place_of=running,
        kill=True,
    ),
    once("function-timed-out", "Out of its time limit, once", place_of=running, timeout=True),
    for_ever(
        "function-timed-out-for-ever",
        "Out of its time limit, each time",
        "Sandbox.Timedout",
        3,
        "Task timed out after 30.00 seconds",
        place_of=running,
        timeout=True,
    ),
    for_ever(
        "handler-raises",
        "The handler raises an exception of its own",
        "KeyError",
        1,
        "'mean'",
        place_of=running,
        error="KeyError",
        message="'mean'",
    ),
    another_shape(),
    answers_lost(),
    for_ever(
        "answer-over-256-kib",
        "The function's answer is larger than a state may be",
        "States.DataLimitExceeded",
        1,
        place_of=running,
        answer_bytes=262_145,
    ),
    for_ever(
        "answer-over-6-mb",
        "The function's answer is larger than Lambda lets through",
        "Function.ResponseSizeTooLarge",
        1,
        "exceeded maximum allowed payload size",
        place_of=running,
        answer_bytes=6_291_557,
    ),
    for_ever(
        "invoke-denied",
        "The workflow may not call the function: Lambda's access denied has the name of errors that pass",
        "Lambda.AWSLambdaException",
        TRIES,
        "not authorized",
        error="AccessDeniedException",
    ),
)
