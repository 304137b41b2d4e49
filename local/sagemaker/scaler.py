"""Application Auto Scaling at work: looks at each scalable target once a minute, and has its endpoint scaled.

The numbers are those of the alarms that AWS makes for a target tracking policy: out after three values above the
target, in after fifteen minutes below nine tenths of it. AWS does not promise them.
https://docs.aws.amazon.com/autoscaling/application/userguide/target-tracking-scaling-policy-overview.html
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import operator
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from local.clock import Clock
from local.sagemaker.autoscaling import RESOURCE, Key, Scaling
from local.sagemaker.aws import Aws, Document, Place
from local.sagemaker.endpoints import Endpoints
from local.sagemaker.errors import AwsError
from local.sagemaker.fleet import Variant
from local.sagemaker.metrics import NAMESPACE, Metrics
from local.sagemaker.policies import BACKLOG, CONCURRENCY, INVOCATIONS, Step, Tracking
from local.sagemaker.store import Endpoint, Store

MINUTE = 60.0
LOOKS_IN = 15
LOW = 0.9
LEAST_SECONDS = 0.02
"""How long a minute lasts at least, however short the clock makes it."""

NO_CAPACITY = "HasBacklogWithoutCapacity"
COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}

Values = dict[str, float]
"""A target's metrics of one minute, by name."""


@dataclass
class _Seen:
    """What was seen of one target: the values of its last minutes, and in which of them it was scaled."""

    values: deque[Values] = field(default_factory=lambda: deque(maxlen=60))
    minute: int = 0
    out: float = -math.inf
    changed: float = -math.inf

    def last(self, metric: str, minutes: int) -> list[float]:
        """The metric's values of the last minutes; empty when one of them has none."""
        found = [values.get(metric) for values in list(self.values)[-minutes:]]
        known = [value for value in found if value is not None]
        return known if len(known) == minutes else []

    def rests(self, since: float, seconds: float) -> bool:
        """Whether a cooldown is not over."""
        return self.minute - since < seconds / MINUTE


class Scaler:
    """Scales the endpoints of every place. `backlog` is how many requests an endpoint has in its queue."""

    def __init__(
        self, aws: Aws, endpoints: Endpoints, metrics: Metrics, backlog: Callable[[Endpoint], int], clock: Clock
    ) -> None:
        self._aws, self._endpoints, self._metrics = aws, endpoints, metrics
        self._backlog, self._clock = backlog, clock
        self._seen: dict[tuple[str, Key], _Seen] = {}
        self._watching: dict[Place, asyncio.Task[None]] = {}

    @property
    def watched(self) -> list[Place]:
        """The places where something scales."""
        return list(self._watching)

    def watch(self, store: Store, scaling: Scaling) -> None:
        """Looks every minute from now on, as long as there is a target."""
        if store.place not in self._watching:
            task = asyncio.get_running_loop().create_task(self._watch(store, scaling))
            self._watching[store.place] = task
            task.add_done_callback(lambda _: self._watching.pop(store.place, None))

    def look(self, store: Store, scaling: Scaling, seconds: float) -> None:
        """A minute has passed, which lasted so many seconds: each endpoint is scaled as its policies want."""
        for key, target in scaling.targets.items():
            found = RESOURCE.fullmatch(key[1])
            endpoint = store.endpoints.get(found["endpoint"].lower()) if found else None
            if not found or endpoint is None or endpoint.fleet is None:
                continue
            variants = [it for it in endpoint.fleet.variants if it.name == found["variant"]]
            for variant in variants:
                values = self._measure(store, endpoint, variant, seconds)
                if endpoint.status != "InService":
                    continue  # AWS scales no endpoint that is being updated
                seen = self._seen.setdefault((endpoint.arn, key), _Seen())
                seen.minute += 1
                seen.values.append(values)
                wanted = self._wanted(store, endpoint, scaling.policies_of(key), seen, variant.count)
                self._scale(
                    store, endpoint, variant, min(max(wanted, target["MinCapacity"]), target["MaxCapacity"]), seen
                )

    async def close(self) -> None:
        """Looks no more."""
        tasks = list(self._watching.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch(self, store: Store, scaling: Scaling) -> None:
        while scaling.targets:
            began = time.monotonic()
            await self._clock.sleep(MINUTE)
            await asyncio.sleep(max(0.0, began + LEAST_SECONDS - time.monotonic()))
            self.look(store, scaling, time.monotonic() - began)

    def _measure(self, store: Store, endpoint: Endpoint, variant: Variant, seconds: float) -> Values:
        """https://docs.aws.amazon.com/sagemaker/latest/dg/monitoring-cloudwatch.html"""
        calls, busy = self._metrics.load(store.place, endpoint.name, variant.name)
        backlog = self._backlog(endpoint)
        values: Values = {NO_CAPACITY: float(backlog > 0 and variant.count == 0)}
        if variant.count:
            values[INVOCATIONS] = calls / variant.count
            values[CONCURRENCY] = busy / seconds / variant.count
            values[BACKLOG] = backlog / variant.count
        return values

    def _wanted(
        self, store: Store, endpoint: Endpoint, policies: dict[str, Tracking | Step], seen: _Seen, now: int
    ) -> int:
        """Of several policies the one that wants the most counts, and less only what all agree on.

        https://docs.aws.amazon.com/autoscaling/application/userguide/application-auto-scaling-target-tracking.html
        """
        more, less = [now], []
        for arn, policy in policies.items():
            if isinstance(policy, Step):
                beyond = self._beyond(store, endpoint, arn, seen)
                if beyond is not None and not seen.rests(seen.out, policy.cooldown):
                    more.append(policy.capacity(now, beyond))
                continue
            above = seen.last(policy.metric, policy.looks)
            if above and min(above) > policy.target and not seen.rests(seen.out, policy.out_cooldown):
                more.append(math.ceil(now * above[-1] / policy.target))
            below = seen.last(policy.metric, LOOKS_IN)
            calm = below and max(below) < LOW * policy.target and not seen.rests(seen.changed, policy.in_cooldown)
            less.append(math.ceil(now * below[-1] / policy.target) if calm and policy.scales_in else now)
        return max(more) if max(more) > now else max(less, default=now)

    def _beyond(self, store: Store, endpoint: Endpoint, policy: str, seen: _Seen) -> float | None:
        """How far the metric of a ringing alarm on the policy is beyond its threshold; None when none rings."""
        for alarm in self._aws.alarms_on(store.place, policy):
            if not _is_of(alarm, endpoint):
                if alarm["StateValue"] == "ALARM":  # of another metric: CloudWatch judges it
                    return 0.0
                continue
            minutes, threshold = max(int(alarm["Period"] / MINUTE), 1), float(alarm["Threshold"])
            values = seen.last(alarm["MetricName"], minutes * alarm["EvaluationPeriods"])
            breaching = [value for value in values if COMPARISONS[alarm["ComparisonOperator"]](value, threshold)]
            if len(breaching) >= minutes * alarm.get("DatapointsToAlarm", alarm["EvaluationPeriods"]):
                return breaching[-1] - threshold
        return None

    def _scale(self, store: Store, endpoint: Endpoint, variant: Variant, count: int, seen: _Seen) -> None:
        if count == variant.count:
            return
        with contextlib.suppress(AwsError):  # as in AWS, an activity that fails is tried again at the next look
            self._endpoints.scale(store, endpoint, variant, count)
            seen.changed = seen.minute
            if count > variant.count:
                seen.out = seen.minute


def _is_of(alarm: Document, endpoint: Endpoint) -> bool:
    """Whether an alarm watches what is measured here: by the clock's time, which CloudWatch does not have."""
    dimensions = {it["Name"]: it["Value"].lower() for it in alarm.get("Dimensions") or []}
    named = {"EndpointName": endpoint.name.lower()}
    return (alarm.get("Namespace"), dimensions) == (NAMESPACE, named) and alarm["MetricName"] in (NO_CAPACITY, BACKLOG)
