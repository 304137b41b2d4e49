"""What is known of one run of a distributed Map: its counts, what it bears, and how far it came.

https://docs.aws.amazon.com/step-functions/latest/dg/state-map-distributed.html
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

from local.states.marks import Marks
from local.states.results import ResultFiles

Json = Any


@dataclass
class Counts:
    """Executions or items by how they stand, as DescribeMapRun tells them."""

    total: int = 0
    running: int = 0
    succeeded: int = 0
    failed: int = 0
    timed_out: int = 0
    aborted: int = 0
    written: int = 0

    @property
    def pending(self) -> int:
        """Those that have not begun."""
        return self.total - self.running - self.succeeded - self.unsuccessful - self.aborted

    @property
    def unsuccessful(self) -> int:
        """Those that count against the tolerance."""
        return self.failed + self.timed_out

    def described(self) -> dict[str, int]:
        """As the API writes them."""
        return {
            "pending": max(self.pending, 0),
            "running": self.running,
            "succeeded": self.succeeded,
            "failed": self.failed,
            "timedOut": self.timed_out,
            "aborted": self.aborted,
            "total": self.total,
            "resultsWritten": self.written,
        }


@dataclass
class Tolerance:
    """How many failed items a run bears; None is not said. Exceeding either fails the run."""

    count: int | None = None
    percentage: float | None = None

    def exceeded(self, failed: int, total: int) -> bool:
        """Whether `failed` of `total` items are too many. With nothing said, one is."""
        if not failed:
            return False
        if self.count is None and self.percentage is None:
            return True
        over_count = self.count is not None and failed > self.count
        over_share = self.percentage is not None and failed * 100 > self.percentage * total
        return over_count or over_share


@dataclass
class MapRun:
    """What is known of a run; the engine keeps it, and the API describes and updates it."""

    arn: str
    execution_arn: str
    machine_arn: str
    label: str
    child_kind: str
    max_concurrency: int
    tolerance: Tolerance
    status: str = "RUNNING"
    started: float = field(default_factory=time.time)
    stopped: float | None = None
    redrives: int = 0
    redriven: float | None = None
    items: Counts = field(default_factory=Counts)
    executions: Counts = field(default_factory=Counts)
    done: Marks = field(default_factory=Marks)
    """The numbers of the batches that succeeded, so that a redrive runs the others."""

    rows: dict[int, list[Json]] = field(default_factory=dict)
    """What each batch adds to the state's own output, where no files were asked for."""

    etag: str | None = None
    """Which content of the data set's object the batches are of."""

    position: object = None
    """Which visit to a state of its execution made it."""

    files: ResultFiles | None = None
    room: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def child_machine_arn(self) -> str:
        """The ARN children name as their state machine: the machine's own and the Map's label."""
        return f"{self.machine_arn}/{self.label}"

    def count(self, items: int, status: str) -> None:
        """Counts one child that was running, and its items, by how it ended: an attribute of `Counts`."""
        for counts, number in ((self.items, items), (self.executions, 1)):
            counts.running -= number
            setattr(counts, status, getattr(counts, status) + number)

    def end(self, status: str) -> None:
        """Notes how the run ended."""
        self.status = status
        self.stopped = time.time()

    def redrive(self) -> None:
        """Makes the run ready to run again what did not succeed; the counts of what did are kept."""
        self.status, self.stopped = "RUNNING", None
        self.redrives += 1
        self.redriven = time.time()
        self.rows = {number: rows for number, rows in self.rows.items() if number in self.done}
        if self.files is not None:
            self.files.restart()
        self.executions.total = self.executions.succeeded
        for counts in (self.items, self.executions):
            counts.failed = counts.timed_out = counts.aborted = counts.running = 0

    def update(
        self, max_concurrency: int | None, tolerated_count: int | None, tolerated_percentage: float | None
    ) -> None:
        """Changes a run under way."""
        if max_concurrency is not None:
            self.max_concurrency = max_concurrency
        if tolerated_count is not None:
            self.tolerance.count = tolerated_count
        if tolerated_percentage is not None:
            self.tolerance.percentage = tolerated_percentage
        self.room.set()
