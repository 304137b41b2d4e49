"""The sample model served: SageMaker's script-mode functions, with numpy alone.

Takes `{"instances": [[30 numbers], ...]}` as application/json, each in the order of "features" in
weights.json, and answers `{"predictions": [{"label": "benign", "p_malignant": 0.0213}, ...]}`, one for each
instance, in order, with the `version` that it was deployed as.
https://sagemaker.readthedocs.io/en/stable/frameworks/pytorch/using_pytorch.html#serve-a-pytorch-model
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

JSON = "application/json"
DECIMALS = 9
"""Decimal places of a probability in the answer: the last binary digits differ from one processor to another,
and a record predicted twice has to leave the same bytes."""

VERSION_VARIABLE = "MODEL_VERSION"
"""The environment variable that says which version of the model this is."""

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Model:
    """A logistic regression; `mean`, `scale` and `coefficients` are (features,) arrays."""

    features: tuple[str, ...]
    classes: tuple[str, str]
    threshold: float
    mean: Matrix
    scale: Matrix
    coefficients: Matrix
    intercept: float


def model_fn(model_dir: str) -> Model:
    """The model in `model_dir/weights.json`."""
    weights = json.loads(Path(model_dir, "weights.json").read_text(encoding="utf-8"))
    benign, malignant = weights["classes"]
    return Model(
        features=tuple(weights["features"]),
        classes=(benign, malignant),
        threshold=weights["threshold"],
        mean=np.array(weights["mean"]),
        scale=np.array(weights["scale"]),
        coefficients=np.array(weights["coefficients"]),
        intercept=weights["intercept"],
    )


def input_fn(body: str | bytes, content_type: str) -> Matrix:
    """The instances of a request as an (instances, features) array.

    Raises `ValueError`, naming the instance and the position, for anything else than equally long lists of
    finite numbers.
    """
    if content_type.partition(";")[0].strip().lower() != JSON:
        raise ValueError(f"expected content type {JSON}, received {content_type}")
    try:
        request = json.loads(body, parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise ValueError(f"expected JSON in UTF-8: {error}") from error
    if not isinstance(request, dict) or not isinstance(request.get("instances"), list):
        raise ValueError('expected {"instances": [[number, ...], ...]}')
    instances: list[Any] = request["instances"]
    if not instances:
        raise ValueError("expected at least one instance, received none")
    # numpy reads true as 1 beside numbers, and only then is a look at each value worth its time.
    if (b"true" in body or b"false" in body) if isinstance(body, bytes) else ("true" in body or "false" in body):
        _explain(instances)
    try:
        array = np.array(instances)
    except (ValueError, OverflowError):
        _explain(instances)
    if array.ndim != 2 or array.dtype.kind not in "iuf":
        _explain(instances)
    values = array.astype(np.float64, copy=False)
    if not np.isfinite(values).all():
        _explain(instances)
    return values


def predict_fn(instances: Matrix, model: Model) -> list[dict[str, Any]]:
    """One `{"label", "p_malignant"}` for each row of an (instances, features) array, in order.

    Raises `ValueError` when the rows do not have one number a feature.
    """
    if instances.ndim != 2 or instances.shape[1] != len(model.features):
        raise ValueError(
            f"expected {len(model.features)} numbers an instance, in the order of the features "
            f"({model.features[0]}, ..., {model.features[-1]}), received {instances.shape[-1]}"
        )
    scores = (instances - model.mean) / model.scale @ model.coefficients + model.intercept
    # Scores past 700 would overflow exp; there the probability is 0 or 1 to every digit anyway.
    p_malignant = np.round(1.0 / (1.0 + np.exp(-np.clip(scores, -700.0, 700.0))), DECIMALS).tolist()
    benign, malignant = model.classes
    return [{"label": malignant if p >= model.threshold else benign, "p_malignant": p} for p in p_malignant]


def output_fn(predictions: list[dict[str, Any]], accept: str) -> tuple[str, str]:
    """The answer as JSON text and its content type. Raises `ValueError` where the caller takes no JSON."""
    accepted = {part.partition(";")[0].strip().lower() for part in accept.split(",")} if accept else {"*/*"}
    if not accepted & {JSON, "application/*", "*/*"}:
        raise ValueError(f"expected to be asked for {JSON}, received {accept}")
    answer: dict[str, Any] = {"predictions": predictions}
    if version := os.environ.get(VERSION_VARIABLE):
        answer["version"] = version
    return json.dumps(answer, separators=(",", ":")), JSON


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"expected finite numbers, received {name}")


def _explain(instances: list[Any]) -> None:
    """Raises the `ValueError` that says which value is wrong; returns where none is."""
    first = instances[0]
    for row, instance in enumerate(instances):
        if not isinstance(instance, list):
            raise ValueError(f"expected instance {row} to be a list of numbers, received {json.dumps(instance)[:80]}")
        if len(instance) != len(first):
            raise ValueError(f"expected {len(first)} numbers in instance {row}, received {len(instance)}")
        for column, value in enumerate(instance):
            if isinstance(value, bool) or not isinstance(value, int | float):
                text = json.dumps(value)[:80]
                raise ValueError(f"expected a number at position {column} of instance {row}, received {text}")
            if not _is_finite(value):
                raise ValueError(f"expected a finite number at position {column} of instance {row}")


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond any float
        return False
