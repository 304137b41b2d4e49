"""A shadow variant: it gets a copy of a share of the requests, and nobody gets its answers.

https://docs.aws.amazon.com/sagemaker/latest/dg/shadow-tests.html
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from local.sagemaker.fleet import Fleet, NoServer, Variant
from local.sagemaker.instance import Instance

Send = Callable[[Variant, Instance], Awaitable[object]]


class Shadowed:
    """The servers of an endpoint (see `Servers`), and beside them those of its shadow variant."""

    def __init__(self, production: Fleet, shadow: Fleet) -> None:
        self.production, self.shadow = production, shadow
        self.serving = production.serving
        # The share that a shadow variant gets is its weight beside the production variants'.
        weights = sum(variant.weight for variant in production.variants)
        self._share = min(shadow.variants[0].weight / weights, 1.0)
        self._credit = 0.0
        self._copies: set[asyncio.Task[None]] = set()

    @property
    def variants(self) -> list[Variant]:
        return self.production.variants

    async def start(self) -> None:
        """Starts both. Raises `ServerFailed`, and leaves no server then."""
        await self.production.start()
        try:
            await self.shadow.start()
        except BaseException:
            await self.production.stop()
            raise

    def copy(self, send: Send) -> None:
        """Sends a request to the shadow too, if it is its turn; nobody waits for it."""
        self._credit += self._share
        if self._credit > 1 - 1e-9:
            self._credit -= 1
            task = asyncio.create_task(self._send(send))
            self._copies.add(task)
            task.add_done_callback(self._copies.discard)

    async def drain(self) -> None:
        """Stops every server after the requests under way."""
        await self.production.drain()
        await self.shadow.drain()

    async def stop(self) -> None:
        """Stops every server now."""
        await asyncio.gather(self.production.stop(), self.shadow.stop())

    async def _send(self, send: Send) -> None:
        with contextlib.suppress(NoServer):
            async with self.shadow.serving(None) as chosen:
                await send(*chosen)
