"""The chains of states run on the local engine: as synthesized, with the real functions, S3 in memory, any model."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from lambda_src import contract, predict, preprocess, storage, store_results
from local.clock import Clock
from local.states.machines import Engine
from tests.local.states.fake_aws import FakeAws, Json, Raised, run_async
from tests.synthesis import Stack

MARK = preprocess.FEATURES.index("mean area")
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
    versions: Sequence[str] = ("v1",)
    """What it calls itself, one call after another: an update shifts the traffic between two."""
    sizes: list[int] = field(default_factory=list)
    made: dict[int, str] = field(default_factory=dict)
    """The version that predicted each number."""
    stored: dict[str, bytes] = field(default_factory=dict)

    def answer(self, instances: list[list[float]]) -> dict[str, Json]:
        version = self.versions[len(self.sizes) % len(self.versions)]
        self.sizes.append(len(instances))
        numbers = [int(instance[MARK]) for instance in instances]
        if set(numbers) & set(self.poison):
            raise ZeroDivisionError("the model cannot")
        if set(numbers) & set(self.unspeakable):
            return {"predictions": [math.nan] * len(numbers)}
        self.made |= dict.fromkeys(numbers, version)
        predictions = [{"number": number} for number in numbers][len(numbers) == self.miscounts :]
        return {"predictions": predictions, "version": version}

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
        headers = {"content-type": "application/json", "x-amzn-invoked-production-variant": "AllTraffic"}
        return 200, headers, json.dumps(answer).encode()


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


def runner(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a machine on an input, with functions as they are but for S3 and the model."""
    monkeypatch.setenv("DATA_BUCKET", "data")

    def go(machine: Mapping[str, Json], value: Json, model: Model) -> Ended:
        monkeypatch.setattr(storage, "put_once", lambda key, body: model.stored.update({key: body}))

        def load(_folder: object) -> Callable[[Json], dict[str, Json]]:
            def answer(instances: Json) -> dict[str, Json]:
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


def child(stack: Stack, name: str = "CsvRecords") -> dict[str, Json]:
    return dict(stack.job["States"][name]["ItemProcessor"])
