"""The modes of the endpoint: the same records in, and the same results out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from model import examples, train
from tests.e2e.client import client_of
from tests.e2e.deployment import Deployment
from tests.faults.given import NO_JSON
from tests.synthesis import ROOT

STACK = "InferenceStack"
Json = Any


def answer(deployment: Deployment, records: list[Json]) -> tuple[list[Json], list[Json]]:
    """What a request stores, and what it rejects."""
    output = deployment.execute(STACK, {"records": records}).output
    return [json.loads(line) for line in deployment.stored(output["results"]).splitlines()], output["rejected"]


def test_a_request_leaves_the_same_results(deployment: Deployment, other: Deployment) -> None:
    bad: list[Json] = [{"id": "no-features"}, "no record"]
    records = [*examples.request(train.load()), *bad]
    assert answer(other, records) == answer(deployment, records)


def test_a_record_that_the_model_refuses_is_rejected_alone(deployment: Deployment, other: Deployment) -> None:
    good = examples.request(train.load())[:3]
    poison = {**good[0], **NO_JSON, "id": "poison"}
    predictions, rejected = answer(other, [*good, poison])
    assert [line["id"] for line in predictions] == [record["id"] for record in good]
    (line,) = rejected
    assert (line["id"], line["error"], line["stage"]) == ("poison", "ModelRefused", "predict")
    assert predictions == answer(deployment, [*good, poison])[0]


def test_a_job_leaves_the_same_results(
    deployment: Deployment, other: Deployment, tmp_path_factory: pytest.TempPathFactory
) -> None:
    found = []
    for it in (deployment, other):
        with client_of(it, tmp_path_factory.mktemp("jobs")) as client:
            ran = client.run("submit", ROOT / "examples" / "records.csv", "--wait", "--json")
            assert ran.status == 0, ran.err
            job = ran.document["job"]
            # As numbers: the text of a whole one depends on who parsed it, a state or a function (1 and 1.0).
            found.append((ran.document["summary"]["records"], client.results(job)))
    for ours, theirs in zip(*found, strict=True):
        assert ours == theirs
    assert found[0][0]["predicted"] == 569
