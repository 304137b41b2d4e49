"""Predict: the model inside the function, through SageMaker's contract."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lambda_src import predict
from lambda_src.contract import ModelRefused, PredictionCountMismatch
from stacks.constructs.model.model_build import unpacked_model

CODE = """
import json
loads = []
def model_fn(model_dir):
    loads.append(model_dir)
    return 10
def input_fn(body, content_type):
    assert content_type == "application/json"
    return json.loads(body)["instances"]
def predict_fn(data, model):
    return [sum(row) * model for row in data]
def output_fn(predictions, accept):
    return json.dumps({"predictions": predictions[:3], "version": "v1"}), accept
"""


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "inference.py").write_text(CODE)
    monkeypatch.setattr(predict, "MODEL_DIR", tmp_path)
    return tmp_path


def prepared(count: int) -> dict[str, Any]:
    return {
        "instances": [[float(index), 1.0] for index in range(count)],
        "ids": [f"r{index}" for index in range(count)],
        "indexes": list(range(count)),
        "rejected": [{"id": "bad"}],
    }


@pytest.mark.usefixtures("model")
def test_each_prediction_stands_beside_its_records_id_and_index() -> None:
    assert predict.handler(prepared(2), None) == {
        "predictions": [
            {"id": "r0", "index": 0, "prediction": 10.0, "modelVersion": "v1"},
            {"id": "r1", "index": 1, "prediction": 20.0, "modelVersion": "v1"},
        ],
        "rejected": [{"id": "bad"}],
    }


@pytest.mark.usefixtures("model")
def test_a_wrong_number_of_predictions_is_an_error_and_never_a_shift() -> None:
    with pytest.raises(PredictionCountMismatch, match=r"expected 4 predictions .* received 3"):
        predict.handler(prepared(4), None)


@pytest.mark.usefixtures("model")
def test_for_instances_alone_the_answer_is_an_endpoints() -> None:
    assert predict.handler({"instances": [[1.0], [2.0]]}, None) == {"predictions": [10.0, 20.0], "version": "v1"}


def test_what_the_models_code_raises_is_told_as_a_refusal(model: Path) -> None:
    predict.load.cache_clear()
    (model / "code" / "inference.py").write_text(
        CODE.replace("return [sum", "raise ArithmeticError('too odd'); return [sum")
    )
    with pytest.raises(ModelRefused, match="ArithmeticError: too odd"):
        predict.handler({"instances": [[1.0]]}, None)


def test_an_answer_that_is_not_json_is_a_refusal(model: Path) -> None:
    predict.load.cache_clear()
    (model / "code" / "inference.py").write_text(CODE.replace("sum(row) * model", "float('nan')"))
    with pytest.raises(ModelRefused, match="expected JSON from the model, received NaN"):
        predict.handler({"instances": [[1.0]]}, None)


def test_what_was_predicted_in_parts_is_put_together_without_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predict, "MODEL_DIR", tmp_path / "missing")
    refused = {"at": 0, "item": {"index": 0, "record": {"id": "r0"}}, "cause": "no", "attempts": 2}
    parts = [{"lo": 1, "hi": 2, "predictions": [7], "version": "v1"}]
    split = {"parts": parts, "refused": [refused]}
    event = {"ids": ["r0", "r2"], "indexes": [0, 2], "rejected": [{"id": "bad", "index": 1}], "split": split}
    answer = predict.handler(event, None)
    assert answer["predictions"] == [{"id": "r2", "index": 2, "prediction": 7, "modelVersion": "v1"}]
    assert [(line["id"], line["index"]) for line in answer["rejected"]] == [("r0", 0), ("bad", 1)]


def test_without_instances_the_model_is_not_even_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predict, "MODEL_DIR", tmp_path / "missing")
    assert predict.handler(prepared(0), None) == {"predictions": [], "rejected": [{"id": "bad"}]}


def test_the_model_is_loaded_once(model: Path) -> None:
    assert predict.load(model) is predict.load(model)


def test_a_function_without_its_model_says_where_it_looked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predict, "MODEL_DIR", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"inference\.py"):
        predict.handler(prepared(1), None)


def test_the_sample_model_answers_for_the_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predict, "MODEL_DIR", unpacked_model())
    monkeypatch.setenv("MODEL_VERSION", "v2")
    request = prepared(0) | {"instances": [[1.0] * 30], "ids": ["a"], "indexes": [0]}
    (row,) = predict.handler(request, None)["predictions"]
    assert set(row["prediction"]) == {"label", "p_malignant"}
    assert row["modelVersion"] == "v2"
    json.dumps(row, allow_nan=False)


@pytest.mark.usefixtures("model")
@pytest.mark.parametrize(
    "split", [{}, {"split": {"parts": [{"lo": 0, "hi": 2, "predictions": [7, 8]}], "refused": []}}]
)
def test_an_answered_request_publishes_what_became_of_its_records(
    split: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("METRICS_STACK", "Stack")
    predict.handler(prepared(2) | {"rejected": [{"id": "bad", "index": 2}]} | split, None)
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("{"))
    published = json.loads(line)
    assert (published["Workflow"], published["RecordsPredicted"], published["RecordsRejected"]) == ("Request", 2, 1)


@pytest.mark.usefixtures("model")
def test_a_batch_of_a_job_publishes_nothing_here(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("METRICS_STACK", "Stack")
    predict.handler({"instances": [[1.0]]}, None)
    assert "_aws" not in capsys.readouterr().out
