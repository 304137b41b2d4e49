"""The checker that runs after each row: nothing lost, nothing twice, and every count true."""

from __future__ import annotations

import functools
from collections import Counter

import numpy as np

from jobs.errors import JOB_FAILED, SUCCESS
from jobs.outcomes import outcomes
from lambda_src import contract, preprocess
from lambda_src.contract import Json
from model import inference
from tests.faults.fault import Expect, Over
from tests.faults.place import Place
from tests.synthesis import ROOT

LINE = {"id", "index", "record", "stage", "error", "cause", "attempts"}
"""The fields of a rejected record's line."""


def check(place: Place, expect: Expect) -> None:
    """Raises `AssertionError` where the run is not what the row states, or breaks the promise."""
    assert (place.status, place.error) == (expect.status, expect.error), place.cause
    assert expect.cause in place.cause
    versions = place.versions()
    assert {key: tags for key, tags in versions.items() if len(tags) > 1} == {}, "a key was written with other bytes"
    assert model_calls(place) <= expect.calls
    assert all(place.seen.fired), "a rule met no call: the row tests nothing"
    if not expect.begins:
        assert versions == {}
        return
    results, sent = place.results, place.sent.values
    assert not results.predictions.keys() & results.rejected.keys()
    for index, line in results.predictions.items():
        assert line["prediction"] == predicted(sent[index])
    for index, line in results.rejected.items():
        assert line.keys() == LINE
        assert line["record"] in (preprocess.speakable(shown(place, index)), None)
        assert expect.said.get(line["error"], "") in line["cause"]
        assert (line["stage"] == "predict") == (line["attempts"] > 0)
    if place.over.is_job:
        check_job(place, expect)
    elif expect.status == "SUCCEEDED":
        check_request(place, expect)


def check_request(place: Place, expect: Expect) -> None:
    """A request that succeeded: each record is predicted or rejected, and the output says so."""
    results = place.results
    assert Counter(line["error"] for line in results.rejected.values()) == expect.rejected
    assert results.predictions.keys() | results.rejected.keys() == set(range(len(place.sent.values)))
    if place.over is Over.REQUEST:
        assert place.output["predicted"] == len(results.predictions)
        assert place.output["rejected"] == list(results.rejected.values())
        assert (place.output["results"] is None) == (not results.predictions)


def check_job(place: Place, expect: Expect) -> None:
    """A job that began: its summary adds up, and says what lies in S3."""
    assert place.job is not None
    assert place.exit_status() == (SUCCESS if expect.status == "SUCCEEDED" else JOB_FAILED)
    results = place.results
    found = Counter(outcome.kind for outcome in outcomes(place.stack.s3, place.stack.bucket, place.name))
    told = place.job.summary
    if told is None:
        assert not expect.summary, "the job left no summary"
        return
    assert expect.summary
    counts = told["records"]
    assert counts["in"] == (len(place.sent.values) if expect.received is None else expect.received)
    assert counts["in"] == counts["predicted"] + counts["rejected"] + counts["failed"]
    assert told["status"] == expect.status
    assert told["error"] == expect.error
    assert told["rejected"] == expect.rejected
    assert told["failed"] == expect.failed
    assert counts["failed"] == sum(expect.failed.values())
    assert counts["predicted"] == len(results.predictions)
    assert counts["rejected"] == len(results.rejected)
    assert Counter(line["error"] for line in results.rejected.values()) == told["rejected"]
    assert (found["predicted"], found["rejected"]) == (counts["predicted"], counts["rejected"])
    # What no child began with has no outcome of its own.
    assert found["failed"] == counts["failed"] - told["failed"].get("NotStarted", 0)


def model_calls(place: Place) -> int:
    """The calls for predictions that were made, also those that failed."""
    if place.over in (Over.REQUEST, Over.JOB):
        if "EndpointName" not in place.deployment.outputs[place.over.stack]:
            return int(place.seen.calls("model"))  # of a transform job, which nobody asks by name
        return int(place.seen.calls("sagemaker-runtime", "InvokeEndpoint*"))
    return int(place.seen.calls("lambda", "Invoke", f"*{place.physical('PredictFunction')}"))


def shown(place: Place, index: int) -> Json:
    """The record as a rejected line carries it: of an object only its key."""
    if place.sent.objects is None:
        return place.sent.values[index]
    return {"object": place.source + sorted(place.sent.objects)[index]}


@functools.cache
def model() -> inference.Model:
    """The deployed model, in this process."""
    return inference.model_fn(str(ROOT / "model"))


def predicted(record: Json) -> Json:
    """What the model says of the record when nothing stands between."""
    instance = preprocess.instance_of(contract.without_mark(record))
    return inference.predict_fn(np.array([instance]), model())[0]
