"""Reads a definition, and refuses what the engine does not know or AWS would not take.

JSONata definitions only. The fields of each state follow https://states-language.net/spec.html and
https://docs.aws.amazon.com/step-functions/latest/dg/workflow-states.html.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from local.states import definition as d
from local.states import map_parser
from local.states.calling import Followed, UnknownIntegration
from local.states.expressions import Expression, Render, SyntaxProblem, compile_template, is_expression
from local.states.failures import ALL, Retrier
from local.states.integrations import WithToken, find_integration
from local.states.problems import (
    INVALID_JSON,
    MISSING_TARGET,
    QUERY,
    SCHEMA,
    InvalidDefinition,
    Problem,
    Problems,
)

Json = Any

_MAX_NAME = 80
_MAX_SECONDS = 99_999_999
_TRANSITION = frozenset({"Next", "End"})
_COMMON = frozenset({"Type", "Comment", "QueryLanguage"})
_RESULT = frozenset({"Output", "Assign"})
_RESILIENT = _COMMON | _TRANSITION | _RESULT | {"Retry", "Catch"}
FIELDS = {
    "Task": _RESILIENT | {"Resource", "Arguments", "TimeoutSeconds", "HeartbeatSeconds"},
    "Pass": _COMMON | _TRANSITION | _RESULT,
    "Wait": _COMMON | _TRANSITION | _RESULT | {"Seconds", "Timestamp"},
    "Choice": _COMMON | _RESULT | {"Choices", "Default"},
    "Succeed": _COMMON | {"Output"},
    "Fail": _COMMON | {"Error", "Cause"},
    "Parallel": _RESILIENT | {"Arguments", "Branches"},
    "Map": _RESILIENT | map_parser.FIELDS,
}
"""The fields each type of state may have in JSONata."""

JSONPATH_FIELDS = frozenset(
    {
        "InputPath", "OutputPath", "ResultPath", "Parameters", "ResultSelector", "ItemsPath", "SecondsPath",
        "TimestampPath", "TimeoutSecondsPath", "HeartbeatSecondsPath", "ErrorPath", "CausePath", "Iterator",
        "MaxConcurrencyPath", "ToleratedFailureCountPath", "ToleratedFailurePercentagePath", "Result",
    }
)  # fmt: skip
_NOT_RUN = {
    "Credentials": "every call is made with the state machine's own role",
}
_RETRY_FIELDS = frozenset(
    {
        "ErrorEquals",
        "IntervalSeconds",
        "MaxAttempts",
        "BackoffRate",
        "MaxDelaySeconds",
        "JitterStrategy",
        "Comment",
    }
)
_CATCH_FIELDS = frozenset({"ErrorEquals", "Next", "Output", "Assign", "Comment"})
_CHOICE_FIELDS = frozenset({"Condition", "Next", "Output", "Assign", "Comment"})
_MACHINE_FIELDS = frozenset({"StartAt", "States", "Comment", "QueryLanguage", "TimeoutSeconds", "Version"})
_BRANCH_FIELDS = frozenset({"StartAt", "States", "Comment", "QueryLanguage"})


def parse(text: str, kind: str = "STANDARD") -> d.Machine:
    """The machine that `text` defines, for a state machine of type `kind` (STANDARD or EXPRESS).

    Raises `InvalidDefinition` with every problem found.
    """
    try:
        document = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError) as problem:
        raise InvalidDefinition([Problem(INVALID_JSON, str(problem), "")]) from problem
    if not isinstance(document, dict):
        raise InvalidDefinition([Problem(SCHEMA, "Definition must be a valid JSON object", "")])
    reader = Reader(kind)
    machine = reader.machine(document, "", _MACHINE_FIELDS)
    if reader.problems.found or machine is None:
        raise InvalidDefinition(reader.problems.found)
    return machine


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _without_duplicates(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"Duplicate field '{next(name for name in names if names.count(name) > 1)}'")
    return found


class Reader:
    """One reading of one definition; problems gather as it goes."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.problems = Problems()
        self.names: set[str] = set()

    def machine(self, value: Json, at: str, allowed: frozenset[str]) -> d.Machine | None:
        """A set of states with its start, at the path `at`."""
        if not isinstance(value, dict):
            self.problems.add("Expected a JSON object", at)
            return None
        self.check_fields(value, at, allowed)
        language = value.get("QueryLanguage", "JSONata" if at else "JSONPath")
        if language != "JSONata":
            self.problems.add(
                f"The embedded AWS does not run the QueryLanguage '{language}', only JSONata",
                f"{at}/QueryLanguage",
            )
            return None
        missing = [name for name in ("States", "StartAt") if name not in value]
        if missing:
            self.problems.add(f"These fields are required: [{', '.join(missing)}]", at or "/")
            return None
        if not isinstance(value["States"], dict) or not value["States"]:
            self.problems.add("Value cannot be empty", f"{at}/States")
            return None
        states = {
            name: state
            for name, body in value["States"].items()
            if (state := self._state(name, body, f"{at}/States/{name}")) is not None
        }
        if not isinstance(value["StartAt"], str):
            self.problems.add("The field 'StartAt' must be a string", f"{at}/StartAt")
            return None
        self._check_reachable(value, at)
        timeout = self.constant_number(value, "TimeoutSeconds", at, lowest=1)
        return d.Machine(value["StartAt"], states, timeout)

    def check_fields(self, value: dict[str, Json], at: str, allowed: Iterable[str]) -> None:
        for name in value:
            if name in allowed:
                continue
            if name in JSONPATH_FIELDS:
                self.problems.add(f"The field '{name}' is of JSONPath and cannot be used with JSONata", f"{at}/{name}")
            elif name in _NOT_RUN:
                self.problems.add(f"The embedded AWS does not run '{name}': {_NOT_RUN[name]}", f"{at}/{name}")
            else:
                self.problems.add(f"The field '{name}' is not supported here", f"{at}/{name}")

    def _check_reachable(self, value: dict[str, Json], at: str) -> None:
        states = value["States"]
        if value["StartAt"] not in states:
            self.problems.add(f"Missing 'StartAt' target: {value['StartAt']}", f"{at}/StartAt", MISSING_TARGET)
            return
        reached = set()
        ahead = [value["StartAt"]]
        while ahead:
            name = ahead.pop()
            if name in reached:
                continue
            reached.add(name)
            for field, target, where in _targets(states[name]):
                if target in states:
                    ahead.append(target)
                else:
                    message = f"Missing '{field}' target: {target}"
                    self.problems.add(message, f"{at}/States/{name}{where}", MISSING_TARGET)
        for name in states:
            if name not in reached:
                self.problems.add(f'State "{name}" is not reachable.', f"{at}/States/{name}", MISSING_TARGET)

    def _state(self, name: str, body: Json, at: str) -> d.State | None:
        if len(name) > _MAX_NAME:
            self.problems.add(f"State name must be at most {_MAX_NAME} characters, not {len(name)}", at)
        if name in self.names:
            self.problems.add(f"Duplicate State name: {name}", at, "DUPLICATE_STATE_NAME")
        self.names.add(name)
        if not isinstance(body, dict):
            self.problems.add("Expected a JSON object", at)
            return None
        kind = body.get("Type")
        if kind not in FIELDS:
            self.problems.add(
                "The field 'Type' should have one of these values: "
                "[Task, Wait, Pass, Succeed, Fail, Choice, Parallel, Map]",
                f"{at}/Type",
            )
            return None
        if body.get("QueryLanguage", "JSONata") != "JSONata":
            self.problems.add("QueryLanguage can not be 'JSONPath' if set to 'JSONata' for whole state machine", at)
        self.check_fields(body, at, FIELDS[kind])
        build: Callable[[str, dict[str, Json], str], d.State | None] = getattr(self, f"_{kind.lower()}")
        return build(name, body, at)

    # The types of state

    def _task(self, name: str, body: dict[str, Json], at: str) -> d.State | None:
        integration = None
        resource = body.get("Resource")
        if not isinstance(resource, str):
            self.problems.add("These fields are required: [Resource]", at)
        else:
            try:
                integration = find_integration(resource, self.kind)
                for message, where in integration.problems(body.get("Arguments")):
                    self.problems.add(message, f"{at}/Arguments{where}")
            except UnknownIntegration as problem:
                self.problems.add(str(problem), f"{at}/Resource")
        arguments = self.template(body, "Arguments", at)
        timeout = self.seconds(body, "TimeoutSeconds", at, lowest=1)
        heartbeat = self.seconds(body, "HeartbeatSeconds", at, lowest=1)
        then, retriers, catchers = self.then(body, at), self.retriers(body, at), self.catchers(body, at)
        if integration is None:
            return None
        waits = isinstance(integration, WithToken)
        followed = integration if isinstance(integration, Followed) else None
        if heartbeat is not None and not waits:
            self.problems.add(
                "The embedded AWS does not run 'HeartbeatSeconds' without .waitForTaskToken: nothing would send them",
                f"{at}/HeartbeatSeconds",
            )
        if isinstance(heartbeat, int | float) and isinstance(timeout, int | float) and heartbeat >= timeout:
            self.problems.add("'HeartbeatSeconds' must be smaller than 'TimeoutSeconds'", f"{at}/HeartbeatSeconds")
        return d.Task(name, then, retriers, catchers, integration, arguments, timeout, heartbeat, waits, followed)

    def _pass(self, name: str, body: dict[str, Json], at: str) -> d.State:
        return d.Pass(name, self.then(body, at))

    def _wait(self, name: str, body: dict[str, Json], at: str) -> d.State:
        if ("Seconds" in body) == ("Timestamp" in body):
            self.problems.add("Exactly one of [Seconds, Timestamp] is required", at)
        seconds = self.seconds(body, "Seconds", at, lowest=0)
        timestamp: Json = body.get("Timestamp")
        if is_expression(timestamp):
            timestamp = self._expression(timestamp, "Timestamp", at)
        elif timestamp is not None and not (isinstance(timestamp, str) and RFC3339.fullmatch(timestamp)):
            self.problems.add("String does not match RFC3339 timestamp", f"{at}/Timestamp")
        return d.Wait(name, self.then(body, at), seconds, timestamp)

    def _choice(self, name: str, body: dict[str, Json], at: str) -> d.State:
        choices = body.get("Choices")
        if not isinstance(choices, list) or not choices:
            self.problems.add("Value cannot be empty", f"{at}/Choices")
            choices = []
        branches = []
        for index, choice in enumerate(choices):
            where = f"{at}/Choices[{index}]"
            if not isinstance(choice, dict):
                self.problems.add("Expected a JSON object", where)
                continue
            self.check_fields(choice, where, _CHOICE_FIELDS)
            condition: Json = choice.get("Condition")
            if is_expression(condition):
                condition = self._expression(condition, f"Choices[{index}]/Condition", at)
            elif not isinstance(condition, bool):
                self.problems.add("The field 'Condition' must be a JSONata expression or a boolean", where)
            if not isinstance(choice.get("Next"), str):
                self.problems.add("These fields are required: [Next]", where)
            then = self._outcome(choice, at, f"Choices[{index}]/", choice.get("Next"))
            if condition is not None:
                branches.append((condition, then))
        if "Default" in body and not isinstance(body["Default"], str):
            self.problems.add("The field 'Default' must be a string", f"{at}/Default")
        then = self._outcome(body, at, "", body.get("Default"))
        return d.Choice(name, then, tuple(branches), "Default" in body)

    def _succeed(self, name: str, body: dict[str, Json], at: str) -> d.State:
        return d.Succeed(name, self._outcome(body, at, "", None))

    def _fail(self, name: str, body: dict[str, Json], at: str) -> d.State:
        for field in ("Error", "Cause"):
            if field in body and not isinstance(body[field], str):
                self.problems.add(f"The field '{field}' must be a string", f"{at}/{field}")
        error, cause = self.template(body, "Error", at), self.template(body, "Cause", at)
        return d.Fail(name, d.Transition(None), error, cause)

    def _parallel(self, name: str, body: dict[str, Json], at: str) -> d.State:
        branches = body.get("Branches")
        if not isinstance(branches, list) or not branches:
            self.problems.add("Value cannot be empty", f"{at}/Branches")
            branches = []
        read = [self.machine(branch, f"{at}/Branches[{i}]", _BRANCH_FIELDS) for i, branch in enumerate(branches)]
        machines = tuple(machine for machine in read if machine is not None)
        arguments = self.template(body, "Arguments", at)
        then, retriers, catchers = self.then(body, at), self.retriers(body, at), self.catchers(body, at)
        return d.Parallel(name, then, retriers, catchers, arguments, machines)

    def _map(self, name: str, body: dict[str, Json], at: str) -> d.State | None:
        return map_parser.read_map(self, name, body, at)

    # The parts that states share

    def then(self, body: dict[str, Json], at: str) -> d.Transition:
        for field, kind in (("Next", str), ("End", bool)):
            if field in body and not isinstance(body[field], kind):
                self.problems.add(f"The field '{field}' must be a {_KINDS[kind]}", f"{at}/{field}")
        if ("Next" in body) == (body.get("End") is True):
            self.problems.add("Exactly one of [Next, End] is required", at)
        return self._outcome(body, at, "", body.get("Next"))

    def _outcome(self, body: dict[str, Json], at: str, within: str, target: str | None) -> d.Transition:
        assign = body.get("Assign")
        if assign is not None and (not isinstance(assign, dict) or "states" in assign):
            message = "The field 'Assign' must be an object that does not assign 'states'"
            self.problems.add(message, f"{at}/{within}Assign")
        return d.Transition(
            target, self.template(body, "Output", at, within), self.template(body, "Assign", at, within)
        )

    def retriers(self, body: dict[str, Json], at: str) -> tuple[Retrier, ...]:
        retriers = []
        for where, entry, errors in self._error_entries(body, "Retry", at, _RETRY_FIELDS):
            interval = self.constant_number(entry, "IntervalSeconds", where, lowest=1)
            attempts = self.constant_number(entry, "MaxAttempts", where, lowest=0)
            rate = self.constant_number(entry, "BackoffRate", where, lowest=1.0, whole=False)
            longest = self.constant_number(entry, "MaxDelaySeconds", where, lowest=1)
            if longest is not None and longest <= (interval or 1):
                self.problems.add("MaxDelaySeconds must be greater than IntervalSeconds", f"{where}/MaxDelaySeconds")
            jitter = entry.get("JitterStrategy", "NONE")
            if jitter not in ("NONE", "FULL"):
                message = "The field 'JitterStrategy' should have one of these values: [FULL, NONE]"
                self.problems.add(message, f"{where}/JitterStrategy")
            retriers.append(
                Retrier(
                    errors,
                    1.0 if interval is None else interval,
                    3 if attempts is None else int(attempts),
                    2.0 if rate is None else rate,
                    longest,
                    jitter == "FULL",
                )
            )
        return tuple(retriers)

    def catchers(self, body: dict[str, Json], at: str) -> tuple[d.Catcher, ...]:
        catchers = []
        for index, (where, entry, errors) in enumerate(self._error_entries(body, "Catch", at, _CATCH_FIELDS)):
            if not isinstance(entry.get("Next"), str):
                self.problems.add("These fields are required: [Next]", where)
            catchers.append(d.Catcher(errors, self._outcome(entry, at, f"Catch[{index}]/", entry.get("Next"))))
        return tuple(catchers)

    def _error_entries(
        self, body: dict[str, Json], field: str, at: str, allowed: frozenset[str]
    ) -> list[tuple[str, dict[str, Json], tuple[str, ...]]]:
        entries = body.get(field, [])
        if not isinstance(entries, list):
            self.problems.add("Expected a JSON array", f"{at}/{field}")
            return []
        read = []
        for index, entry in enumerate(entries):
            where = f"{at}/{field}[{index}]"
            if not isinstance(entry, dict):
                self.problems.add("Expected a JSON object", where)
                continue
            self.check_fields(entry, where, allowed)
            errors = entry.get("ErrorEquals")
            if not isinstance(errors, list) or not errors or not all(isinstance(error, str) for error in errors):
                self.problems.add("ErrorEquals must be a list of error names, not empty", f"{where}/ErrorEquals")
                continue
            if ALL in errors and (len(errors) > 1 or index < len(entries) - 1):
                message = f"{ALL} must appear alone in the last {'retrier' if field == 'Retry' else 'catcher'}"
                self.problems.add(message, f"{where}/ErrorEquals")
            read.append((where, entry, tuple(errors)))
        return read

    def template(self, body: dict[str, Json], field: str, at: str, within: str = "") -> Render | None:
        if field not in body:
            return None
        try:
            return compile_template(body[field], within + field)
        except SyntaxProblem as problem:
            self.problems.add(str(problem), f"{at}/{within}{field}", QUERY)
            return None

    def _expression(self, text: Json, field: str, at: str) -> Expression | None:
        try:
            return Expression(text[2:-2].strip(), field)
        except SyntaxProblem as problem:
            self.problems.add(str(problem), f"{at}/{field}", QUERY)
            return None

    def seconds(self, body: dict[str, Json], field: str, at: str, lowest: int) -> d.Seconds | None:
        if is_expression(body.get(field)):
            return self._expression(body[field], field, at)
        return self.constant_number(body, field, at, lowest)

    def constant_number(
        self, body: dict[str, Json], field: str, at: str, lowest: float, *, whole: bool = True
    ) -> float | None:
        if field not in body:
            return None
        value = body[field]
        numeric = isinstance(value, int | float) and not isinstance(value, bool) and (not whole or value == int(value))
        if not numeric or not lowest <= value <= _MAX_SECONDS:
            kind = "a whole number" if whole else "a number"
            message = f"The field '{field}' must be {kind} of at least {lowest}, not {json.dumps(value)}"
            self.problems.add(message, f"{at}/{field}")
            return None
        return float(value)


_KINDS = {str: "string", bool: "boolean"}
RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
"""What Wait's Timestamp may look like."""


def _targets(body: Json) -> list[tuple[str, str, str]]:
    """Where a state may go: field, target, and the path below the state."""
    if not isinstance(body, dict):
        return []
    found = [(field, body[field], f"/{field}") for field in ("Next", "Default") if isinstance(body.get(field), str)]
    for lists in ("Choices", "Catch"):
        entries: Json = body.get(lists)
        if not isinstance(entries, list):
            continue
        for index, entry in enumerate(entries):
            if isinstance(entry, dict) and isinstance(entry.get("Next"), str):
                found.append(("Next", entry["Next"], f"/{lists}[{index}]/Next"))
    return found
