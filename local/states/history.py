"""An execution's history, in the shapes of GetExecutionHistory.

https://docs.aws.amazon.com/step-functions/latest/apireference/API_HistoryEvent.html
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Protocol

from local.states.documents import text
from local.states.failures import RUNTIME, StateFailure

Json = Any

MAX_EVENTS = 25_000
"""https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html"""

_INCLUDED = {"truncated": False}


class Recorder(Protocol):
    """Takes down what happens. Each event names the one before it in its own branch."""

    def add(self, kind: str, previous: int, details: dict[str, Json] | None = None, key: str = "") -> int:
        """Notes one event and gives its id."""
        ...


class History:
    """The events of a Standard execution, bounded as in AWS."""

    def __init__(self) -> None:
        self._events: list[tuple[float, str, int, str, dict[str, Json] | None]] = []

    def __len__(self) -> int:
        return len(self._events)

    def add(self, kind: str, previous: int, details: dict[str, Json] | None = None, key: str = "") -> int:
        """Notes one event and gives its id. Raises `StateFailure` when the history is full."""
        if len(self._events) >= MAX_EVENTS - 1 and kind not in _LAST:
            raise StateFailure(
                RUNTIME,
                f"The execution reached the maximum number of history events ({MAX_EVENTS}).",
                terminal=True,
            )
        self._events.append((time.time(), kind, previous, key, details))
        return len(self._events)

    def events(self, *, newest_first: bool = False, data: bool = True) -> Iterator[dict[str, Json]]:
        """The events as the API gives them; without `data`, inputs, outputs and variables are left out."""
        numbered = list(enumerate(self._events, start=1))
        for number, (moment, kind, previous, key, details) in reversed(numbered) if newest_first else numbered:
            event: dict[str, Json] = {
                "timestamp": moment,
                "type": kind,
                "id": number,
                "previousEventId": previous,
            }
            if key:
                event[key] = rendered(details or {}, data)
            yield event


class NoHistory:
    """For Express executions: AWS keeps no history of them."""

    def __init__(self) -> None:
        self._count = 0

    def add(self, _kind: str, _previous: int, _details: dict[str, Json] | None = None, _key: str = "") -> int:
        """Counts, so that messages that name an event have its number."""
        self._count += 1
        return self._count


_LAST = frozenset({"ExecutionSucceeded", "ExecutionFailed", "ExecutionTimedOut", "ExecutionAborted"})
_DOCUMENTS = frozenset({"input", "output", "parameters"})


def rendered(details: dict[str, Json], data: bool) -> dict[str, Json]:
    """Documents are kept as values and written as JSON text only when somebody reads them."""
    shown: dict[str, Json] = {}
    for name, value in details.items():
        if name == "assignedVariables":
            if data:
                shown[name] = {variable: text(assigned) for variable, assigned in value.items()}
                shown[f"{name}Details"] = _INCLUDED
        elif name not in _DOCUMENTS:
            shown[name] = value
        elif data:
            shown[name] = text(value)
            if name != "parameters":
                shown[f"{name}Details"] = _INCLUDED
    return shown
