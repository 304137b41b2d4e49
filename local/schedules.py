"""The schedules of EventBridge's rules: MiniStack keeps them, and nothing of it runs them here."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol

from local.clock import Clock

MINUTE = 60.0
"""The shortest time of a schedule. https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html"""

MOST_OFTEN, MOST_RARELY = 0.05, 1.0
"""How often it is looked whether a time has come, in real seconds."""


SHORTEST = 1e-4
"""How short time can be made here: a day lasts 9 seconds."""


class Rules(Protocol):
    """What it takes of the embedded AWS."""

    def has_schedules(self) -> bool: ...

    def run_schedules(self, now: float) -> None: ...


def install(rules: Rules, clock: Clock | None = None) -> Callable[[], Awaitable[None]]:
    """Runs schedules by the clock, whose minutes may be short, from now on; what it returns ends that."""
    running = asyncio.create_task(_run(rules, clock or Clock()))

    async def close() -> None:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running

    return close


async def _run(rules: Rules, clock: Clock) -> None:
    began = time.time()
    scale = max(clock.scale, SHORTEST)
    pause = min(max(MINUTE * scale / 2, MOST_OFTEN), MOST_RARELY)
    while True:
        await asyncio.sleep(pause)
        if rules.has_schedules():
            await asyncio.to_thread(rules.run_schedules, began + (time.time() - began) / scale)
