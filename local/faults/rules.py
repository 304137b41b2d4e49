"""A rule: which calls it means, and what happens to them. Refused with what was received and what is allowed."""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from local.faults import errors

PLACES = ("function", "model", "child")
"""Inside the embedded AWS: a function's process, a model's container, a child execution of a Map Run."""

LOST = ("cut", "error")
MODEL_SECONDS = 60.0


class RuleError(ValueError):
    """A rule that cannot mean anything, in words for whoever wrote it."""


@dataclass(frozen=True)
class Rule:
    """One rule, checked. Patterns have `*` for any text; delays are seconds; what is None or False is not said."""

    service: str
    action: str = "*"
    resource: str = "*"
    caller: str = "*"
    nth: int | None = None
    from_nth: int = 1
    share: float | None = None
    seed: int = 0
    at_most: int | None = None
    error: str | None = None
    status: int | None = None
    message: str | None = None
    answer: str | None = None
    answer_bytes: int | None = None
    lost: str | None = None
    stop: str | None = None
    cut: bool = False
    kill: bool = False
    timeout: bool = False
    twice: bool = False
    hold: bool = False
    crash: bool = False
    delay: float = 0.0

    @property
    def body(self) -> bytes | None:
        """The wrong body that is the answer, if the rule gives one."""
        if self.answer_bytes is not None:
            return b'"' + b"x" * (self.answer_bytes - 2) + b'"'
        return None if self.answer is None else self.answer.encode()

    def __str__(self) -> str:
        said = {_WRITTEN.get(name, name): value for name, value in vars(self).items() if value != _DEFAULTS.get(name)}
        return ", ".join(f"{name} = {json.dumps(value)}" for name, value in said.items())


_DEFAULTS: dict[str, Any] = {name: getattr(Rule, name) for name in Rule.__dataclass_fields__ if hasattr(Rule, name)}
_WRITTEN = {"from_nth": "from"}
_FIELDS = {_WRITTEN.get(name, name): name for name in Rule.__dataclass_fields__}

# Which effects make sense where; AWS services are the places that are not named.
_EFFECTS = {
    "function": ("error", "answer", "answer_bytes", "kill", "timeout"),
    "model": ("answer", "answer_bytes", "status", "cut", "kill", "timeout"),
    "child": ("error", "timeout", "twice"),
    "lambda": ("error", "cut", "lost", "timeout"),
    "sagemaker-runtime": ("error", "cut", "lost", "answer", "answer_bytes", "timeout"),
    "*": ("error", "cut", "lost"),
}
_OF_ANY_SERVICE = ("error", "cut", "lost", "answer", "answer_bytes")
_ANYWHERE = ("stop", "hold", "crash")
_ALIASES = {"states": "stepfunctions"}


def effects_of(service: str) -> tuple[str, ...]:
    """The effects that a rule for the service or place may name; `delay` stands beside any or alone."""
    return (*_EFFECTS.get(service, _OF_ANY_SERVICE), *_ANYWHERE)


def rule_of(given: Any, where: str = "the fault") -> Rule:
    """The rule that a table of a file, or a test's dict, says. Raises `RuleError`, which begins with `where`."""
    try:
        return _checked(given)
    except RuleError as problem:
        raise RuleError(f"{where}: {problem}") from None


def rules_of(given: Any, where: str = "faults") -> list[Rule]:
    """The rules of a file's document, `{"fault": [rule, ...]}`. Raises `RuleError`."""
    faults = given.get("fault") if isinstance(given, Mapping) and given.keys() == {"fault"} else None
    if not isinstance(faults, Sequence) or isinstance(faults, str) or not faults:
        raise RuleError(f"{where}: expected a list of faults, [[fault]] in TOML, received {_shown(given)}")
    return [rule_of(fault, f"{where}, fault {number}") for number, fault in enumerate(faults, start=1)]


def _checked(given: Any) -> Rule:
    if not isinstance(given, Mapping):
        raise RuleError(f"expected a table, received {_shown(given)}")
    for name in given:
        if name not in _FIELDS:
            near = difflib.get_close_matches(str(name), _FIELDS, 1)
            meant = f" (did you mean {near[0]}?)" if near else ""
            raise RuleError(f"received the field {name!r}{meant}, expected some of {', '.join(_FIELDS)}")
    if "service" not in given:
        raise RuleError("expected a service, such as s3, lambda, sagemaker-runtime, function, model or child")
    values = {_FIELDS[name]: _value(name, value) for name, value in given.items()}
    service = values["service"] = _ALIASES.get(values["service"], values["service"])
    if service not in (*PLACES, "*") and errors.service_model(service) is None:
        raise RuleError(
            f'service: received {_shown(service)}, expected {", ".join(PLACES)}, "*" for any AWS service, '
            "or a service by its name in boto3, such as s3, lambda or sagemaker-runtime"
        )
    rule = Rule(**values)
    _check_choice(rule)
    _check_action(rule)
    _check_effect(rule, given)
    return rule


def _value(name: str, value: Any) -> Any:
    kind = type(_DEFAULTS.get(_FIELDS[name]))
    if name in ("nth", "from", "at_most", "answer_bytes"):
        least = 2 if name == "answer_bytes" else 1
        _expect(name, value, _whole(value) and value >= least, f"a whole number, {least} or more")
    elif name == "seed":
        _expect(name, value, _whole(value), "a whole number")
    elif name == "status":
        _expect(name, value, _whole(value) and 200 <= value <= 599, "an HTTP status, 200 to 599")
    elif name in ("share", "delay"):
        number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        most, allowed = (1, "a number from 0 to 1") if name == "share" else (math.inf, "seconds, 0 or more")
        _expect(name, value, number and 0 <= value <= most, allowed)
        return float(value)
    elif name == "lost":
        _expect(name, value, value in LOST, " or ".join(map(_shown, LOST)))
    elif kind is bool:
        _expect(name, value, value is True, "true, or to be left out")
    else:
        _expect(name, value, isinstance(value, str), "text")
    return value


def _check_choice(rule: Rule) -> None:
    if rule.nth is not None and (rule.from_nth != 1 or rule.share is not None):
        raise RuleError('received "nth" beside "from" or "share", expected nth alone: it means one call')
    if rule.caller != "*" and rule.service in PLACES:
        raise RuleError(f"received a caller for {rule.service}, expected it for AWS services only")


def _check_action(rule: Rule) -> None:
    """An action that is no operation of the service would never meet a call."""
    if rule.service in PLACES:
        known = ["Run"]
    else:
        model = errors.service_model(rule.service)
        known = list(model.operation_names) if model is not None else []
    if known and not any(matches(rule.action, name) for name in known):
        near = difflib.get_close_matches(rule.action, known, 1) or known[:1]
        raise RuleError(
            f"action: received {_shown(rule.action)}, expected an operation of {rule.service}, such as {near[0]}"
        )


def _check_effect(rule: Rule, given: Mapping[str, Any]) -> None:
    allowed = effects_of(rule.service)
    every = {name for effects in (*_EFFECTS.values(), _OF_ANY_SERVICE, _ANYWHERE) for name in effects}
    named = [name for name in given if name in every]
    if rule.error is not None or (rule.service == "model" and rule.body is not None):
        named = [name for name in named if name != "status"]  # which goes with these
    for name in named:
        if name not in allowed:
            raise RuleError(f"received {name} for {rule.service}, expected one of {', '.join(allowed)}")
    if len(named) > 1:
        raise RuleError(f"received {' and '.join(named)}, expected one thing to happen; delay may stand beside it")
    if not named and "delay" not in given:
        raise RuleError(f"expected what happens: one of {', '.join(allowed)}, or delay")
    if rule.message is not None and rule.error is None:
        raise RuleError("received a message without an error, expected both")
    if "status" in given and rule.service in ("function", "child"):
        raise RuleError(f"received a status for {rule.service}, expected an error without one")
    if rule.error is not None and rule.service not in PLACES:
        _check_error(rule)
    if rule.service == "function" and rule.answer is not None:
        try:
            json.loads(rule.answer)
        except ValueError as problem:
            raise RuleError(f"answer: received {_shown(rule.answer)}, expected JSON, as a handler's is") from problem


def _check_error(rule: Rule) -> None:
    known = {*errors.errors_of(rule.service), *errors.CALLERS, errors.TRANSIENT}
    if rule.error not in known and rule.status is None:
        near = difflib.get_close_matches(str(rule.error), known, 1)
        meant = f" (did you mean {near[0]}?)" if near else ""
        raise RuleError(
            f"error: received {_shown(rule.error)}{meant}, expected an error of {rule.service} "
            f"({', '.join(sorted(known))}), or a status beside it"
        )


def _expect(name: str, value: Any, holds: bool, allowed: str) -> None:
    if not holds:
        raise RuleError(f"{name}: received {_shown(value)}, expected {allowed}")


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 80 else text[:77] + "..."


@lru_cache(maxsize=1024)
def _parts(pattern: str) -> tuple[str, ...]:
    return tuple(pattern.split("*"))


def matches(pattern: str, text: str) -> bool:
    """Whether the text is the pattern, in which `*` is any text; nothing else is special."""
    if pattern in ("*", text):
        return True
    first, *middle = _parts(pattern)
    if not middle or not text.startswith(first):
        return False
    *middle, last = middle
    at = len(first)
    for part in middle:
        found = text.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return len(text) - at >= len(last) and text.endswith(last)
