"""The warm processes of one version of a function: more on demand to a bound, then callers queue."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from local.functions.process import Process

# More processes than this would only wait for each other on the machine's cores.
MAX_PROCESSES = max(4, 2 * (os.cpu_count() or 1))
IDLE_SECONDS = 60.0


class Pool:
    """At most MAX_PROCESSES processes, each started by `start` when no idle one is there."""

    def __init__(self, start: Callable[[], Awaitable[Process]]) -> None:
        self._start = start
        self._slots = asyncio.Semaphore(MAX_PROCESSES)
        self._idle: list[Process] = []
        self._all: set[Process] = set()
        self._retired = False
        self._reaper: asyncio.TimerHandle | None = None

    @asynccontextmanager
    async def process(self) -> AsyncIterator[Process]:
        """A process for one call, kept for the next unless it has ended or failed to load its handler."""
        async with self._slots:
            process = self._take() or await self._start()
            self._all.add(process)
            try:
                yield process
            except BaseException:
                self._discard(process)
                raise
            if self._retired or not process.alive or process.init_error is not None:
                self._discard(process)
            else:
                process.idle_since = time.monotonic()
                self._idle.append(process)
                if self._reaper is None and len(self._idle) > 1:
                    self._reaper = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._reap)

    def retire(self) -> None:
        """Ends the idle processes now, and those that run after their call."""
        self._retired = True
        while self._idle:
            self._discard(self._idle.pop())

    def close(self) -> None:
        """Ends every process now."""
        self.retire()
        for process in list(self._all):
            self._discard(process)
        if self._reaper is not None:
            self._reaper.cancel()

    def _take(self) -> Process | None:
        # The one used last comes first, so that surplus ones stay idle and are ended.
        while self._idle:
            process = self._idle.pop()
            if process.alive:
                return process
            self._discard(process)
        return None

    def _discard(self, process: Process) -> None:
        self._all.discard(process)
        process.close()

    def _reap(self) -> None:
        self._reaper = None
        now = time.monotonic()
        for process in [p for p in self._idle[:-1] if now - p.idle_since >= IDLE_SECONDS]:
            self._idle.remove(process)
            self._discard(process)
        if len(self._idle) > 1:
            self._reaper = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._reap)
