"""Script mode: which function answers, and what stands in for a missing one."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from local.sagemaker import script_mode
from local.sagemaker.script_mode import CSV, JSON, NPY

Load = Callable[..., script_mode.Script]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "inference", raising=False)

    def loaded(source: str | None, name: str = "inference.py") -> script_mode.Script:
        (tmp_path / "code").mkdir()
        if source is not None:
            (tmp_path / "code" / name).write_text(source)
        try:
            return script_mode.load(tmp_path)
        finally:
            sys.modules.pop(name.removesuffix(".py"), None)

    return loaded


DOUBLE = "def model_fn(model_dir): return lambda data: data * 2\n"


def test_the_four_functions_are_called_in_turn(load: Load) -> None:
    script = load(
        "def model_fn(model_dir): return ['model']\n"
        "def input_fn(body, content_type): return [body, content_type]\n"
        "def predict_fn(data, model): return model + data\n"
        "def output_fn(prediction, accept): return '|'.join(prediction), accept + '!'\n"
    )

    assert script.answer(b"x", JSON, "text/plain") == (b"model|x|application/json", "text/plain!")


def test_only_json_and_csv_reach_the_input_function_as_text(load: Load) -> None:
    script = load(
        "def model_fn(model_dir): pass\n"
        "def input_fn(body, content_type): return type(body).__name__\n"
        "def predict_fn(data, model): return data\n"
        "def output_fn(prediction, accept): return prediction\n"
    )

    kinds = [script.answer(b"1", kind, None)[0] for kind in (JSON, CSV, NPY, "image/png", None)]
    assert kinds == [b"str", b"str", b"bytes", b"bytes", b"bytes"]


def test_the_default_functions_read_and_write_json(load: Load) -> None:
    assert load(DOUBLE).answer(b"[[1, 2.5]]", JSON, None) == (b"[[2.0, 5.0]]", JSON)


def test_the_default_functions_read_and_write_csv(load: Load) -> None:
    assert load(DOUBLE).answer(b"1,2\n3,4\n", CSV, CSV) == (b"2,4\n6,8\n", CSV)


def test_the_default_functions_read_and_write_npy(load: Load) -> None:
    body = io.BytesIO()
    np.save(body, np.array([1.0, 2.0]))

    answer, content_type = load(DOUBLE).answer(body.getvalue(), NPY, NPY)

    assert content_type == NPY
    assert np.load(io.BytesIO(answer)).tolist() == [2.0, 4.0]


def test_an_npy_file_of_pickled_objects_is_refused(load: Load) -> None:
    body = io.BytesIO()
    np.save(body, np.array([{}]), allow_pickle=True)

    with pytest.raises(ValueError, match="allow_pickle"):
        load(DOUBLE).answer(body.getvalue(), NPY, JSON)


@pytest.mark.parametrize(
    ("accept", "answered"), [(None, JSON), ("*/*", JSON), ("image/png, text/csv", CSV), (f"{CSV},{JSON}", CSV)]
)
def test_the_default_output_is_the_first_accepted_type_that_it_can_write(
    load: Load, accept: str | None, answered: str
) -> None:
    assert load(DOUBLE).answer(b"[1]", JSON, accept)[1] == answered


def test_the_environment_can_set_the_accept_of_callers_who_name_none(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", CSV)

    assert load(DOUBLE).answer(b"[1]", JSON, None) == (b"2\n", CSV)


@pytest.mark.parametrize(("content_type", "accept"), [("image/png", JSON), (None, JSON), (JSON, "image/png")])
def test_a_type_that_the_defaults_do_not_know_is_refused(load: Load, content_type: str, accept: str) -> None:
    with pytest.raises(script_mode.UnsupportedFormat, match="is not supported by this framework"):
        load(DOUBLE).answer(b"[1]", content_type, accept)


def test_a_transform_function_answers_alone(load: Load) -> None:
    script = load(
        "def model_fn(model_dir): return 'm'\n"
        "def transform_fn(model, data, content_type, accept): return model + data, 'text/plain'\n"
    )

    assert script.answer(b"x", JSON, JSON) == (b"mx", "text/plain")


def test_a_transform_function_beside_another_one_is_refused(load: Load) -> None:
    with pytest.raises(ValueError, match="Cannot use transform_fn"):
        load("def transform_fn(m, d, c, a): pass\ndef input_fn(b, c): pass\n")


def test_a_function_may_take_the_context(load: Load) -> None:
    script = load(
        "def model_fn(model_dir, context): return context.system_properties['model_dir'] == model_dir\n"
        "def transform_fn(model, data, content_type, accept, context): return str(model)\n"
    )

    assert script.answer(b"", JSON, JSON)[0] == b"True"


def test_a_function_of_another_number_of_arguments_is_refused(load: Load) -> None:
    with pytest.raises(TypeError, match="model_fn takes 0 arguments but 1 were given"):
        load("def model_fn(): pass\n")


@pytest.mark.parametrize("source", [None, "x = 1\n"])
def test_a_missing_model_function_is_an_error(load: Load, source: str | None) -> None:
    with pytest.raises(NotImplementedError, match="Please provide a model_fn implementation"):
        load(source)


def test_the_program_can_have_another_name(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAGEMAKER_PROGRAM", "serve_it.py")

    assert json.loads(load(DOUBLE, "serve_it.py").answer(b"[1]", JSON, None)[0]) == [2]
