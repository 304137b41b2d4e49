"""SageMaker's script mode: the functions in an archive's `inference.py`, and what stands in for missing ones.

Behaves as aws/sagemaker-inference-toolkit (transformer.py, decoder.py, encoder.py) does in AWS's framework
containers. There every exception of the model's code is answered with status 500 and the text of the
exception with its traceback, and so is a content type that the default functions do not know; only an
exception that carries a status of its own (the toolkit's BaseInferenceToolkitError: `status_code`, `message`,
`phrase`) is answered with that.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import io
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

JSON, CSV, NPY = "application/json", "text/csv", "application/x-npy"
UTF8 = frozenset({JSON, CSV})

Function = Callable[..., Any]


class UnsupportedFormat(Exception):
    """The default functions have no way to read or write this content type."""


@dataclass(frozen=True)
class Context:
    """What a function that takes one argument more than it must is given, like the toolkit's own."""

    system_properties: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Script:
    """A loaded model and the functions that answer for it."""

    model: Any
    transform: Function
    default_accept: str

    def answer(self, body: bytes, content_type: str | None, accept: str | None) -> tuple[bytes, str]:
        """The response's body and content type. Raises whatever the model's code raises."""
        if not accept or accept == "*/*":
            accept = self.default_accept
        data = body.decode("utf-8") if content_type in UTF8 else body
        result = self.transform(self.model, data, content_type, accept)
        if isinstance(result, tuple):
            result, accept = result[0], result[1]
        return (result.encode("utf-8") if isinstance(result, str) else bytes(result)), str(accept)


def load(model_dir: Path) -> Script:
    """Imports the program from `model_dir/code` and loads the model. Raises what the program raises."""
    code = str(model_dir / "code")
    sys.path.insert(0, code)
    program = os.environ.get("SAGEMAKER_PROGRAM", "inference.py").removesuffix(".py")
    given: dict[str, Function] = {}
    if importlib.util.find_spec(program) is not None:
        module = importlib.import_module(program)
        for name in ("model_fn", "transform_fn", "input_fn", "predict_fn", "output_fn"):
            if function := getattr(module, name, None):
                given[name] = function
    if "transform_fn" in given and given.keys() & {"input_fn", "predict_fn", "output_fn"}:
        raise ValueError(
            "Cannot use transform_fn implementation in conjunction with "
            "input_fn, predict_fn, and/or output_fn implementation"
        )
    context = Context({"model_dir": str(model_dir)})
    functions = {
        name: _with_context(given.get(name, default), count, context)
        for name, default, count in (
            ("model_fn", _default_model_fn, 1),
            ("input_fn", _default_input_fn, 2),
            ("predict_fn", _default_predict_fn, 2),
            ("output_fn", _default_output_fn, 2),
        )
    }

    read, predict, write = functions["input_fn"], functions["predict_fn"], functions["output_fn"]

    def chain(model: Any, data: Any, content_type: str, accept: str) -> Any:
        return write(predict(read(data, content_type), model), accept)

    transform = _with_context(given["transform_fn"], 4, context) if "transform_fn" in given else chain
    model = functions["model_fn"](str(model_dir))
    return Script(model, transform, os.environ.get("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", JSON))


def _with_context(function: Function, count: int, context: Context) -> Function:
    """The function as one of `count` arguments; a function may take the context as one more."""
    taken = len(inspect.signature(function).parameters)
    if taken == count:
        return function
    if taken == count + 1:
        return lambda *arguments: function(*arguments, context)
    raise TypeError(f"{function.__name__} takes {taken} arguments but {count} were given.")


def _default_model_fn(model_dir: str) -> Any:
    """The frameworks' own defaults load their format (a .pt file, say); without a framework there is none."""
    raise NotImplementedError(
        f"Please provide a model_fn implementation: {model_dir} has no code/inference.py that defines model_fn"
    )


def _default_input_fn(data: Any, content_type: str) -> Any:
    """A numpy array from JSON, CSV or npy."""
    import numpy as np  # a model without arrays need not have numpy

    if content_type == JSON:
        return np.array(json.loads(data))
    if content_type == CSV:
        # genfromtxt, as the toolkit: a value that is no number becomes NaN.
        return np.genfromtxt(io.StringIO(data), dtype=None, delimiter=",")
    if content_type == NPY:
        # The toolkit also reads pickled objects here, which lets a caller run code; that is not copied.
        return np.load(io.BytesIO(data), allow_pickle=False)
    raise UnsupportedFormat(_unsupported(content_type))


def _default_predict_fn(data: Any, model: Any) -> Any:
    """The model called with the data, as the PyTorch container does."""
    return model(data)


def _default_output_fn(prediction: Any, accept: str) -> tuple[str | bytes, str]:
    """The prediction as the first of the accepted types that is JSON, CSV or npy."""
    for content_type in accept.replace(" ", "").split(","):
        if content_type == JSON:
            return json.dumps(prediction, default=_plain), JSON
        if content_type in (CSV, NPY):
            import numpy as np

            if content_type == CSV:
                text = io.StringIO()
                np.savetxt(text, prediction, delimiter=",", fmt="%s")
                return text.getvalue(), CSV
            binary = io.BytesIO()
            np.save(binary, prediction)
            return binary.getvalue(), NPY
    raise UnsupportedFormat(_unsupported(accept))


def _plain(value: Any) -> Any:
    """Arrays, and what else can turn into lists, as JSON."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def _unsupported(content_type: str) -> str:
    return (
        f"Content type {content_type} is not supported by this framework: implement input_fn to read it "
        "or output_fn to write it"
    )
