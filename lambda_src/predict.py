"""Predict: answers with the model that lies inside the function, through SageMaker's own contract."""

from __future__ import annotations

import functools
import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from lambda_src import metrics
from lambda_src.contract import Json, ModelRefused, PredictionCountMismatch, brief
from lambda_src.pairing import paired
from lambda_src.provenance import version_of
from lambda_src.splitting import joined

MODEL_DIR = Path(__file__).resolve().parents[1] / "model"
"""The model archive, unpacked in the function's asset: the artifacts, and `code/inference.py`."""

CONTENT_TYPE = "application/json"


def handler(event: Json, context: object) -> dict[str, Any]:
    """The model's answer, in the form that the event asks for.

    `{"instances"}` gives `{"predictions": [...], "version"}`, as an endpoint does. With `ids`, `indexes` and
    `rejected`, which Preprocess returned, it gives `{"predictions": [{"id", "index", "prediction", "modelVersion"}],
    "rejected": [...]}`;
    so does `split` instead of instances, with what was predicted in parts (see `lambda_src.splitting`).
    Raises `contract.PredictionCountMismatch`, or `contract.ModelRefused` for what the model's own code raises.
    """
    if "split" in event:
        rows, refused = joined(event["split"], event["ids"], event["indexes"])
        rejected = sorted([*event["rejected"], *refused], key=lambda line: int(line["index"]))
        metrics.publish_request(len(rows), len(rejected))
        return {"predictions": rows, "rejected": rejected}
    instances = event["instances"]
    answer = load(MODEL_DIR)(instances) if instances else {"predictions": []}
    predictions = answer["predictions"]
    if not isinstance(predictions, list) or len(predictions) != len(instances):
        raise PredictionCountMismatch(
            f"expected {len(instances)} predictions from the model, one an instance, received "
            + (str(len(predictions)) if isinstance(predictions, list) else brief(predictions))
        )
    print(f"predicted {len(predictions)} records")
    if "ids" not in event:
        return {"predictions": predictions, "version": version_of(answer.get("version"))}
    metrics.publish_request(len(predictions), len(event["rejected"]))
    return {"predictions": paired(event["ids"], event["indexes"], answer), "rejected": event["rejected"]}


def refuse(constant: str) -> NoReturn:
    """`NaN` and the infinities, which are not JSON: nobody after this could read them."""
    raise ValueError(f"expected JSON from the model, received {constant}")


@functools.cache
def load(model_dir: Path) -> Callable[[Json], dict[str, Json]]:
    """The model as a function from instances to its answer, loaded once for the life of the process.

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

    def answer(instances: Json) -> dict[str, Json]:
        try:
            data = code.input_fn(json.dumps({"instances": instances}), CONTENT_TYPE)
            body, _ = code.output_fn(code.predict_fn(data, model), CONTENT_TYPE)
            answered = json.loads(body, parse_constant=refuse)
            return {"predictions": answered["predictions"], "version": answered.get("version")}
        except Exception as error:  # whatever the model's code raises: an endpoint would answer 500 to it
            raise ModelRefused(f"{type(error).__name__}: {error}") from error

    return answer
