"""The chains' splitting, run on the local engine: the synthesized states, the real functions, a model that refuses."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lambda_src import contract, predict, preprocess, storage, store_results
from local.clock import Clock
from local.states.machines import Engine
from tests.local.states.fake_aws import FakeAws, Json, Raised, run_async
from tests.synthesis import Stack

MARK = preprocess.FEATURES.index("mean area")
MOST_CALLS = 64
MODEL_FAILED = "ZeroDivisionError: the model cannot"


def record(number: int) -> dict[str, Json]:
    """A record whose number the model sees in its 'mean area'."""
    return {"id": f"r{number}", **dict.fromkeys(preprocess.FEATURES, 1.0), "mean area": float(number)}


@dataclass
class Model(FakeAws):
    """Answers each instance with its number; refuses any input with a poison one.

    It answers `NaN` to input with an `unspeakable` one, and one prediction too few to as many as `miscounts`.
    """

    poison: Collection[int] = ()
    miscounts: int = 0
    unspeakable: Collection[int] = ()
    sizes: list[int] = field(default_factory=list)
    stored: dict[str, bytes] = field(default_factory=dict)

    def answer(self, instances: list[list[float]]) -> list[Json]:
        self.sizes.append(len(instances))
        numbers = [int(instance[MARK]) for instance in instances]
        if set(numbers) & set(self.poison):
            raise ZeroDivisionError("the model cannot")
        if set(numbers) & set(self.unspeakable):
            return [math.nan] * len(numbers)
        return [{"number": number} for number in numbers][len(numbers) == self.miscounts :]

    async def send(self, request: Any) -> tuple[int, Mapping[str, str], bytes]:
        """The endpoint."""
        try:
            answer = self.answer(json.loads(request.body)["instances"])
        except ZeroDivisionError:
            body = {"Message": MODEL_FAILED, "OriginalStatusCode": 500, "OriginalMessage": MODEL_FAILED}
            return (
                424,
                {"x-amzn-errortype": "ModelError", "content-type": "application/json"},
                json.dumps(body).encode(),
            )
        return 200, {"content-type": "application/json"}, json.dumps({"predictions": answer}).encode()


@dataclass(frozen=True)
class Ended:
    """How a run ended: its output, and the rows it stored."""

    status: str
    error: str | None
    cause: str | None
    output: Json
    predictions: list[Json]
    rejected: list[Json]
    model: Model


Run = Callable[..., Ended]


def raising(handler: Callable[[Json, object], Json]) -> Callable[[Json], Json]:
    """The function as Lambda runs it: its exception is an error under the name of its class."""

    def call(event: Json) -> Json:
        try:
            return json.loads(json.dumps(handler(event, None)))
        except Exception as error:
            raise Raised(type(error).__name__, str(error)) from error

    return call


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a machine on an input, with functions as they are but for S3 and the model."""
    monkeypatch.setenv("DATA_BUCKET", "data")

    def go(machine: Mapping[str, Json], value: Json, model: Model) -> Ended:
        monkeypatch.setattr(storage, "put_once", lambda key, body: model.stored.update({key: body}))

        def load(_folder: object) -> Callable[[Json], Json]:
            def answer(instances: Json) -> Json:
                try:
                    return model.answer(instances)
                except ZeroDivisionError as error:
                    raise contract.ModelRefused(f"ZeroDivisionError: {error}") from error

            return answer

        monkeypatch.setattr(predict, "load", load)
        handlers = {"Preprocess": preprocess.handler, "Predict": predict.handler, "Store": store_results.handler}
        model.functions = {
            state["Arguments"]["FunctionName"]: raising(handler)
            for state in machine["States"].values()
            if "FunctionName" in state.get("Arguments", {})
            for name, handler in handlers.items()
            if state["Arguments"]["FunctionName"].startswith(f"<{name}")
        }
        engine = Engine(model, Clock(0))
        definition = {key: machine[key] for key in ("StartAt", "States")} | {"QueryLanguage": "JSONata"}
        execution = asyncio.run(run_async(engine, json.dumps(definition), value))
        rows: dict[str, list[Json]] = {"predictions": [], "rejected": []}
        for key, body in model.stored.items():
            rows[key.split("/")[-2]] += contract.read_json_lines(body)
        ending = (execution.status, execution.error, execution.cause, execution.output)
        return Ended(*ending, rows["predictions"], rows["rejected"], model)

    return go


def batch(count: int) -> Json:
    items = [{"index": 100 + number, "record": record(number)} for number in range(count)]
    return {"BatchInput": {"prefix": "jobs/tested"}, "Items": items}


def expected_calls(numbers: list[int], poison: Collection[int]) -> int:
    """How many calls a batch takes when each part that holds poison is halved."""
    if len(numbers) <= 1 or not set(numbers) & set(poison):
        return 1
    middle = len(numbers) // 2
    return 1 + expected_calls(numbers[:middle], poison) + expected_calls(numbers[middle:], poison)


FIXED = settings(
    deadline=None, max_examples=40, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
SPLIT = st.integers(1, 40).flatmap(lambda count: st.tuples(st.just(count), st.sets(st.integers(0, count - 1))))


def child(stack: Stack, name: str = "CsvRecords") -> dict[str, Json]:
    return dict(stack.job["States"][name]["ItemProcessor"])


@FIXED
@given(split=SPLIT)
@pytest.mark.parametrize("stack_name", ["inference", "ml_workflow"])
def test_every_good_record_is_predicted_once_in_order_and_every_poison_one_rejected(
    run: Run, request: pytest.FixtureRequest, stack_name: str, split: tuple[int, set[int]]
) -> None:
    count, poison = split
    ended = run(child(request.getfixturevalue(stack_name)), batch(count), Model(poison=poison))
    calls = expected_calls(list(range(count)), poison)
    assert len(ended.model.sizes) == min(calls, MOST_CALLS)
    if calls > MOST_CALLS:
        assert (ended.status, ended.error, ended.model.stored) == ("FAILED", "SplitLimitReached", {})
        return
    good = [number for number in range(count) if number not in poison]
    assert ended.status == "SUCCEEDED", ended.cause
    assert ended.predictions == [
        {"id": f"r{number}", "index": 100 + number, "prediction": {"number": number}} for number in good
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
    assert ended.output["predictions"] == [{"id": "r0", "index": 0, "prediction": {"number": 0}}]
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
