"""Rows: what only a transform job can suffer, from its start to the object of each answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from tests.e2e.deployment import until
from tests.faults.fault import ENDPOINT, Case, Expect, Fault, Over, Rule, Sent, once
from tests.faults.given import good
from tests.faults.model import RECORDS, at
from tests.faults.place import Place
from tests.faults.steps import TOLERANCE, failing, one_batch, running

SENT = one_batch(RECORDS)
NOT_STORED = "NotStarted"
"""What a job counts records as that it never came to store."""

ALONE = 1 + RECORDS
"""Calls of the model where a batch has no answer: for all of it, then for each record."""


def starting(place: Place, **rule: Any) -> Rule:
    """A rule for the calls that start a transform job."""
    return {"service": "sagemaker", "action": "CreateTransformJob", **rule}


def model(place: Place, **rule: Any) -> Rule:
    """A rule for what the model's container is asked in a transform job."""
    return {"service": "model", "resource": "*:transform-job/*", **rule}


def answers(place: Place, **rule: Any) -> Rule:
    """A rule for the calls by which SageMaker stores an answer."""
    return {"service": "s3", "action": "PutObject", "resource": "*/out/*", **rule}


def row(
    name: str,
    what: str,
    happens: str,
    rules: Callable[[Place], Sequence[Rule]] = lambda _place: (),
    expect: Expect | None = None,
    sent: Sent = SENT,
    over: Sequence[Over] = (Over.JOB,),
) -> Fault:
    """A request or a job that succeeds all the same."""
    return Fault(name, "transform", what, happens, [Case(over, sent, expect or Expect(calls=2), rules)])


def fails(
    name: str,
    what: str,
    ends: str,
    rules: Callable[[Place], Sequence[Rule]],
    calls: int = 0,
    play: Callable[[Place], None] = once,
    error: str = "",
    counted: str = "",
) -> Fault:
    """A request fails, and in a job every record has failed; the job's own error, and what it counts, may be others."""
    failed = Expect("FAILED", error or ends, failed={counted or ends: RECORDS}, calls=calls)
    return Fault(
        name,
        "transform",
        what,
        failing(ends),
        [
            Case([Over.REQUEST], SENT, Expect("FAILED", ends, calls=calls), rules, play),
            Case([Over.JOB], SENT, failed, rules, play),
        ],
    )


def stopped_meanwhile(place: Place) -> None:
    """Somebody stops the transform job while it works."""

    def names() -> list[str]:
        history = place.stack.states.get_execution_history(executionArn=place.execution_arn)["events"]
        scheduled = [it["taskScheduledEventDetails"] for it in history if "taskScheduledEventDetails" in it]
        return [
            json.loads(it["parameters"])["TransformJobName"] for it in scheduled if it["resourceType"] == "sagemaker"
        ]

    place.start()
    until(lambda: place.seen.matched[0], bool)
    (name,) = until(names, bool)
    place.deployment.client("sagemaker").stop_transform_job(TransformJobName=name)
    place.wait()


LARGE = {**good(1)[0], "id": "large", "notes": "x" * 2**20}

FAULTS: tuple[Fault, ...] = (
    row(
        "transform-throttled",
        "The start of a transform job is throttled, five times",
        "Tried again, and predicted.",
        at(5, starting, error="ThrottlingException", status=400),
        over=[Over.REQUEST],
    ),
    fails(
        "transform-never-starts",
        "There are no instances for a transform job, each time",
        "SageMaker.ResourceLimitExceededException",
        at(None, starting, error="ResourceLimitExceeded"),
        counted=NOT_STORED,
    ),
    row(
        "transform-start-unheard",
        "A transform job starts, and the answer that says so is lost",
        "Another one is started under another name; both write the same.",
        at(1, starting, lost="cut"),
        Expect(calls=3),
        over=[Over.REQUEST],
    ),
    fails(
        "transform-stopped",
        "Somebody stops the transform job",
        "States.TaskFailed",
        at(None, model, hold=True),
        calls=1,
        counted=NOT_STORED,
        play=stopped_meanwhile,
    ),
    row(
        "object-asked-again",
        "The model's own error for the object of a batch, HTTP 500, once",
        "SageMaker itself asks again, once; predicted.",
        at(1, model, status=500, answer="out of luck"),
        over=[Over.REQUEST],
    ),
    row(
        "object-refused",
        "The model's own error for the object of a batch, HTTP 400",
        "Its records go to the model one by one in a second transform job, and are predicted.",
        at(1, model, status=400, answer="out of luck"),
        Expect(calls=ALONE),
    ),
    row(
        "object-answered-with-nan",
        "An answer with `NaN`, once",
        "As if it had been refused.",
        at(1, model, answer='{"predictions": [NaN, 1, 2, 3]}'),
        Expect(calls=ALONE + 1),  # and one that shows that the second job ran
        over=[Over.REQUEST],
    ),
    row(
        "one-record-refused-alone",
        "The model's own error for the object of a batch, and for one record of it alone",
        "That record is rejected as `ModelRefused`, and the others are predicted.",
        at(2, model, status=400, answer="out of luck"),
        Expect(rejected={"ModelRefused": 1}, calls=ALONE),
        over=ENDPOINT,
    ),
    fails(
        "everything-refused",
        "The model's own error for each object",
        "TransformFailed",
        at(None, model, status=400, answer="out of luck"),
        calls=ALONE,
        error=TOLERANCE,
    ),
    row(
        "prepare-killed",
        "The function before the transform job is killed, once",
        "It does its work again, and writes the same in the same place.",
        at(1, lambda place, **rule: running(place, "PreprocessData", **rule), kill=True),
        over=[Over.REQUEST],
    ),
    row(
        "store-killed",
        "The function after the transform job is killed, once",
        "It does its work again: what it stored lies there already, byte for byte.",
        at(1, lambda place, **rule: running(place, "StoreResults", **rule), kill=True),
    ),
    row(
        "record-of-a-megabyte",
        "A record of 1 MiB in an object of its own",
        "Predicted: only names travel in states. In the other modes it is rejected, naming this one.",
        sent=Sent(
            [good(1)[0], LARGE],
            objects={"a.json": json.dumps(good(1)[0]).encode(), "b.json": json.dumps(LARGE).encode()},
        ),
    ),
)
