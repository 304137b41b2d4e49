"""The sample model served: the same probabilities as scikit-learn, and a clear refusal of anything else."""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model import inference, train

MODEL = inference.model_fn(str(Path(inference.__file__).parent))
ROW = train.load().values[0].tolist()


def predict(body: str | bytes) -> list[dict[str, Any]]:
    answer, content_type = inference.output_fn(
        inference.predict_fn(inference.input_fn(body, "application/json"), MODEL), "application/json"
    )
    assert content_type == "application/json"
    predictions: list[dict[str, Any]] = json.loads(answer)["predictions"]
    return predictions


def request(*instances: Any) -> str:
    return json.dumps({"instances": instances})


def test_the_held_out_records_get_scikit_learns_probabilities_and_labels() -> None:
    data = train.load()
    heldout = data.values[train.split(data)[1]]
    expected = train.fit(data).predict_proba(heldout)[:, 1]

    predictions = predict(request(*heldout.tolist()))

    given = [prediction["p_malignant"] for prediction in predictions]
    np.testing.assert_allclose(given, expected, rtol=0, atol=1e-6)
    assert [p["label"] for p in predictions] == ["malignant" if p >= 0.5 else "benign" for p in expected]


def test_the_answer_names_the_version_that_was_deployed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert json.loads(inference.output_fn([], "*/*")[0]) == {"predictions": []}
    monkeypatch.setenv(inference.VERSION_VARIABLE, "v1")
    assert json.loads(inference.output_fn([], "*/*")[0]) == {"predictions": [], "version": "v1"}


def test_text_and_bytes_are_read_alike_and_whole_numbers_are_numbers() -> None:
    whole = [int(value) for value in ROW]

    assert predict(request(ROW, whole)) == predict(request(ROW, whole).encode())


def test_an_instance_far_outside_the_training_data_is_predicted_without_a_warning() -> None:
    assert [p["p_malignant"] for p in predict(request([1e9] * 30, [-1e9] * 30))] in ([0.0, 1.0], [1.0, 0.0])


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("[]", "expected {"),
        ("{", "Expecting"),
        (b"\xff", "UTF-8"),
        ('{"instances": {}}', "expected {"),
        ('{"instances": []}', "at least one instance"),
        ('{"instances": [[NaN]]}', "finite numbers, received NaN"),
        ('{"instances": [[-Infinity]]}', "finite numbers, received -Infinity"),
        ('{"instances": [[1e999]]}', "finite number at position 0 of instance 0"),
        ('{"instances": [[1' + "0" * 400 + "]]}", "finite number at position 0 of instance 0"),
        (request(ROW, 7), "instance 1 to be a list of numbers, received 7"),
        (request(1.0, 2.0), "instance 0 to be a list of numbers, received 1.0"),
        (request(ROW, ROW[:29]), "expected 30 numbers in instance 1, received 29"),
        (request(ROW[:29]), "expected 30 numbers an instance"),
        (request([*ROW[:29], "1.0"]), 'a number at position 29 of instance 0, received "1.0"'),
        (request(ROW, [True, *ROW[1:]]), "a number at position 0 of instance 1, received true"),
        (request([None, *ROW[1:]]), "a number at position 0 of instance 0, received null"),
        (request([[ROW]]), "a number at position 0 of instance 0"),
    ],
)
def test_what_is_no_list_of_finite_numbers_is_refused_with_its_place(body: str | bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason.replace("{", r"\{")):
        predict(body)


def test_a_content_type_or_an_accept_other_than_json_is_refused() -> None:
    with pytest.raises(ValueError, match="received text/csv"):
        inference.input_fn("1,2", "text/csv")
    with pytest.raises(ValueError, match="received text/csv"):
        inference.output_fn([], "text/csv")


def test_serving_imports_numpy_and_the_standard_library_only() -> None:
    tree = ast.parse(Path(inference.__file__).read_text(encoding="utf-8"))
    imported = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}

    assert {name.split(".")[0] for name in imported} - sys.stdlib_module_names == {"numpy"}
