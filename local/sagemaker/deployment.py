"""Blue/green updates of an endpoint: traffic goes over in steps, and comes back when an alarm rings.

https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-blue-green.html
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass

from local.clock import Clock
from local.sagemaker.aws import Document
from local.sagemaker.errors import invalid, unserved
from local.sagemaker.fleet import Servers, Variant
from local.sagemaker.instance import Instance

LOOKS = 10
"""How often the alarms are looked at during one wait."""

Ringing = Callable[[], list[str]]
"""The names of those alarms of the deployment that are in the state ALARM."""


@dataclass(frozen=True)
class Steps:
    """How an update goes: the shares of the traffic (0 to 1) that the new servers get one after another, how many
    seconds each but the last is watched, and how many the last, while the old servers are still there."""

    shares: tuple[float, ...] = (1.0,)
    seconds: float = 0
    alarms: tuple[str, ...] = ()
    termination_seconds: float = 0


def steps_of(config: Document | None, instances: int) -> Steps:
    """The steps of a DeploymentConfig, of new servers with so many instances. Raises for what is not served."""
    if not config:
        return Steps()
    for field in config:
        if field not in ("BlueGreenUpdatePolicy", "AutoRollbackConfiguration"):
            raise unserved(f"DeploymentConfig.{field}")
    policy = config.get("BlueGreenUpdatePolicy")
    if policy is None:
        raise unserved("DeploymentConfig without BlueGreenUpdatePolicy")
    routing = policy["TrafficRoutingConfiguration"]
    alarms = (config.get("AutoRollbackConfiguration") or {}).get("Alarms") or []
    return Steps(
        tuple(_shares(routing, instances)),
        routing["WaitIntervalInSeconds"],
        tuple(alarm["AlarmName"] for alarm in alarms),
        policy.get("TerminationWaitInSeconds", 0),
    )


def _shares(routing: Document, instances: int) -> Iterator[float]:
    """https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_TrafficRoutingConfig.html"""
    kind = routing["Type"]
    needed = {"CANARY": "CanarySize", "LINEAR": "LinearStepSize"}.get(kind)
    if needed is not None and not routing.get(needed):
        raise invalid(f"{needed} must be specified for traffic routing of type {kind}.")
    if kind == "CANARY":
        yield _share(routing["CanarySize"], instances)
    elif kind == "LINEAR":
        step = _share(routing["LinearStepSize"], instances)
        yield from (step * number for number in range(1, math.ceil(1 / step)))
    yield 1.0


def _share(size: Document, instances: int) -> float:
    whole = 100 if size["Type"] == "CAPACITY_PERCENT" else instances
    return min(float(size["Value"] / whole), 1.0)


class Shift:
    """Two sets of servers that share the traffic while it goes from one to the other.

    Turns are dealt evenly, as between variants: a share of 0.25 gives the new servers every fourth request.
    """

    def __init__(self, old: Servers, new: Servers) -> None:
        self.old, self.new, self.share = old, new, 0.0
        self._credit = 0.0

    @property
    def variants(self) -> list[Variant]:
        return self.old.variants

    async def start(self) -> None:
        """Both run already."""

    @contextlib.asynccontextmanager
    async def serving(self, target: str | None) -> AsyncIterator[tuple[Variant, Instance]]:
        """See `Servers`."""
        self._credit += self.share
        if to_new := self._credit > 1 - 1e-9:  # ten tenths are a little less than one
            self._credit -= 1
        async with (self.new if to_new else self.old).serving(target) as chosen:
            yield chosen

    async def drain(self) -> None:
        """Stops both after the requests under way."""
        await self.old.drain()
        await self.new.drain()

    async def stop(self) -> None:
        """Stops both now."""
        await self.old.stop()
        await self.new.stop()


async def shifted(shift: Shift, steps: Steps, ringing: Ringing, clock: Clock) -> list[str]:
    """Takes the traffic over, step by step. The alarms that rang: all traffic is back with the old servers then."""
    for number, share in enumerate(steps.shares, 1):
        shift.share = share
        seconds = steps.termination_seconds if number == len(steps.shares) else steps.seconds
        for _ in range(LOOKS):
            await clock.sleep(seconds / LOOKS)
            if rung := ringing():
                shift.share = 0.0
                return rung
    return []
