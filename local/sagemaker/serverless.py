"""The servers behind a serverless endpoint: started when a request needs one, gone when none has come for a while."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import aiohttp

from local.sagemaker.fleet import Busy, NoServer, Variant, healthy
from local.sagemaker.instance import Instance, ServerFailed

MAX_PROCESSES = 4
"""How many servers one endpoint has on this machine at most. Further requests within the endpoint's concurrency
wait for one of them, where AWS would start more."""

IDLE_SECONDS = 300.0
"""How long a server without requests stays. AWS does not say how long it keeps one."""


class ServerlessFleet:
    """One variant that scales between no server and `concurrency` requests at once.

    https://docs.aws.amazon.com/sagemaker/latest/dg/serverless-endpoints.html
    """

    def __init__(
        self,
        variant: Variant,
        concurrency: int,
        session: aiohttp.ClientSession,
        *,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        self.variants = [variant]
        self.concurrency = concurrency
        self._session = session
        self._idle_seconds = idle_seconds
        self._processes = asyncio.Semaphore(MAX_PROCESSES)
        self._under_way = 0
        self._idle: list[tuple[Instance, asyncio.TimerHandle]] = []
        self._stopping: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Shows that the model loads, and leaves no server. Raises `ServerFailed`, as `Fleet.start`."""
        await (await healthy(self.variants[0], self._session)).stop()

    @contextlib.asynccontextmanager
    async def serving(self, target: str | None) -> AsyncIterator[tuple[Variant, Instance]]:
        """A server for one request: one that idles, or a new one, which takes as long as the model needs to load.

        Raises `Busy` when the endpoint has as many requests as it may have at once, and `NoServer` when a new
        server does not come up.
        """
        if self._under_way >= self.concurrency:
            raise Busy
        self._under_way += 1
        try:
            async with self._processes:
                instance = self._idling() or await self._begin()
                try:
                    yield self.variants[0], instance
                except BaseException:
                    self._retire(instance)  # it has ended, or is still at work on what nobody waits for
                    raise
                self._rest(instance)
        finally:
            self._under_way -= 1

    async def drain(self) -> None:
        """Stops every server after the requests under way."""
        while self._under_way:
            await asyncio.sleep(0.05)
        await self.stop()

    async def stop(self) -> None:
        """Stops every server now."""
        for _, timer in self._idle:
            timer.cancel()
        self._idle.clear()
        instances = self.variants[0].instances
        await asyncio.gather(*(instance.stop() for instance in instances), *self._stopping)
        instances.clear()

    async def _begin(self) -> Instance:
        variant = self.variants[0]
        try:
            instance = await healthy(variant, self._session)
        except ServerFailed as error:
            raise NoServer(str(error)) from error
        variant.instances.append(instance)
        return instance

    def _idling(self) -> Instance | None:
        """The server that was used last: so the others can go."""
        while self._idle:
            instance, timer = self._idle.pop()
            timer.cancel()
            if instance.alive:
                return instance
            self._retire(instance)
        return None

    def _rest(self, instance: Instance) -> None:
        loop = asyncio.get_running_loop()
        timer = loop.call_later(self._idle_seconds, lambda: self._forget(instance))
        self._idle.append((instance, timer))

    def _forget(self, instance: Instance) -> None:
        self._idle = [(other, timer) for other, timer in self._idle if other is not instance]
        self._retire(instance)

    def _retire(self, instance: Instance) -> None:
        if instance not in self.variants[0].instances:
            return  # the fleet was stopped meanwhile
        self.variants[0].instances.remove(instance)
        task = asyncio.create_task(instance.stop())
        self._stopping.add(task)
        task.add_done_callback(self._stopping.discard)
