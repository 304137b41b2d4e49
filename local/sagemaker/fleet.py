"""The servers behind one endpoint: its variants, their instances, and which of them gets the next request."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

import aiohttp

from local.sagemaker.instance import Instance, ServerFailed

DEFAULT_STARTUP_SECONDS = 120.0
"""How long a server may take to answer /ping where its variant does not say
(ContainerStartupHealthCheckTimeoutInSeconds): nothing is downloaded here, so more would be a hang."""

DRAIN_SECONDS = 60.0
"""How long a request may still run on a server that is to go: as long as any request may."""

Start = Callable[[], Awaitable[Instance]]


class NoServer(Exception):
    """No server can take a request now; the text says why, where it is known."""


class Busy(Exception):
    """The endpoint takes no more requests at once."""


@dataclass(eq=False)
class Variant:
    """A share of an endpoint's traffic, and the equal servers that answer it.

    `count` is how many servers it has, `desired` how many it is to have: they differ while it scales.
    """

    name: str
    weight: float
    count: int
    image: str
    start: Start
    role: str | None = None
    """The execution role of its model."""
    startup_seconds: float = DEFAULT_STARTUP_SECONDS
    instances: list[Instance] = field(default_factory=list)
    credit: float = 0.0
    desired: int = -1

    def __post_init__(self) -> None:
        self.desired = self.count


class Servers(Protocol):
    """What an endpoint needs of the servers behind it."""

    @property
    def variants(self) -> list[Variant]: ...

    async def start(self) -> None:
        """Raises `ServerFailed` when the model does not come up."""

    def serving(self, target: str | None) -> contextlib.AbstractAsyncContextManager[tuple[Variant, Instance]]:
        """The server for one request, of the named variant or of any. Raises `NoServer` and `Busy`."""
        ...

    async def drain(self) -> None:
        """Stops every server after the requests under way."""

    async def stop(self) -> None:
        """Stops every server now."""


class Fleet:
    """The running servers of one endpoint configuration."""

    def __init__(self, variants: list[Variant], session: aiohttp.ClientSession) -> None:
        self.variants = variants
        self._session = session
        self._healing: set[asyncio.Task[None]] = set()
        self._dead: list[Instance] = []
        self._stopped = False

    async def start(self) -> None:
        """Starts every instance at once. Raises `ServerFailed` when one does not come up, and leaves none behind.

        The text is what an endpoint's FailureReason says.
        """
        starts = [self._add(variant) for variant in self.variants for _ in range(variant.count)]
        try:
            outcomes = await asyncio.gather(*starts, return_exceptions=True)
        except asyncio.CancelledError:
            await self.stop()
            raise
        failed = next((outcome for outcome in outcomes if isinstance(outcome, BaseException)), None)
        if failed is not None:
            await self.stop()
            raise failed

    def route(self, target: str | None) -> tuple[Variant, Instance] | None:
        """The variant whose turn it is by weight, or the named one, and its least busy living instance.

        None when there is none. Turns are dealt evenly, not drawn: two variants of weights 3 and 1 get every
        four requests three and one.
        """
        able = [variant for variant in self.variants if target in (None, variant.name)]
        for variant in able:
            self._heal(variant)
        able = [variant for variant in able if variant.instances and (target or variant.weight > 0)]
        if not able:
            return None
        total = sum(variant.weight for variant in able)
        for variant in able:
            variant.credit += variant.weight
        chosen = max(able, key=lambda variant: variant.credit)
        chosen.credit -= total
        instance = min(chosen.instances, key=lambda instance: instance.busy)
        # Among equally busy ones, the one that has waited longest.
        chosen.instances.remove(instance)
        chosen.instances.append(instance)
        return chosen, instance

    @contextlib.asynccontextmanager
    async def serving(self, target: str | None) -> AsyncIterator[tuple[Variant, Instance]]:
        """The server whose turn it is (see `route`), busy as long as the request lasts. Raises `NoServer`."""
        chosen = self.route(target)
        if chosen is None:
            raise NoServer
        chosen[1].busy += 1
        try:
            yield chosen
        finally:
            chosen[1].busy -= 1

    async def scale(self, variant: Variant, count: int) -> None:
        """Starts servers of the variant, or stops the least busy ones after their requests, until it has so many.

        Raises `ServerFailed` when one does not come up; those that did serve on.
        """
        variant.desired = count
        variant.instances.sort(key=lambda instance: -instance.busy)
        surplus = variant.instances[count:]
        del variant.instances[count:]
        self._dead += surplus
        added = max(count - variant.count, 0)
        variant.count = min(variant.count, count)
        await _idle(surplus)
        await asyncio.gather(*(instance.stop() for instance in surplus))
        self._dead = [instance for instance in self._dead if instance not in surplus]
        outcomes = await asyncio.gather(*(self._add(variant) for _ in range(added)), return_exceptions=True)
        failed = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        variant.count += added - len(failed)
        variant.desired = variant.count
        if failed:
            raise failed[0]

    async def drain(self) -> None:
        """Stops every server after the requests under way."""
        await _idle([instance for variant in self.variants for instance in variant.instances])
        await self.stop()

    async def stop(self) -> None:
        """Stops every server now."""
        self._stopped = True
        for task in self._healing:
            task.cancel()
        await asyncio.gather(*self._healing, return_exceptions=True)
        # Forgotten only when they are gone: a stop that is cancelled can be asked for again.
        serving = [instance for variant in self.variants for instance in variant.instances]
        await asyncio.gather(*(instance.stop() for instance in [*serving, *self._dead]))
        self._dead.clear()
        for variant in self.variants:
            variant.instances.clear()

    async def _add(self, variant: Variant) -> None:
        variant.instances.append(await healthy(variant, self._session))

    def _heal(self, variant: Variant) -> None:
        """Replaces servers that have ended by themselves, as SageMaker restarts a container."""
        for dead in [instance for instance in variant.instances if not instance.alive]:
            variant.instances.remove(dead)
            self._dead.append(dead)
            if not self._stopped:
                task = asyncio.create_task(self._replace(variant, dead))
                self._healing.add(task)
                task.add_done_callback(self._healing.discard)

    async def _replace(self, variant: Variant, dead: Instance) -> None:
        await dead.stop()
        self._dead.remove(dead)
        if len(variant.instances) >= variant.count:
            return  # it was scaled in meanwhile
        # A model that no longer loads stays away; the others go on, and the log says why.
        with contextlib.suppress(ServerFailed):
            await self._add(variant)


async def _idle(instances: list[Instance]) -> None:
    """Returns when they have no request under way, or have had time enough for it."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            while any(instance.busy for instance in instances):
                await asyncio.sleep(0.05)


async def healthy(variant: Variant, session: aiohttp.ClientSession) -> Instance:
    """A new server of the variant that answers /ping. Raises `ServerFailed`, and leaves no process behind then."""
    try:
        instance = await variant.start()
    except (ValueError, LookupError, OSError) as error:
        raise ServerFailed(str(error)) from error
    try:
        await instance.wait_until_ready(session, variant.startup_seconds)
    except ServerFailed as error:
        await instance.stop()
        # AWS's sentence, with the reason that AWS leaves in the log.
        raise ServerFailed(
            f"The primary container for production variant {variant.name} did not pass the ping health check: {error}"
        ) from error
    except BaseException:
        await instance.stop()
        raise
    return instance
