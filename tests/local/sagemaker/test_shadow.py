"""Shadow variants: a copy of a share of the requests, and nothing of it in the answers."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.local.sagemaker.around import Cloud, program, variant_of

# Answers with its name, and leaves a line for each request in the file that is named in it.
MODEL = program(
    "import os\n"
    "def model_fn(model_dir): pass\n"
    "def transform_fn(model, data, content_type, accept):\n"
    "    name = os.environ['NAME']\n"
    "    with open(data.decode(), 'a') as file: file.write(name + '\\n')\n"
    "    if name == 'failing': raise ValueError\n"
    "    return name, 'text/plain'\n"
)


@pytest.fixture
def ready(shared: Cloud) -> Cloud:
    known = {it["ModelName"] for it in shared.client("sagemaker").list_models()["Models"]}
    for name in {"live", "next", "failing"} - known:
        shared.put_model(name, MODEL, {"NAME": name})
    return shared


def endpoint(ready: Cloud, name: str, shadow: str, weight: float) -> None:
    ready.client("sagemaker").create_endpoint_config(
        EndpointConfigName=name,
        ProductionVariants=[variant_of(ModelName="live")],
        ShadowProductionVariants=[variant_of(VariantName="Shadow", ModelName=shadow, InitialVariantWeight=weight)],
    )
    described = ready.put_endpoint(name, name)
    assert described["EndpointStatus"] == "InService"
    assert described["ProductionVariants"][0]["VariantName"] == "AllTraffic"
    assert described["ShadowProductionVariants"][0]["VariantName"] == "Shadow"


def ask(ready: Cloud, name: str, file: Path) -> str:
    runtime = ready.client("sagemaker-runtime")
    answer = runtime.invoke_endpoint(EndpointName=name, Body=str(file).encode(), ContentType="text/x")
    assert answer["InvokedProductionVariant"] == "AllTraffic"
    return str(answer["Body"].read().decode())


def lines(file: Path, count: int) -> list[str]:
    """The file's lines, once there are so many."""
    deadline = time.monotonic() + 20
    while not file.exists() or len(file.read_text().splitlines()) < count:
        assert time.monotonic() < deadline
    return file.read_text().splitlines()


def test_a_share_of_the_requests_is_copied_and_every_answer_is_the_production_variants(
    ready: Cloud, tmp_path: Path
) -> None:
    endpoint(ready, "half", "next", 0.5)
    file = tmp_path / "served"
    assert {ask(ready, "half", file) for _ in range(8)} == {"live"}
    assert sorted(lines(file, 12)) == ["live"] * 8 + ["next"] * 4


def test_a_shadow_that_fails_is_counted_and_hurts_nobody(ready: Cloud, tmp_path: Path) -> None:
    endpoint(ready, "all", "failing", 1)
    file = tmp_path / "served"
    assert ask(ready, "all", file) == "live"
    assert sorted(lines(file, 2)) == ["failing", "live"]
    deadline = time.monotonic() + 20
    while not (found := errors(ready)):
        assert time.monotonic() < deadline
    assert found == [{"EndpointName": "all", "VariantName": "Shadow"}]


def errors(ready: Cloud) -> list[dict[str, str]]:
    """Of which variants CloudWatch was told that the model failed."""
    ready.sagemaker.metrics.flush()
    return [
        {it["Name"]: it["Value"] for it in datum["Dimensions"]}
        for datum in json.loads(json.dumps(ready.memory.metrics))
        if datum["MetricName"] == "Invocation5XXErrors" and datum["Counts"][0]
    ]
