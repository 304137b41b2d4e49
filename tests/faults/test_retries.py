"""Retries as they should be: counted and timed in runs, against the bounds that the templates state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from jobs.names import generated
from tests.e2e.client import Client
from tests.e2e.deployment import Deployment
from tests.faults import steps
from tests.faults.check import model_calls
from tests.faults.fault import Over, Sent
from tests.faults.given import good
from tests.faults.place import Place
from tests.injection import faults
from tests.retries import Bound, bound_for, bounds_of
from tests.synthesis import STACKS

STORM = 0.9
"""The share of the model's calls that fail: about every other record is out of tries."""

RECORDS = 25


def tasks(machine: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each task of a machine by its name, those within Maps too."""
    for name, state in machine["States"].items():
        if state["Type"] == "Task":
            yield name, state
        if state["Type"] == "Map":
            yield from tasks(state["ItemProcessor"])


def bounds(deployment: Deployment, stack: str) -> dict[str, list[Bound]]:
    """The bounds of each task of a stack's job."""
    return {name: bounds_of(task) for name, task in tasks(deployment.assembly.stacks[stack].job)}


@pytest.mark.parametrize("stack", STACKS)
def test_the_rows_count_on_what_the_templates_say(deployment: Deployment, stack: str) -> None:
    for name, found in bounds(deployment, stack).items():
        if name.endswith("MapRun"):  # calls of Step Functions' own API, with tries of their own
            continue
        asks_endpoint = name.endswith(("InferenceModel", "PredictPart")) and stack == "InferenceStack"
        error = "SageMakerRuntime.ThrottlingException" if asks_endpoint else "Lambda.TooManyRequestsException"
        assert bound_for(found, error).waits == tuple(steps.CAPS), name
        assert bound_for(found, error).tries == steps.TRIES, name


@pytest.mark.parametrize("over", [Over.JOB, Over.JOB_ML])
def test_no_record_takes_more_calls_or_waits_than_the_templates_allow(client: Client, over: Over) -> None:
    options = {"batch_size": 1, "max_concurrency": 10, "tolerate": 100}
    place = Place(client, over, generated("storm"), Sent(good(RECORDS), options=options))
    endpoint = over is Over.JOB
    rule = steps.asking(place, error="transient") if endpoint else steps.invoking(place, "Predict", error="transient")
    with faults(client.deployment.ready, {**rule, "share": STORM, "seed": 1}) as place.seen:
        place.start()
        place.wait()

    assert place.job is not None
    assert place.job.summary is not None
    counts = place.job.summary["records"]
    assert counts["in"] == RECORDS == counts["predicted"] + counts["failed"]
    assert counts["failed"] > 0, "the storm is too weak to use up anybody's tries"
    found = bounds(client.deployment, over.stack)
    model = "JsonLinesInferenceModel" if endpoint else "JsonLinesPredict"
    assert model_calls(place) <= RECORDS * (1 + sum(bound.tries - 1 for bound in found[model]))
    waited, drawn = Counter[int](), []
    for waits in place.seen.waits.values():
        of_model = [seconds for state, seconds in waits if state == model]
        assert sum(of_model) <= sum(bound.seconds for bound in found[model])
        waited[len(of_model)] += 1
        drawn += [seconds / cap for seconds, cap in zip(of_model, steps.CAPS, strict=False)]
    # Each retrier counts for itself: the same error at most so often, all of them no more than their sum.
    assert max(waited) <= sum(bound.tries - 1 for bound in found[model])
    assert max(waited) >= steps.TRIES - 1
    # Full jitter: drawn from nothing up to the cap. That a hundred draws all miss one half of it never happens.
    assert 0 <= min(drawn) < 0.5 < max(drawn) <= 1
    assert model_calls(place) == RECORDS + sum(count * times for count, times in waited.items())


@pytest.mark.parametrize(
    ("step", "action"),
    [
        ("JobCheckJob", "HeadObject"),
        ("StoreResults", "PutObject"),
        ("JobSummarize", "GetObject"),
        ("JobSummarize", "PutObject"),
    ],
)
def test_step_functions_alone_tries_s3_again(client: Client, step: str, action: str) -> None:
    place = Place(client, Over.JOB, generated("layers"), Sent(good(3)))
    with faults(client.deployment.ready, steps.storing(place, step, action, error="SlowDown")) as place.seen:
        place.start()
        place.wait()
    assert place.status == "FAILED"
    assert place.seen.matched == place.seen.fired == [steps.tried(place, step)] == [steps.TRIES]
