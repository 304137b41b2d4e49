"""Runs the child executions of one Map Run: as many at once as allowed, failures counted, results collected.

https://docs.aws.amazon.com/step-functions/latest/dg/state-map-distributed.html
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from lambda_src.contract import MAX_CONCURRENCY, MAX_STATE_BYTES
from local.states.batches import Batch
from local.states.failures import (
    DATA_LIMIT_EXCEEDED,
    EXCEED_TOLERATED,
    ExecutionTimedOut,
    StateFailure,
)
from local.states.map_run import MapRun
from local.states.results import Child, rows_of

Json = Any

RunChild = Callable[[str, str, Batch], Awaitable[Json]]
"""(execution ARN, name, its input) -> the child's output. Raises `StateFailure`."""


class Conductor:
    """Runs the children of one run."""

    def __init__(self, run: MapRun, run_child: RunChild, transformation: str) -> None:
        self._run = run
        self._run_child = run_child
        self._transformation = transformation
        self._tasks: set[asyncio.Task[None]] = set()
        self._broken: BaseException | None = None

    async def conduct(self, batches: AsyncIterator[Batch]) -> list[Json]:
        """Runs every batch that has not succeeded before. Gives the rows of results in order, if no files hold them.

        Raises `StateFailure` (`States.ExceedToleratedFailureThreshold`), or what reading or writing raised.
        """
        run = self._run
        try:
            failed = await self._run_all(batches)
            if run.files is not None:
                await run.files.finish()
        except BaseException:
            await self._cancel()
            raise
        finally:
            # Recorded from AWS: results count as written without a ResultWriter too.
            run.items.written, run.executions.written = run.items.succeeded, run.executions.succeeded
        if failed:
            raise StateFailure(EXCEED_TOLERATED, "The specified tolerated failure threshold was exceeded")
        return [row for number in sorted(run.rows) for row in run.rows[number]]

    async def _run_all(self, batches: AsyncIterator[Batch]) -> bool:
        """True when more failed than is tolerated; what is left is noted as pending then."""
        failed = False
        async for batch in batches:
            if batch.number in self._run.done:
                continue
            failed = failed or await self._is_over_before_next()
            if failed:
                await self._leave_pending(batch)
            else:
                self._start(batch)
                await asyncio.sleep(0)  # children and callers of the API go on while items are read
        while self._tasks and not self._broken and not self._exceeded():
            await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        if self._exceeded():
            await self._cancel()
        if self._broken is not None:
            raise self._broken
        return failed or self._exceeded()

    def _exceeded(self) -> bool:
        run = self._run
        return run.tolerance.exceeded(run.items.unsuccessful, run.items.total)

    async def _is_over_before_next(self) -> bool:
        """Waits until a child may start; True when too many have failed for any more to."""
        run = self._run
        while not self._broken and not self._exceeded() and len(self._tasks) >= self._most():
            run.room.clear()
            await run.room.wait()
        if self._broken is not None:
            raise self._broken
        if self._exceeded():
            await self._cancel()
            return True
        return False

    def _most(self) -> int:
        return min(self._run.max_concurrency or MAX_CONCURRENCY, MAX_CONCURRENCY)

    def _start(self, batch: Batch) -> None:
        run = self._run
        run.executions.total += 1
        run.executions.running += 1
        run.items.running += batch.items
        task = asyncio.ensure_future(self._child(batch))
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._broken = self._broken or task.exception()
        self._run.room.set()

    async def _child(self, batch: Batch) -> None:
        run = self._run
        arn, name = self._child_arn()
        started = time.time()
        status, output, error, cause = "SUCCEEDED", None, None, None
        try:
            if (size := len(batch.text)) > MAX_STATE_BYTES:
                raise StateFailure(DATA_LIMIT_EXCEEDED, f"The input is {size} bytes, over {MAX_STATE_BYTES}")
            output = await self._run_child(arn, name, batch)
        except ExecutionTimedOut as failure:
            status, error, cause = "TIMED_OUT", failure.error, failure.cause
        except StateFailure as failure:
            status, error, cause = "FAILED", failure.error, failure.cause
        except asyncio.CancelledError:
            status = "ABORTED"
        times = moment(started), moment(time.time())
        child = Child(arn, name, run.child_machine_arn, status, batch.input, output, error, cause, *times)
        if run.files is not None:
            run.files.add(child)
        else:
            run.rows[batch.number] = list(rows_of(child, self._transformation))
        if status == "SUCCEEDED":
            run.done.add(batch.number)
        run.count(batch.items, status.lower())
        if run.files is not None:
            await run.files.flush()

    def _child_arn(self) -> tuple[str, str]:
        name = str(uuid.uuid4())
        kind = "express" if self._run.child_kind == "EXPRESS" else "execution"
        arn = self._run.child_machine_arn.replace(":stateMachine:", f":{kind}:")
        return (f"{arn}:{name}:{uuid.uuid4()}" if kind == "express" else f"{arn}:{name}"), name

    async def _leave_pending(self, batch: Batch) -> None:
        run = self._run
        run.executions.total += 1
        if run.files is not None:
            arn, name = self._child_arn()
            run.files.add(Child(arn, name, run.child_machine_arn, "PENDING", batch.input))
            await run.files.flush()

    async def _cancel(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def moment(seconds: float) -> str:
    """Seconds since the epoch as result files show them."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
