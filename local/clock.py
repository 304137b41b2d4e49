"""The clock of the embedded AWS: waits take their share of the real time."""

from __future__ import annotations

import asyncio
import os


class Clock:
    """Waits for Wait states, between retries and while an endpoint's update is watched.

    A `scale` of 0.01 makes a minute last 0.6 s; timeouts stay real.
    """

    def __init__(self, scale: float | None = None) -> None:
        self.scale = float(os.environ.get("SLUICE_WAIT_SCALE", "1")) if scale is None else scale

    async def sleep(self, seconds: float) -> None:
        """Waits for `seconds` of the clock's time."""
        await asyncio.sleep(max(seconds, 0) * self.scale)
