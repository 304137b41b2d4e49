"""Watches a job until it ends: a live bar on a terminal, now and then a line of text elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.text import Text

from jobs.job import Counts, Job, find, live
from jobs.stack import Stack
from lambda_src.contract import visible

FIRST_PAUSE = 0.2
LONGEST_PAUSE = 2.0
LINE_SECONDS = 10.0
"""How long a log without a terminal stays silent while a job runs."""


class Watcher(Protocol):
    """What is told of a job under way."""

    def __call__(self, counts: Counts | None) -> None: ...


def watch(stack: Stack, job: str, told: Watcher, pause: Callable[[float], None] = time.sleep) -> Job:
    """Waits for the job's end and returns it. Asks AWS every 0.2 s at first, every 2 s in the end."""
    seconds = FIRST_PAUSE
    while True:
        found = find(stack, job)
        told(live(stack, job))
        if not found.running:
            return found
        pause(seconds)
        seconds = min(seconds * 1.3, LONGEST_PAUSE)


class _Rate(ProgressColumn):
    """Records a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f}/s")


@contextmanager
def job_progress(console: Console, job: str) -> Iterator[Watcher]:
    """A live bar of the records done, failed, per second and the time left; lines where there is no terminal."""
    if not console.is_terminal:
        yield _Lines(console, job)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[failed]} failed"),
        _Rate(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bars:
        bar = bars.add_task("starting", total=None, failed=0)

        def told(counts: Counts | None) -> None:
            if counts is not None:
                bars.update(
                    bar,
                    description="running",
                    completed=counts.done,
                    total=counts.total or None,
                    failed=counts.failed,
                )

        yield told


class _Lines:
    """A line of text when something has moved, and never more often than every ten seconds."""

    def __init__(self, console: Console, job: str) -> None:
        self._console, self._job = console, job
        self._started = self._last = time.monotonic()
        self._shown: Counts | None = None

    def __call__(self, counts: Counts | None) -> None:
        now = time.monotonic()
        if counts is None or counts == self._shown or now - self._last < LINE_SECONDS:
            return
        rate = counts.done / (now - self._started)
        line = (
            f"{self._job}: {counts.done} of {counts.total} records done, {counts.failed} failed, {rate:.0f} per second"
        )
        self._console.print(visible(line), soft_wrap=True)
        self._last, self._shown = now, counts


@contextmanager
def upload_progress(console: Console, size: int) -> Iterator[Callable[[int], None]]:
    """A bar of the bytes sent; nothing where there is no terminal."""
    if not console.is_terminal:
        yield lambda _sent: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bars:
        bar: TaskID = bars.add_task("uploading", total=size or None)
        yield lambda sent: bars.advance(bar, sent)
