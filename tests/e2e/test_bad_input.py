"""What both workflows do with input they cannot use."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from model import examples, train
from tests.e2e.deployment import Deployment
from tests.synthesis import STACKS

FIRST_STEP = {"MlWorkflowStack": "Preprocess", "InferenceStack": "PreprocessData"}


@pytest.fixture(scope="module")
def good() -> list[dict[str, Any]]:
    """Six good records."""
    return examples.request(train.load())


@pytest.fixture(params=STACKS)
def stack(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_bad_records_are_listed_with_the_reason_and_the_good_ones_are_predicted(
    deployment: Deployment, stack: str, good: list[dict[str, Any]]
) -> None:
    first, record, last = good[0], good[1], good[2]
    anonymous = {name: value for name, value in record.items() if name != "id"}
    bad: list[tuple[Any, str, str]] = [
        (17.99, "NotAnObject", "expected a JSON object, received a number 17.99"),
        (None, "NotAnObject", "expected a JSON object, received null"),
        ([record], "NotAnObject", "expected a JSON object, received a list [{"),
        (
            {name: value for name, value in anonymous.items() if name != "worst area"},
            "MissingFeature",
            "expected a number in 'worst area', received nothing",
        ),
        (anonymous | {"mean area": "vast"}, "NotANumber", "expected a number in 'mean area', received text \"vast\""),
        (
            anonymous | {"mean area": True},
            "NotANumber",
            "expected a number in 'mean area', received a truth value true",
        ),
        (
            anonymous | {"mean area": "NaN"},
            "NotFinite",
            "expected a finite number in 'mean area', received text \"NaN\"",
        ),
        (anonymous | {"mean area": "1e999"}, "NotFinite", "expected a finite number in 'mean area', received text"),
        (
            anonymous | {"mean area": "-inf"},
            "NotFinite",
            "expected a finite number in 'mean area', received text \"-inf",
        ),
        (first, "DuplicateId", f'expected each id once, received text "{first["id"]}" already at index 0'),
        (record | {"id": {}}, "InvalidId", "expected 'id' to be text or a whole number, received an object {}"),
    ]
    given = [first, *(value for value, _, _ in bad), last]
    execution = deployment.execute(stack, {"records": given})

    rejected = execution.output["rejected"]
    assert [line["index"] for line in rejected] == list(range(1, len(bad) + 1))
    assert [line["error"] for line in rejected] == [error for _, error, _ in bad]
    for line, (_, _, cause) in zip(rejected, bad, strict=True):
        assert line["cause"].startswith(cause)
        assert (line["stage"], line["attempts"]) == ("preprocess", 0)
    assert [line["record"] for line in rejected] == [value for value, _, _ in bad]
    if stack == "MlWorkflowStack":
        assert [row["id"] for row in execution.output["predictions"]] == [first["id"], last["id"]]
    else:
        assert execution.output["predicted"] == 2


def test_a_request_of_bad_records_only_succeeds_without_predictions(deployment: Deployment, stack: str) -> None:
    output = deployment.execute(stack, {"records": [{"id": "empty"}, 1]}).output
    assert [(line["index"], line["error"]) for line in output["rejected"]] == [
        (0, "MissingFeature"),
        (1, "NotAnObject"),
    ]
    none: dict[str, Any] = {"predictions": []} if stack == "MlWorkflowStack" else {"predicted": 0, "results": None}
    assert {name: value for name, value in output.items() if name != "rejected"} == none


@pytest.mark.parametrize(
    ("request_", "received"),
    [
        ({}, 'expected {"records": [record, ...]}, received an object {}'),
        ({"record": [1]}, 'expected {"records": [record, ...]}, received an object {"record": [1]}'),
        ({"records": {"id": 1}}, 'expected {"records": [record, ...]}, received an object {"records": {"id": 1}}'),
        ({"records": []}, "expected at least one record in 'records', received an empty list"),
        ([1, 2], 'expected {"records": [record, ...]}, received a list [1, 2]'),
        ("text", 'expected {"records": [record, ...]}, received text "text"'),
        (None, 'expected {"records": [record, ...]}, received null'),
    ],
    ids=["nothing", "misspelt", "not a list", "none", "a list", "text", "null"],
)
def test_a_request_of_no_usable_shape_fails_with_what_was_expected_and_the_step(
    deployment: Deployment, stack: str, request_: Any, received: str
) -> None:
    execution = deployment.execute(stack, json.dumps(request_))
    assert (execution.status, execution.error) == ("FAILED", "InvalidRequest")
    assert execution.cause == f"{FIRST_STEP[stack]}: {received}"


@pytest.mark.parametrize("text", ['{"records": [NaN]}', '{"records": [1e999]}', f"[{10**400}]", "{", "{'records': []}"])
def test_input_that_is_no_json_or_holds_a_number_beyond_any_double_starts_nothing(
    deployment: Deployment, stack: str, text: str
) -> None:
    with pytest.raises(ClientError, match="InvalidExecutionInput"):
        deployment.start(stack, text)
