"""JSONata in a definition: which strings are expressions, and what they evaluate to."""

from __future__ import annotations

import hashlib
import json
import math
import random
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import jlens

Json = Any
Render = Callable[["Scope"], Json]

_PLAIN_PATH = re.compile(r"\$(?P<root>[A-Za-z_]\w*)(?P<steps>(?:\.[A-Za-z_]\w*)*)\Z")
_RESERVED_STEPS = frozenset({"and", "or", "in", "true", "false", "null"})
_QUOTED = re.compile(r"""(?P<quoted>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`)""")
_QUOTED_OR_STATES = re.compile(_QUOTED.pattern + r"|\$states(?!\w)")
_CONTEXT = re.compile(r"\$(?![A-Za-z_])")
_VARIABLE = re.compile(r"\$([A-Za-z_]\w*)")
_JSON_TYPES = {dict: "object", list: "array", str: "string", bool: "boolean", int: "number", float: "number"}


@dataclass(frozen=True)
class Scope:
    """What an expression sees: `$states` (input, context, result or errorOutput) and the variables assigned so far."""

    states: Mapping[str, Json]
    variables: Mapping[str, Json]


class SyntaxProblem(ValueError):
    """The text between `{%` and `%}` is not JSONata."""


class EvaluationFailed(Exception):
    """An expression failed or gave nothing. `location` is the field's path within its state."""

    def __init__(self, location: str, reason: str) -> None:
        super().__init__(reason)
        self.location = location
        self.reason = reason


def is_expression(value: Json) -> bool:
    """Only a string that begins with `{%` and ends with `%}`, to the letter, is an expression."""
    return isinstance(value, str) and value.startswith("{%") and value.endswith("%}")


def compile_template(value: Json, location: str) -> Render:
    """A function that renders `value`, evaluating each expression in it. Raises `SyntaxProblem`."""
    if is_expression(value):
        return Expression(value[2:-2].strip(), location).evaluate
    if isinstance(value, dict) and _has_expression(value):
        fields = {name: compile_template(inner, f"{location}/{name}") for name, inner in value.items()}
        return _Fields(fields)
    if isinstance(value, list) and _has_expression(value):
        parts = [compile_template(inner, f"{location}[{index}]") for index, inner in enumerate(value)]
        return lambda scope: [render(scope) for render in parts]
    return lambda _scope: value


@dataclass(frozen=True)
class _Fields:
    """An object of a template."""

    renders: dict[str, Render]

    def __call__(self, scope: Scope) -> Json:
        return {name: render(scope) for name, render in self.renders.items()}


def picker(render: Render) -> Callable[[int, Json], Json] | None:
    """What `render` makes of an item's index and value, where it is an object of nothing but these two; or None.

    That is what most ItemSelectors are, and a scope for each item costs more than all the rest of reading it.
    """
    if not isinstance(render, _Fields):
        return None
    sources = {name: getattr(getattr(field, "__self__", None), "source", "") for name, field in render.renders.items()}
    if not _OF_AN_ITEM.keys() >= set(sources.values()):
        return None
    picks = [(name, _OF_AN_ITEM[source]) for name, source in sources.items()]
    return lambda index, value: {name: (index, value)[pick] for name, pick in picks}


_OF_AN_ITEM = {"$states.context.Map.Item.Index": 0, "$states.context.Map.Item.Value": 1}


def _has_expression(value: Json) -> bool:
    if isinstance(value, dict):
        return any(_has_expression(inner) for inner in value.values())
    if isinstance(value, list):
        return any(_has_expression(inner) for inner in value)
    return is_expression(value)


class Expression:
    """One compiled JSONata expression at `location` in its state."""

    def __init__(self, source: str, location: str) -> None:
        self.source = source
        self.location = location
        try:
            self._compiled = _compiled(source)
            lazy = _reading_states_from_the_input(source)
            self._lazy = None if lazy is None else _compiled(lazy)
        except jlens.JlensError as problem:
            raise SyntaxProblem(f"{problem.code}: {problem}") from problem
        path = _PLAIN_PATH.match(source)
        self._names = frozenset(_VARIABLE.findall(source))
        self._path = path and (path["root"], path["steps"].split(".")[1:])
        if self._path and _RESERVED_STEPS.intersection(self._path[1]):
            self._path = None

    def evaluate(self, scope: Scope) -> Json:
        """The expression's JSON value. Raises `EvaluationFailed` when it fails, is undefined, or is not JSON."""
        if self._path:
            root, steps = self._path
            value = scope.states if root == "states" else scope.variables.get(root)
            for step in steps:
                if not isinstance(value, dict) or step not in value:
                    break
                value = value[step]
            else:
                # A path through objects alone selects the value as it is, so the library need not copy it.
                if value is not None:
                    return value
        return self._evaluate(scope)

    def _evaluate(self, scope: Scope) -> Json:
        bindings = {name: value for name, value in scope.variables.items() if name in self._names}
        try:
            if self._lazy is not None:
                value = self._lazy.evaluate({"states": scope.states}, bindings)
            else:
                value = self._compiled.evaluate(None, {**bindings, "states": scope.states})
            if value is None and self._compiled.evaluate_json(None, {**bindings, "states": scope.states}) is None:
                self._fail("returned nothing (undefined).")
        except jlens.JlensError as problem:
            self._fail(f"threw an error during evaluation. {problem.code}: {problem}")
        except FunctionFailed as problem:
            self._fail(f"threw an error during evaluation. {problem}")
        return value

    def evaluate_as(self, scope: Scope, kind: str) -> Json:
        """The value, which must be of the JSON type `kind` (`array`, `number`, `string`, `boolean`, `object`)."""
        value = self.evaluate(scope)
        if (found := json_type(value)) != kind:
            text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
            self._fail(f"returned an unexpected result type. Expected '{kind}', but was '{found}' for value: {text}")
        return value

    def _fail(self, reason: str) -> NoReturn:
        raise EvaluationFailed(
            self.location,
            f"The JSONata expression '{self.source}' specified for the field '{self.location}' {reason}",
        )


def _compiled(source: str) -> jlens.Expression:
    compiled = jlens.Expression(source)
    for name, function in _FUNCTIONS.items():
        compiled.register_function(name, function)
    return compiled


def _reading_states_from_the_input(source: str) -> str | None:
    """The source with `$states` as a part of the input document, None where that could be told from a variable.

    The library copies a variable whole, and reads an input only as far as the expression goes: for a batch of a
    hundred records that is a hundredth of the time. Step Functions itself gives expressions no input document, so
    a source that asks for one by `$` or `$$` is left alone.
    """
    text = _QUOTED.sub("", source)
    # A slash may begin a comment or a regular expression, in which a quote is no quote.
    if _CONTEXT.search(text) or "/" in text or "$states" not in text:
        return None
    return _QUOTED_OR_STATES.sub(lambda match: match["quoted"] or "$$.states", source)


def json_type(value: Json) -> str:
    """The JSON type's name as AWS's messages write it."""
    return "null" if value is None else _JSON_TYPES[type(value)]


class FunctionFailed(Exception):
    """A function that Step Functions adds to JSONata was called with something it does not take."""


def _parse(text: Json) -> Json:
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, TypeError, RecursionError) as problem:
        raise FunctionFailed(f"$parse could not read its argument as JSON: {problem}") from problem


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _partition(values: Json, size: Json) -> Json:
    if not isinstance(values, list) or isinstance(size, bool) or not isinstance(size, int | float) or size < 1:
        raise FunctionFailed("$partition takes an array and a chunk size of at least 1")
    step = int(size)
    return [values[start : start + step] for start in range(0, len(values), step)]


def _range(first: Json, last: Json, step: Json = 1) -> Json:
    if not all(isinstance(number, int | float) and not isinstance(number, bool) for number in (first, last, step)):
        raise FunctionFailed("$range takes three numbers")
    if step == 0:
        raise FunctionFailed("$range takes a step other than 0")
    count = math.floor((last - first) / step) + 1
    # https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html gives the 1,000 elements.
    if count > 1000:
        raise FunctionFailed(f"$range gives at most 1,000 elements, not {count}")
    numbers = [first + step * index for index in range(max(count, 0))]
    return numbers[0] if len(numbers) == 1 else numbers  # recorded from AWS: $range(1, 9, 9) is 1


_HASHES = {"MD5": "md5", "SHA-1": "sha1", "SHA-256": "sha256", "SHA-384": "sha384", "SHA-512": "sha512"}


def _hash(content: Json, algorithm: Json) -> Json:
    if not isinstance(content, str) or algorithm not in _HASHES:
        raise FunctionFailed(f"$hash takes text and one of {', '.join(_HASHES)}")
    return hashlib.new(_HASHES[algorithm], content.encode(), usedforsecurity=False).hexdigest()


def _random(seed: Json = None) -> Json:
    return (random.Random(seed) if seed is not None else random).random()  # noqa: S311 - JSONata's own, not a secret


def _eval(*_arguments: Json) -> NoReturn:
    raise FunctionFailed("Step Functions does not support $eval; $parse reads JSON")


def _guarded(name: str, function: Callable[..., Json]) -> Callable[..., Json]:
    """The function, failing as a function of JSONata does when it is given what it does not take."""

    def call(*arguments: Json) -> Json:
        try:
            return function(*arguments)
        except (TypeError, ValueError, OverflowError) as problem:
            raise FunctionFailed(f"${name} does not take these arguments: {problem}") from problem

    return call


_ADDED: dict[str, Callable[..., Json]] = {
    "parse": _parse,
    "partition": _partition,
    "range": _range,
    "hash": _hash,
    "random": _random,
    "uuid": lambda: str(uuid.uuid4()),
    "eval": _eval,
}
_FUNCTIONS = {name: _guarded(name, function) for name, function in _ADDED.items()}
"""What Step Functions adds to JSONata: https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html"""
