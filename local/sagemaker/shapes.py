"""Requests checked against botocore's own description of an API, in the words AWS checks them with."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import botocore.session
from botocore.model import (
    ListShape,
    MapShape,
    OperationNotFoundError,
    ServiceModel,
    Shape,
    StructureShape,
)

from local.sagemaker.errors import AwsError, invalid

NUMBERS = {"integer": (int,), "long": (int,), "float": (int, float), "double": (int, float), "timestamp": (int, float)}


@cache
def service_model(service: str) -> ServiceModel:
    """botocore's model of a service, read once."""
    return botocore.session.get_session().get_service_model(service)


def input_shape(service: str, action: str) -> StructureShape:
    """What an action takes. Raises `LookupError` for an action that botocore does not know."""
    try:
        shape = service_model(service).operation_model(action).input_shape
    except OperationNotFoundError as error:
        raise LookupError(str(error)) from error
    return shape or StructureShape(action, {"type": "structure", "members": {}})


def check(shape: Shape, value: Any) -> None:
    """Raises what AWS raises for a request that its API model does not allow.

    `SerializationException` for a wrong type, `ValidationException` for the rest, with all the problems in
    one message. A field that the model does not know is refused too, where AWS ignores it: a mistyped name
    must not go unnoticed.
    """
    problems = _problems(shape, value, "")
    if problems:
        count = f"{len(problems)} validation error{'s' if len(problems) > 1 else ''} detected: "
        raise invalid(count + "; ".join(problems))


def coerce(shape: Shape, value: Any) -> Any:
    """A CloudFormation property as the API takes it: templates may give numbers and truth values as text."""
    if isinstance(shape, StructureShape) and isinstance(value, dict):
        members = shape.members
        return {key: coerce(members[key], item) if key in members else item for key, item in value.items()}
    if isinstance(shape, ListShape) and isinstance(value, list):
        return [coerce(shape.member, item) for item in value]
    if isinstance(shape, MapShape) and isinstance(value, dict):
        return {key: coerce(shape.value, item) for key, item in value.items()}
    kind = shape.type_name
    if kind == "boolean" and value in ("true", "false"):
        return value == "true"
    if kind == "string" and isinstance(value, bool | int | float):
        return str(value).lower() if isinstance(value, bool) else str(value)
    if kind in NUMBERS and isinstance(value, str):
        try:
            return int(value) if NUMBERS[kind] == (int,) else float(value)
        except ValueError:
            return value
    return value


def _problems(shape: Shape, value: Any, path: str) -> list[str]:
    if isinstance(shape, StructureShape):
        return _structure_problems(shape, _typed(value, dict, shape), path)
    if isinstance(shape, ListShape):
        items = _typed(value, list, shape)
        found = _length_problems(shape, len(items), value, path)
        for position, item in enumerate(items, start=1):
            found += _problems(shape.member, item, f"{path}.{position}.member")
        return found
    if isinstance(shape, MapShape):
        entries = _typed(value, dict, shape)
        found = _length_problems(shape, len(entries), value, path)
        for key, item in entries.items():
            found += _problems(shape.value, item, f"{path}.{key}.member")
        return found
    return _scalar_problems(shape, value, path)


def _structure_problems(shape: StructureShape, value: dict[str, Any], path: str) -> list[str]:
    found = []
    for name in shape.required_members:
        if value.get(name) is None:
            place = _joined(path, name)
            found.append(f"Value null at '{place}' failed to satisfy constraint: Member must not be null")
    for name, item in value.items():
        if name not in shape.members:
            known = ", ".join(shape.members)
            raise invalid(f"Unknown field '{_joined(path, name)}': {shape.name} has the fields {known}.")
        if item is not None:
            found += _problems(shape.members[name], item, _joined(path, name))
    return found


def _scalar_problems(shape: Shape, value: Any, path: str) -> list[str]:
    kind, limits = shape.type_name, shape.metadata
    if kind == "boolean":
        _typed(value, bool, shape)
        return []
    if kind in NUMBERS:
        if isinstance(value, bool) or not isinstance(value, NUMBERS[kind]):
            raise _wrong_type(value, shape)
        return _range_problems(limits, value, path)
    text = _typed(value, str, shape)
    failed = f"Value '{text}' at '{path}' failed to satisfy constraint: "
    found = _length_problems(shape, len(text), text, path)
    if limits.get("enum") and text not in limits["enum"]:
        found.append(f"{failed}Member must satisfy enum value set: [{', '.join(limits['enum'])}]")
    if "pattern" in limits and not _matches(limits["pattern"], text):
        found.append(f"{failed}Member must satisfy regular expression pattern: {limits['pattern']}")
    return found


def _matches(pattern: str, text: str) -> bool:
    try:
        return re.fullmatch(pattern, text) is not None
    except re.error:  # a few patterns use Java's Unicode classes (\p{L}), which Python's `re` does not have
        return True


def _length_problems(shape: Shape, length: int, value: Any, path: str) -> list[str]:
    failed = f"Value '{value}' at '{path}' failed to satisfy constraint: Member must have length "
    found = []
    if length < shape.metadata.get("min", 0):
        found.append(f"{failed}greater than or equal to {shape.metadata['min']}")
    if length > shape.metadata.get("max", length):
        found.append(f"{failed}less than or equal to {shape.metadata['max']}")
    return found


def _range_problems(limits: dict[str, Any], value: float, path: str) -> list[str]:
    failed = f"Value '{value}' at '{path}' failed to satisfy constraint: Member must have value "
    if value < limits.get("min", value):
        return [f"{failed}greater than or equal to {limits['min']}"]
    if value > limits.get("max", value):
        return [f"{failed}less than or equal to {limits['max']}"]
    return []


def _joined(path: str, name: str) -> str:
    """AWS writes the places of a request in camelCase: productionVariants.1.member.modelName."""
    name = name[:1].lower() + name[1:]
    return f"{path}.{name}" if path else name


def _typed(value: Any, kind: type, shape: Shape) -> Any:
    if not isinstance(value, kind):
        raise _wrong_type(value, shape)
    return value


def _wrong_type(value: Any, shape: Shape) -> AwsError:
    article = {"structure": "an object", "list": "a list", "map": "an object"}
    expected = article.get(shape.type_name, f"a {shape.type_name}")
    return AwsError("SerializationException", f"{shape.name} must be {expected}, received {type(value).__name__}")
