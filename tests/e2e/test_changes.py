"""A model that is changed while requests come: compared, shadowed, promoted by a canary, and taken back by an alarm.

In this order: each test goes on from what the one before it left.
"""

from __future__ import annotations

import functools
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import app
from lambda_src.contract import CAPTURE, CHALLENGER, PRODUCTION
from model import examples, train
from stacks.constructs.model.model_build import archive_at, unpacked_model
from stacks.constructs.model.versions import model_version
from stacks.settings import LOCAL, Settings
from tests.e2e.deployment import Deployment, Execution, deployed, until
from tests.e2e.updates import Moving
from tests.synthesis import ROOT, Assembly

STACK = "InferenceStack"
RECORDS = examples.request(train.load())
FAILING = "\n\ndef predict_fn(instances, model):\n    raise ArithmeticError('the model is broken')\n"

Line = dict[str, Any]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The sample model with this behind its code: another version of it."""

    @functools.cache
    def made(code: str) -> Path:
        folder = tmp_path_factory.mktemp("model") / "archive"
        shutil.copytree(unpacked_model(), folder)
        with (folder / "code" / "inference.py").open("a") as program:
            program.write(code)
        return folder

    return made


@pytest.fixture(scope="module")
def new(archive: Callable[[str], Path]) -> Path:
    return archive("\n# The same, by another name.\n")


@pytest.fixture(scope="module")
def changing(archive: Callable[[str], Path], new: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moving]:
    """An embedded AWS whose endpoint has a challenger for half of the traffic, and captures all of it."""
    watched = replace(LOCAL, model_instances=2, observability=True, alarm_model_errors=1, capture_percentage=100)
    # A millisecond for each second: an hour's look at the canary is time enough for an alarm to ring.
    guarded = replace(watched, deployment="canary", deployment_wait=3_600, deployment_bake=0, rollback=True)
    shadowed = replace(watched, challenger=str(new), challenger_percentage=100, challenger_shadow=True)
    settings = {
        "shadowed": shadowed,
        "promoted": replace(guarded, model_archive=str(new)),
        "failing": replace(guarded, model_archive=str(archive(FAILING))),
    }
    given = {"model_instances": "2", "observability": "true", "alarm_model_errors": "1", "capture_percentage": "100"}
    compared = {"challenger": str(new), "challenger_percentage": "50"}
    with deployed(tmp_path_factory.mktemp("changing"), stage="local", **given, **compared) as found:
        yield Moving(found, lambda name: synthesis(settings[name], tmp_path_factory.mktemp(name)))


def synthesis(settings: Settings, folder: Path) -> Assembly:
    app.build(json.loads((ROOT / "cdk.json").read_text())["context"], outdir=str(folder), settings=settings).synth()
    return Assembly(folder)


def lines(deployment: Deployment, execution: Execution) -> list[Line]:
    """What a request that succeeded has stored: each of its records is predicted or rejected."""
    output = execution.output
    assert output["predicted"] + len(output["rejected"]) == len(RECORDS)
    if output["results"] is None:
        return []
    return [json.loads(line) for line in deployment.stored(output["results"]).splitlines()]


def ask(deployment: Deployment, times: int) -> list[Line]:
    """The predictions of requests, one after the other."""
    asked = (deployment.execute(STACK, {"records": RECORDS}) for _ in range(times))
    return [line for execution in asked for line in lines(deployment, execution)]


@contextmanager
def asking(deployment: Deployment) -> Iterator[list[Execution]]:
    """Requests all the while, one after the other, and what became of them."""
    found: list[Execution] = []
    stop = threading.Event()

    def run() -> None:
        while not stop.is_set():
            found.append(deployment.execute(STACK, {"records": RECORDS}))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield found
    finally:
        stop.set()
        thread.join()


def makers(found: list[Line]) -> set[tuple[str, str]]:
    return {(line["variant"], line["modelVersion"]) for line in found}


def version(archive: Path) -> str:
    return archive_at(str(archive), scripted=True).version


def captured(deployment: Deployment, variant: str) -> list[Line]:
    """What has been captured of a variant."""
    bucket = deployment.outputs[STACK]["ResultsBucketUri"].removeprefix("s3://")
    prefix = f"{CAPTURE}{deployment.outputs[STACK]['EndpointName']}/{variant}/"
    found = deployment.client("s3").list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
    bodies = [deployment.stored(f"s3://{bucket}/{it['Key']}") for it in found]
    return [json.loads(line) for body in bodies for line in body.splitlines()]


def answers(line: Line) -> Any:
    """The model's answer in a captured line."""
    return json.loads(line["captureData"]["endpointOutput"]["data"])


def test_two_models_share_the_requests_and_each_prediction_says_whose_it_is(changing: Moving, new: Path) -> None:
    found = ask(changing.now, 4)
    assert len(found) == 4 * len(RECORDS)
    assert makers(found) == {(PRODUCTION, model_version()), (CHALLENGER, version(new))}
    for variant, said in ((PRODUCTION, model_version()), (CHALLENGER, version(new))):
        lines_of = until(functools.partial(captured, changing.now, variant), bool)
        assert {answers(line)["version"] for line in lines_of} == {said}


def test_a_shadow_gets_a_copy_and_nobody_its_answers(changing: Moving, new: Path) -> None:
    before = len(captured(changing.now, CHALLENGER))
    now = changing.to("shadowed")
    assert makers(ask(now, 4)) == {(PRODUCTION, model_version())}
    until(lambda: len(captured(now, CHALLENGER)), lambda count: count == before + 4)
    assert {answers(line)["version"] for line in captured(now, CHALLENGER)} == {version(new)}


def test_a_changed_model_takes_over_by_a_canary_while_every_request_is_answered(changing: Moving, new: Path) -> None:
    with asking(changing.now) as executions:
        now = changing.to("promoted")
    found = [lines(now, it) for it in executions]
    assert all(len(it) == len(RECORDS) for it in found)
    by_request = [makers(it) for it in found]
    old, promoted = (PRODUCTION, model_version()), (PRODUCTION, version(new))
    assert all(len(it) == 1 for it in by_request)
    # The canary: the new model answers some, and the old one still others after them.
    last_of_old = max(number for number, it in enumerate(by_request) if it == {old})
    assert {promoted} in by_request[:last_of_old]
    assert makers(ask(now, 4)) == {promoted}
    assert names(now) == (1, 1)


def test_a_model_that_starts_failing_is_taken_back_by_its_alarm_and_so_is_the_stack(
    changing: Moving, new: Path
) -> None:
    now = changing.now
    before = endpoint(now)["EndpointConfigName"]
    with asking(now) as executions, pytest.raises(AssertionError) as failed:
        changing.to("failing")
    assert "Rolled back: these alarms are in the ALARM state: InferenceStack-ModelErrors" in str(failed.value)
    (stack,) = now.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
    assert stack["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    # Each request under way was answered: what the new model refused was split, and went to the old one or back.
    assert {it.status for it in executions} == {"SUCCEEDED"}
    rejected = [line for it in executions for line in it.output["rejected"]]
    assert {line["error"] for line in rejected} <= {"ModelRefused"}
    found = [line for it in executions for line in lines(now, it)]
    assert makers(found) == {(PRODUCTION, version(new))}
    assert len(found) + len(rejected) == len(executions) * len(RECORDS)

    described = endpoint(now)
    assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("InService", before)
    assert names(now) == (1, 1)
    after = ask(now, 4)
    assert len(after) == 4 * len(RECORDS)
    assert makers(after) == {(PRODUCTION, version(new))}


def endpoint(deployment: Deployment) -> dict[str, Any]:
    """The endpoint as SageMaker describes it."""
    name = deployment.outputs[STACK]["EndpointName"]
    return dict(deployment.client("sagemaker").describe_endpoint(EndpointName=name))


def names(deployment: Deployment) -> tuple[int, int]:
    """How many models and configurations there are."""
    sagemaker = deployment.client("sagemaker")
    return len(sagemaker.list_models()["Models"]), len(sagemaker.list_endpoint_configs()["EndpointConfigs"])
