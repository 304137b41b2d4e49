"""Predict: answers with the model that lies inside the function, through SageMaker's own contract."""

from __future__ import annotations

import functools
import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lambda_src.contract import Json
from lambda_src.pairing import paired

MODEL_DIR = Path(__file__).resolve().parents[1] / "model"
"""The model archive, unpacked in the function's asset: the artifacts, and `code/inference.py`."""

CONTENT_TYPE = "application/json"


def handler(event: Json, context: object) -> dict[str, Any]:
    """`{"predictions": [{"id", "index", "prediction"}], "rejected": [...]}` for what Preprocess returned.

    Raises `contract.PredictionCountMismatch`, or what the model's own code raises.
    """
    predictions = load(MODEL_DIR)(event["instances"]) if event["instances"] else []
    rows = paired(event["ids"], event["indexes"], predictions)
    print(f"predicted {len(rows)} records")
    return {"predictions": rows, "rejected": event["rejected"]}


@functools.cache
def load(model_dir: Path) -> Callable[[Json], Json]:
    """The model as a function from instances to predictions, loaded once for the life of the process.

    `code/inference.py` has `model_fn(model_dir)`, `input_fn(body, content_type)`, `predict_fn(data, model)`
    and `output_fn(predictions, accept)`: an endpoint calls the same four, with the same bytes.
    https://sagemaker.readthedocs.io/en/stable/frameworks/pytorch/using_pytorch.html#serve-a-pytorch-model
    """
    path = model_dir / "code" / "inference.py"
    spec = importlib.util.spec_from_file_location("inference", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"expected the model's code at {path}")
    code = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = code  # dataclasses look their own module up by name
    spec.loader.exec_module(code)
    model = code.model_fn(str(model_dir))

    def answer(instances: Json) -> Json:
        data = code.input_fn(json.dumps({"instances": instances}), CONTENT_TYPE)
        body, _ = code.output_fn(code.predict_fn(data, model), CONTENT_TYPE)
        return json.loads(body)["predictions"]

    return answer
