"""Rows: what an asynchronous endpoint alone can suffer, between its queue, its objects and its notifications."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from lambda_src.contract import ASYNC_OUTPUTS, ASYNC_TOKENS
from tests.e2e.deployment import until
from tests.faults.fault import ENDPOINT, Case, Expect, Fault, Over, Rule, Sent
from tests.faults.given import good
from tests.faults.model import RECORDS, at, container
from tests.faults.place import Place
from tests.faults.steps import TOLERANCE, TRIES, failing, one_batch, running
from tests.injection import faults

SENT = one_batch(RECORDS)


def submitting(place: Place, **rule: Any) -> Rule:
    """A rule for the calls that hand a batch in."""
    return {"service": "sagemaker-runtime", "action": "InvokeEndpointAsync", **rule}


def notifying(place: Place, **rule: Any) -> Rule:
    """A rule for the calls by which SageMaker tells of an answer."""
    return {"service": "sns", "action": "Publish", "caller": f"*/{place.physical('ModelRole')}/*", **rule}


def writing(place: Place, **rule: Any) -> Rule:
    """A rule for the calls by which SageMaker stores an answer."""
    return {"service": "s3", "action": "PutObject", "resource": f"*/{ASYNC_OUTPUTS}*", **rule}


def row(
    name: str,
    what: str,
    happens: str,
    rules: Callable[[Place], Sequence[Rule]] = lambda _place: (),
    calls: int = 1,
    then: Callable[[Place], None] = lambda _place: None,
) -> Fault:
    """Every record is predicted all the same."""
    return Fault(name, "async", what, happens, [Case(ENDPOINT, SENT, Expect(calls=calls), rules, then=then)])


def fails(
    name: str,
    what: str,
    ends: str,
    rules: Callable[[Place], Sequence[Rule]],
    calls: int = 1,
    said: str = "",
) -> Fault:
    """The batch fails."""
    return Fault(
        name,
        "async",
        what,
        failing(ends),
        [
            Case([Over.REQUEST], SENT, Expect("FAILED", ends, said, calls=calls), rules),
            Case([Over.JOB], SENT, Expect("FAILED", TOLERANCE, failed={ends: RECORDS}, calls=calls), rules),
        ],
    )


def unheard(place: Place) -> Sequence[Rule]:
    """What keeps two answers from the tasks that wait for them. In AWS, Lambda calls a function that failed again."""
    failed = running(place, "AsyncModelResumeInference", error="TaskUnreachable", at_most=1)
    return [notifying(place, cut=True, at_most=1), failed]


def heard_twice(place: Place) -> None:
    """Each notification comes once more, when the run is over: nothing is told to anybody, and nothing changes."""
    versions = place.versions()
    topic = place.physical("ModelAnswered")
    bucket, s3 = place.stack.bucket, place.stack.s3
    keys = [it["Key"] for it in s3.list_objects_v2(Bucket=bucket, Prefix=ASYNC_TOKENS)["Contents"]]
    identity = keys[-1].removeprefix(ASYNC_TOKENS).removesuffix(".json")
    answers = [it["Key"] for it in s3.list_objects_v2(Bucket=bucket, Prefix=ASYNC_OUTPUTS)["Contents"]]
    message = {
        "invocationStatus": "Completed",
        "inferenceId": identity,
        "responseParameters": {"outputLocation": f"s3://{bucket}/{answers[-1]}"},
    }
    with faults(place.deployment.ready) as seen:
        place.deployment.client("sns").publish(TopicArn=topic, Message=json.dumps(message))
        until(lambda: seen.calls("stepfunctions", "SendTaskSuccess"), lambda calls: calls == 1)
    assert place.versions() == versions


FAULTS: tuple[Fault, ...] = (
    row(
        "async-throttled",
        "The endpoint's queue is throttled, five times",
        "Handed in again each time; predicted at the sixth.",
        at(5, submitting, error="ThrottlingException"),
        calls=6,
    ),
    fails(
        "async-down-for-ever",
        "The endpoint takes no request, HTTP 503 each time",
        "EndpointUnavailable",
        at(None, submitting, error="ServiceUnavailable"),
        calls=TRIES,
    ),
    Fault(
        "notification-lost",
        "async",
        "The notification of one answer gets lost, and the function that hears of another one fails and is not called "
        "again",
        "When the time of a batch is over it is handed in again, under another token, and predicted.",
        [Case([Over.JOB], Sent(good(RECORDS), options={"batch_size": RECORDS // 2}), Expect(calls=4), unheard)],
    ),
    row(
        "notification-twice",
        "The notification of an answer comes twice",
        "The second finds nobody that waits, and changes nothing.",
        then=heard_twice,
    ),
    fails(
        "answer-not-stored",
        "SageMaker cannot store the model's answer",
        "InferenceFailed",
        at(None, writing, error="AccessDenied"),
    ),
    fails(
        "async-answer-too-large",
        "An answer over 256 KiB",
        "InferenceFailed",
        at(None, container, answer_bytes=300_000),
        said="expected an answer of at most",
    ),
    row(
        "submit-killed",
        "The function that hands a batch in is killed, once",
        "It does its work again, under another token.",
        at(1, lambda place, **rule: running(place, "AsyncModelSubmitInference", **rule), kill=True),
        calls=2,
    ),
)
