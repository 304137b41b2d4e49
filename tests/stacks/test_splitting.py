"""The chains' splitting, run on the local engine: the synthesized states, the real functions, a model that refuses."""

from __future__ import annotations

import json
from collections.abc import Collection

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lambda_src import storage
from tests.stacks.chains import MODEL_FAILED, Model, Run, batch, child, record
from tests.synthesis import Stack

MOST_CALLS = 64


def expected_calls(numbers: list[int], poison: Collection[int]) -> int:
    """How many calls a batch takes when each part that holds poison is halved."""
    if len(numbers) <= 1 or not set(numbers) & set(poison):
        return 1
    middle = len(numbers) // 2
    return 1 + expected_calls(numbers[:middle], poison) + expected_calls(numbers[middle:], poison)


FIXED = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
SPLIT = st.integers(1, 40).flatmap(lambda count: st.tuples(st.just(count), st.sets(st.integers(0, count - 1))))


@FIXED
@given(split=SPLIT)
@pytest.mark.parametrize("stack_name", ["inference", "ml_workflow"])
def test_every_good_record_is_predicted_once_in_order_and_every_poison_one_rejected(
    run: Run, request: pytest.FixtureRequest, stack_name: str, split: tuple[int, set[int]]
) -> None:
    count, poison = split
    model = Model(poison=poison, versions=("old", "new"))
    ended = run(child(request.getfixturevalue(stack_name)), batch(count), model)
    calls = expected_calls(list(range(count)), poison)
    assert len(ended.model.sizes) == min(calls, MOST_CALLS)
    if calls > MOST_CALLS:
        assert (ended.status, ended.error, ended.model.stored) == ("FAILED", "SplitLimitReached", {})
        return
    good = [number for number in range(count) if number not in poison]
    assert ended.status == "SUCCEEDED", ended.cause
    said = {"variant": "AllTraffic"} if stack_name == "inference" else {}
    assert ended.predictions == [
        {
            "id": f"r{number}",
            "index": 100 + number,
            "prediction": {"number": number},
            **said,
            "modelVersion": model.made[number],
        }
        for number in good
    ]
    assert [(line["index"], line["record"], line["error"]) for line in ended.rejected] == [
        (100 + number, record(number), "ModelRefused") for number in sorted(poison)
    ]
    assert ended.output == {
        "first": 100,
        "received": count,
        "predicted": len(good),
        "rejected": {"ModelRefused": len(poison)} if poison else {},
        "calls": calls,
        "retries": 0,
    }


@pytest.mark.parametrize("stack_name", ["inference", "ml_workflow"])
def test_a_rejected_line_says_what_the_model_said_and_how_many_calls_held_the_record(
    run: Run, request: pytest.FixtureRequest, stack_name: str
) -> None:
    (line,) = run(child(request.getfixturevalue(stack_name)), batch(8), Model(poison={5})).rejected
    assert {name: line[name] for name in ("id", "stage", "attempts")} == {"id": "r5", "stage": "predict", "attempts": 4}
    # With the request's id in it, the same batch would leave other bytes when it runs again.
    assert line["cause"] == MODEL_FAILED


def test_a_request_is_split_as_a_batch_is(run: Run, inference: Stack) -> None:
    ended = run(inference.definition, {"records": [record(0), {"id": "bad"}, record(2)]}, Model(poison={2}))
    assert [row["index"] for row in ended.predictions] == [0]
    assert [(line["index"], line["stage"], line["record"]) for line in ended.rejected] == [
        (1, "preprocess", {"id": "bad"}),
        (2, "predict", record(2)),
    ]
    assert (ended.output["predicted"], len(ended.output["rejected"])) == (1, 2)


def test_a_request_that_stores_nothing_answers_with_both(run: Run, ml_workflow: Stack) -> None:
    ended = run(ml_workflow.definition, {"records": [record(0), {"id": "bad"}, record(2)]}, Model(poison={2}))
    assert ended.output["predictions"] == [{"id": "r0", "index": 0, "prediction": {"number": 0}, "modelVersion": "v1"}]
    assert [(line["index"], line["stage"]) for line in ended.output["rejected"]] == [(1, "preprocess"), (2, "predict")]
    assert ended.model.stored == {}


@pytest.mark.parametrize("stack_name", ["inference", "ml_workflow"])
@pytest.mark.parametrize("miscounts", [8, 4, 2, 1])
def test_a_wrong_number_of_predictions_fails_the_batch_and_stores_nothing(
    run: Run, request: pytest.FixtureRequest, stack_name: str, miscounts: int
) -> None:
    poison = set() if miscounts == 8 else {7}
    ended = run(child(request.getfixturevalue(stack_name)), batch(8), Model(poison=poison, miscounts=miscounts))
    assert (ended.status, ended.error) == ("FAILED", "PredictionCountMismatch")
    assert ended.model.stored == {}
    assert len(ended.model.sizes) <= expected_calls(list(range(8)), poison)


def test_a_record_whose_answer_is_not_json_is_rejected_alone(run: Run, inference: Stack) -> None:
    ended = run(child(inference), batch(8), Model(unspeakable={5}))
    assert [row["id"] for row in ended.predictions] == [f"r{number}" for number in range(8) if number != 5]
    (line,) = ended.rejected
    assert (line["id"], line["error"]) == ("r5", "ModelRefused")
    assert line["cause"] == "the model answered something else than JSON with a list of predictions"


def test_a_record_in_an_object_is_rejected_by_its_key(
    run: Run, inference: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = {f"incoming/set/{number}.json": json.dumps(record(number)).encode() for number in range(3)}
    monkeypatch.setattr(storage, "read", lambda key, _range: contents[key])
    value = {
        "BatchInput": {"prefix": "jobs/tested"},
        "Items": [{"index": place, "object": key} for place, key in enumerate(contents)],
    }
    ended = run(child(inference, "ObjectRecords"), value, Model(poison={1}))
    assert [row["id"] for row in ended.predictions] == ["r0", "r2"]
    assert [(line["id"], line["record"]) for line in ended.rejected] == [("r1", {"object": "incoming/set/1.json"})]


def test_a_batch_of_rejected_records_passes_the_model_by(run: Run, inference: Stack) -> None:
    value = batch(0) | {"Items": [{"index": 5, "record": None}]}
    ended = run(child(inference), value, Model())
    assert (ended.model.sizes, ended.predictions) == ([], [])
    assert ended.output["rejected"] == {"NotAnObject": 1}
    assert ended.output["calls"] == 0


def test_a_failed_functions_cause_is_its_sentence_without_its_stack(run: Run, inference: Stack) -> None:
    ended = run(inference.definition, {"records": []}, Model())
    assert (ended.error, ended.cause) == (
        "InvalidRequest",
        "PreprocessData: expected at least one record in 'records', received an empty list",
    )
