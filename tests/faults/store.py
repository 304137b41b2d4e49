"""Rows: S3 that is slow, broken, forgetful, closed, or holds something else already."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from lambda_src.contract import part_key
from tests.faults.fault import JOBS, Case, Expect, Fault, Over, Rule, Sent
from tests.faults.given import changed, good
from tests.faults.place import Place
from tests.faults.steps import TOLERANCE, TRIES, check_waits, failing, mixed, one_batch, storing, tried

STORED = (Over.REQUEST, *JOBS)
"""The runs that store their results; the other workflow gives them as its output."""

REJECTED = {"NotANumber": 1}
GOES_ON = "StoreResults is tried again, and every object is there once, with the same bytes."
WRITERS = {Over.REQUEST: ("StoreResults",)}
"""The steps that write; in a job the summary's too."""


def writers(place: Place) -> Sequence[str]:
    return WRITERS.get(place.over, ("StoreResults", "JobSummarize"))


def write_fails(name: str, what: str, times: int, happens: str = GOES_ON, **rule: Any) -> Fault:
    """So many writes of each step that writes fail; then all is well."""

    def rules(place: Place) -> Sequence[Rule]:
        return [storing(place, step, "PutObject", at_most=times, **rule) for step in writers(place)]

    def then(place: Place) -> None:
        assert place.seen.fired == [times] * len(writers(place))
        check_waits(place)

    expect = Expect(rejected=REJECTED, calls=3)
    return Fault(name, "store", what, happens, [Case(STORED, mixed(), expect, rules, then=then)])


def write_never(name: str, what: str, ends: str, tries: int, cause: str = "", **rule: Any) -> Fault:
    """Every write of predictions fails."""

    def rules(place: Place) -> Sequence[Rule]:
        return [storing(place, "StoreResults", "PutObject", **rule)]

    def then(place: Place) -> None:
        assert tried(place, "StoreResults") == tries
        check_waits(place, tries - 1)

    sent = one_batch()
    calls = {1: "One try", TRIES: "Seven tries"}[tries]
    return Fault(
        name,
        "store",
        what,
        f"{calls}. {failing(ends)}",
        [
            Case([Over.REQUEST], sent, Expect("FAILED", ends, cause), rules, then=then),
            Case(JOBS, sent, Expect("FAILED", TOLERANCE, failed={ends: 4}), rules, then=then),
        ],
    )


def occupied() -> Fault:
    """Where the predictions belong lies something else."""

    def play(place: Place) -> None:
        key = part_key(place.prefix, "predictions", 0)
        place.stack.s3.put_object(Bucket=place.stack.bucket, Key=key, Body=b"\n")
        place.start()
        place.wait()

    def then(place: Place) -> None:
        assert tried(place, "StoreResults") == 1
        assert place.seen.waits == {}

    sent, ends = one_batch(), "ResultConflict"
    return Fault(
        "other-content",
        "store",
        "An object with other content lies where the predictions belong",
        f"It stays as it is. One try. {failing(ends)}",
        [
            Case([Over.REQUEST], sent, Expect("FAILED", ends, "found other bytes"), play=play, then=then),
            Case(JOBS, sent, Expect("FAILED", TOLERANCE, failed={ends: 4}), play=play, then=then),
        ],
    )


def rejected_unwritten() -> Fault:
    """The predictions are written, the rejected records cannot be."""

    def rules(place: Place) -> Sequence[Rule]:
        return [storing(place, "StoreResults", "PutObject", resource="*/rejected/*", error="InternalError")]

    sent = Sent([*good(4), changed(mean_area="vast")], options={"batch_size": 5})
    return Fault(
        "rejected-records-not-written",
        "store",
        "The predictions can be written, the rejected records cannot, each time",
        "The batch fails after seven tries. What was predicted counts as predicted, the rejected record as failed: "
        "the summary says what lies in S3, and a retry runs that record alone.",
        [
            Case([Over.REQUEST], sent, Expect("FAILED", "S3Unavailable"), rules),
            Case(JOBS, sent, Expect("FAILED", TOLERANCE, failed={"S3Unavailable": 1}), rules),
        ],
    )


def reads(name: str, what: str, happens: str, sent: Sent, times: int, **rule: Any) -> Fault:
    """So many reads of each step that reads fail; then all is well."""
    from_s3 = {"JobCheckJob": ("HeadObject", "GetObject"), "JobSummarize": ("GetObject",)}

    def rules(place: Place) -> Sequence[Rule]:
        return [
            storing(place, step, action, at_most=times, **rule)
            for step, actions in from_s3.items()
            for action in actions
        ]

    return Fault(name, "store", what, happens, [Case(JOBS, sent, Expect(rejected=REJECTED, calls=3), rules)])


def objects_slow() -> Fault:
    """Records that lie in objects of their own, and S3 is slow to give them."""
    bodies = {f"{number}.json": json.dumps(record).encode() for number, record in enumerate(good(4))}

    def rules(place: Place) -> Sequence[Rule]:
        step = "PreprocessData" if place.over is Over.JOB else "Preprocess"
        return [storing(place, step, "GetObject", at_most=5, error="SlowDown")]

    return Fault(
        "object-reads-slowed",
        "store",
        "S3 asks Preprocess to slow down, five times, while it reads one object a record",
        "The batch is tried again until all can be read: no record is rejected for it.",
        [Case(JOBS, Sent(good(4), objects=bodies), Expect(), rules)],
    )


def unsummarized() -> Fault:
    """The summary cannot be written."""

    def rules(place: Place) -> Sequence[Rule]:
        return [storing(place, "JobSummarize", "PutObject", error="SlowDown")]

    def then(place: Place) -> None:
        assert len(place.results.predictions) == 4
        assert tried(place, "JobSummarize") == TRIES

    return Fault(
        "summary-not-written",
        "store",
        "The summary cannot be written, each time",
        "The job fails with `S3Unavailable` after seven tries. The results lie in S3: a retry finds nothing to run.",
        [Case(JOBS, one_batch(), Expect("FAILED", "S3Unavailable", "Summarize", summary=False), rules, then=then)],
    )


def engine(name: str, what: str, resource: str, action: str, times: int) -> Fault:
    """Step Functions' own reading of the data set, or writing of result files, meets an error that passes."""

    def rules(place: Place) -> Sequence[Rule]:
        role = f"*:assumed-role/{place.over.stack}-JobWorkflowStateMachineRole*"
        rule = {"service": "s3", "action": action, "resource": resource, "caller": role}
        return [{**rule, "at_most": times, "error": "SlowDown"}]

    happens = "Step Functions tries again by itself."
    return Fault(name, "store", what, happens, [Case([Over.JOB], mixed(), Expect(rejected=REJECTED, calls=3), rules)])


FAULTS: tuple[Fault, ...] = (
    write_fails("slow-down", "S3 asks to slow down, five times", 5, error="SlowDown"),
    write_fails("s3-500", "S3 answers 500, five times", 5, error="InternalError"),
    write_fails("s3-connection-cut", "The connection to S3 is cut before anything is written, once", 1, cut=True),
    write_fails(
        "write-answer-lost",
        "The object is written, and the answer is lost, once",
        1,
        "StoreResults is tried again, and finds its own object: the same bytes are the same result.",
        lost="cut",
    ),
    write_fails(
        "write-answered-500",
        "The object is written, and the answer is 500, once",
        1,
        "StoreResults is tried again, and finds its own object: the same bytes are the same result.",
        lost="error",
    ),
    write_fails(
        "writers-collide", "Another write to the same key is under way, once", 1, error="ConditionalRequestConflict"
    ),
    write_never(
        "slow-down-for-ever", "S3 asks to slow down, each time", "S3Unavailable", TRIES, "SlowDown", error="SlowDown"
    ),
    write_never(
        "s3-500-for-ever", "S3 answers 500, each time", "S3Unavailable", TRIES, "InternalError", error="InternalError"
    ),
    write_never("write-denied", "StoreResults may not write", "AccessDenied", 1, "PutObject", error="AccessDenied"),
    occupied(),
    rejected_unwritten(),
    reads(
        "reads-slowed",
        "S3 asks CheckJob and Summarize to slow down, twice for each kind of read",
        "The step is tried again.",
        mixed(),
        2,
        error="SlowDown",
    ),
    objects_slow(),
    unsummarized(),
    engine(
        "item-reader-slowed", "S3 asks the Map to slow down while it reads the data set, twice", "*", "GetObject", 2
    ),
    engine(
        "result-writer-slowed", "S3 asks the Map to slow down while it writes its files, twice", "*", "PutObject", 2
    ),
)
