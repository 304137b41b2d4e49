"""Rows: executions that are stopped, started again, run twice, and run many at once."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.e2e.deployment import until
from tests.faults.again import redriven, retried, under_another_name
from tests.faults.fault import ALL, JOBS, REQUESTS, Case, Expect, Fault, Over, Rule, Sent
from tests.faults.given import good
from tests.faults.place import Place
from tests.faults.steps import arn, asking, first, invoking, mixed

RECORDS, BATCH, STOPPED_AT = 12, 2, 4
"""A job of six batches, one at a time, that is stopped as its fourth begins."""

IN_ORDER = Sent(good(RECORDS), options={"batch_size": BATCH, "max_concurrency": 1})
DONE = (STOPPED_AT - 1) * BATCH
REJECTED = {"NotANumber": 1}


def child(place: Place, **rule: object) -> Rule:
    """A rule for the children of the job's Map."""
    return {"service": "child", "resource": f"{place.stack.machine_arn}/*", **rule}


def stop_child(place: Place) -> Sequence[Rule]:
    return [child(place, nth=STOPPED_AT, stop=place.execution_arn)]


def stop_model(place: Place) -> Sequence[Rule]:
    """Stops a request at its call of the model."""
    if place.over is Over.REQUEST:
        return [asking(place, nth=1, stop=place.execution_arn)]
    return [invoking(place, "Predict", nth=1, stop=place.execution_arn)]


def stopped() -> list[Fault]:
    """Stopped after k of N batches: retried, or gone on with."""

    def and_redriven(place: Place) -> None:
        place.start()
        place.wait()
        assert place.status == "ABORTED"
        redriven(place)

    return [
        Fault(
            "stopped-and-retried",
            "orchestration",
            "The job is stopped after three of six batches, and retried",
            "What was predicted stays; a retry runs the six records that were not, and no other.",
            [
                Case(
                    JOBS,
                    IN_ORDER,
                    Expect("ABORTED", calls=STOPPED_AT, summary=False),
                    stop_child,
                    then=lambda place: retried(place, again=RECORDS - DONE),
                )
            ],
        ),
        Fault(
            "stopped-and-redriven",
            "orchestration",
            "The run is stopped, a job after three of six batches, and redriven",
            "It goes on where it ended: no batch that had succeeded runs again.",
            [
                Case(JOBS, IN_ORDER, Expect(calls=RECORDS // BATCH), stop_child, and_redriven),
                Case(REQUESTS, mixed(), Expect(rejected=REJECTED, calls=2), stop_model, and_redriven),
            ],
        ),
    ]


def started_twice() -> Fault:
    """The same StartExecution while the run goes on, and once more after it."""

    def play(place: Place) -> None:
        states = place.deployment.client("stepfunctions")

        def start_again() -> str:
            told = states.describe_execution(executionArn=place.execution_arn)
            return str(
                states.start_execution(stateMachineArn=told["stateMachineArn"], name=told["name"], input=told["input"])[
                    "executionArn"
                ]
            )

        place.start()
        until(lambda: place.seen.matched[0], bool)
        assert start_again() == place.execution_arn
        place.seen.release()
        place.wait()
        with pytest.raises(states.exceptions.ExecutionAlreadyExists):
            start_again()

    return Fault(
        "started-twice",
        "orchestration",
        "The same start twice: while it runs, and after it",
        "While it runs it is the same run; afterwards it is refused with `ExecutionAlreadyExists`.",
        [
            Case(
                ALL,
                mixed(),
                Expect(rejected=REJECTED, calls=3),
                lambda place: [{"service": "lambda", "resource": arn(place, first(place)), "nth": 1, "hold": True}],
                play,
            )
        ],
    )


def run_again() -> Fault:
    expect = Expect(rejected=REJECTED, calls=3)
    return Fault(
        "another-name",
        "orchestration",
        "The whole run again under another name",
        "The same results a second time, in a folder of their own; the first ones are as they were.",
        [Case(ALL, mixed(), expect, then=lambda place: under_another_name(place, expect))],
    )


def child_twice() -> Fault:
    """AWS runs Express children at least once."""
    return Fault(
        "child-twice",
        "orchestration",
        "Every child runs twice, as Express children may",
        "The second finds its own objects: the same bytes are the same result, and each batch counts once.",
        [
            Case(
                JOBS,
                mixed(),
                Expect(rejected=REJECTED, calls=6),
                lambda place: [child(place, twice=True)],
            )
        ],
    )


def child_lost(name: str, what: str, ends: str, **rule: object) -> Fault:
    """One of six children comes to nothing, in a job that tolerates it."""
    sent = Sent(good(RECORDS), options={"batch_size": BATCH, "max_concurrency": 1, "tolerate": 20})
    return Fault(
        name,
        "orchestration",
        what,
        f"Its two records have failed with `{ends}`, which the job tolerates; a retry runs them.",
        [
            Case(
                JOBS,
                sent,
                Expect(failed={ends: BATCH}, calls=RECORDS // BATCH - 1),
                lambda place: [child(place, nth=2, **rule)],
                then=lambda place: retried(place, again=BATCH),
            )
        ],
    )


def at_once(concurrency: int, batches: int, over: Sequence[Over]) -> Fault:
    """So many children at once: all of them are held at their first step until so many are there."""
    sent = Sent(good(batches), options={"batch_size": 1, "max_concurrency": concurrency})

    def play(place: Place) -> None:
        place.start()
        until(lambda: place.seen.matched[0], lambda held: held == concurrency)
        states = place.deployment.client("stepfunctions")
        run = states.list_map_runs(executionArn=place.execution_arn)["mapRuns"][0]["mapRunArn"]
        assert states.describe_map_run(mapRunArn=run)["executionCounts"]["running"] == concurrency
        place.seen.release()
        place.wait()

    return Fault(
        f"concurrency-{concurrency}",
        "orchestration",
        f"A job of {batches} batches at a concurrency of {concurrency}",
        f"{concurrency if concurrency > 1 else 'One'} at once and no more; every record comes out once.",
        [Case(over, sent, Expect(calls=batches), lambda place: [child(place, hold=True)], play)],
    )


FAULTS: tuple[Fault, ...] = (
    *stopped(),
    started_twice(),
    run_again(),
    child_twice(),
    child_lost("child-timed-out", "One of six children is over its five minutes", "States.Timeout", timeout=True),
    child_lost("child-failed", "One of six children fails by itself", "States.Runtime", error="States.Runtime"),
    at_once(1, 5, JOBS),
    at_once(10, 20, JOBS),
    at_once(500, 500, [Over.JOB_ML]),
)
