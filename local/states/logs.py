"""Log delivery: the events of an execution as JSON lines in the log group of its state machine.

Levels and fields: https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from local.states.documents import text
from local.states.history import Recorder, rendered

Json = Any

_LONGEST_BUFFER = 1000
_DELIVERY_SECONDS = 1.0
"""How long a line may stay here while its execution goes on; AWS promises no time."""

_FATAL = frozenset({"ExecutionAborted", "ExecutionFailed", "ExecutionTimedOut"})
_ENDS_OF_ERRORS = ("Failed", "Aborted", "TimedOut")


class Lines(Protocol):
    """Where log lines go."""

    def put_log_lines(self, group: str, stream: str, lines: list[tuple[int, str]]) -> None:
        """Appends (milliseconds since the epoch, text) lines to a stream, if its group exists."""
        ...


@dataclass(frozen=True)
class Delivery:
    """What a state machine's `loggingConfiguration` asks for."""

    level: str
    data: bool
    group: str

    @classmethod
    def of(cls, logging: dict[str, Json]) -> Delivery | None:
        """None when nothing is to be logged. Raises ValueError for a configuration that AWS does not take."""
        level = logging.get("level", "OFF")
        if level == "OFF":
            return None
        destinations = logging.get("destinations", [])
        if len(destinations) != 1:
            raise ValueError("Must specify exactly one Log Destination.")
        arn = destinations[0].get("cloudWatchLogsLogGroup", {}).get("logGroupArn", "")
        group = arn.partition(":log-group:")[2].removesuffix(":*")
        if not group:
            raise ValueError("Log Destination not found.")
        return cls(level, bool(logging.get("includeExecutionData", False)), group)

    def takes(self, kind: str) -> bool:
        """Whether an event of that type is of this level."""
        if self.level == "ALL" or kind in _FATAL:
            return True
        return self.level == "ERROR" and (kind == "FailStateEntered" or kind.endswith(_ENDS_OF_ERRORS))


class EventLog:
    """A recorder that also logs what another one records. Lines are made and delivered many at a time."""

    def __init__(
        self, recorder: Recorder, delivery: Delivery, lines: Lines, *, machine: str, execution: str, redrives: int = 0
    ) -> None:
        self._recorder = recorder
        self._delivery = delivery
        self._lines = lines
        self._execution = execution
        self._redrives = redrives
        started = datetime.now(UTC)
        unique = hashlib.sha256(execution.encode()).hexdigest()[:8]
        self._stream = f"states/{machine}/{started:%Y-%m-%d-%H-%M}/{unique}"
        self._waiting: list[tuple[float, int, str, int, dict[str, Json] | None]] = []
        self._timer: asyncio.TimerHandle | None = None

    def add(self, kind: str, previous: int, details: dict[str, Json] | None = None, key: str = "") -> int:
        """See `Recorder`."""
        number = self._recorder.add(kind, previous, details, key)
        if self._delivery.takes(kind):
            self._waiting.append((time.time(), number, kind, previous, details))
            if len(self._waiting) >= _LONGEST_BUFFER:
                self.flush()
            elif self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(_DELIVERY_SECONDS, self.flush)
        return number

    def flush(self) -> None:
        """Delivers what is waiting."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waiting, self._waiting = self._waiting, []
        if waiting:
            lines = [(int(event[0] * 1000), self._line(*event)) for event in waiting]
            self._lines.put_log_lines(self._delivery.group, self._stream, lines)

    def _line(self, moment: float, number: int, kind: str, previous: int, details: dict[str, Json] | None) -> str:
        return text(
            {
                "id": str(number),
                "type": kind,
                "details": rendered(details or {}, self._delivery.data),
                "previous_event_id": str(previous),
                "event_timestamp": str(int(moment * 1000)),
                "execution_arn": self._execution,
                "redrive_count": str(self._redrives),
            }
        )
