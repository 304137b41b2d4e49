"""The rules in force: which of them a call meets, how often, and what has been seen since they were added."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import uuid
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from local.clock import Clock
from local.faults import errors
from local.faults.rules import PLACES, Rule, matches


@dataclass
class Standing:
    """How one rule stands: calls that matched it, and those it fired for."""

    rule: Rule
    random: random.Random
    matched: int = 0
    fired: int = 0

    def meets(self, service: str, action: str, resource: str, caller: Callable[[], str]) -> bool:
        """Counts the call if the rule means it, and says whether it is its turn."""
        rule = self.rule
        if not (
            (rule.service == service or (rule.service == "*" and service not in PLACES))
            and matches(rule.action, action)
            and matches(rule.resource, resource)
            and (rule.caller == "*" or matches(rule.caller, caller()))
        ):
            return False
        self.matched += 1
        if rule.nth is not None:
            return self.matched == rule.nth
        if self.matched < rule.from_nth or (rule.at_most is not None and self.fired >= rule.at_most):
            return False
        return rule.share is None or self.random.random() < rule.share

    def fire(self, service: str) -> Rule:
        """Counts the firing; gives the rule with what it leaves open drawn."""
        self.fired += 1
        if self.rule.error != errors.TRANSIENT:
            return self.rule
        return replace(self.rule, error=self.random.choice(errors.passing(service)))


@dataclass
class Watch:
    """The rules that were added together, and what was seen of all calls since then."""

    standings: list[Standing]
    counting: bool
    calls: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    waits: dict[str, list[tuple[str, float]]] = field(default_factory=dict)
    released: asyncio.Event = field(default_factory=asyncio.Event)

    def report(self) -> dict[str, Any]:
        """What was seen, as JSON: waits in seconds, unscaled, by the execution's ARN."""
        return {
            "matched": [standing.matched for standing in self.standings],
            "fired": [standing.fired for standing in self.standings],
            "calls": [[*call, count] for call, count in self.calls.items()],
            "waits": self.waits,
        }


class Plan:
    """The rules of one embedded AWS. `stop` stops the running executions that a pattern means."""

    def __init__(self) -> None:
        self.watches: dict[str, Watch] = {}
        self.stop: Callable[[str], None] = lambda pattern: None

    def add(self, rules: Iterable[Rule], *, counting: bool) -> str:
        """Puts rules into force, and begins to count calls if `counting`. Gives the name to remove them by."""
        name = uuid.uuid4().hex
        # Failing by chance, repeatably: no secret.
        standings = [Standing(rule, random.Random(rule.seed)) for rule in rules]  # noqa: S311 - no secret
        self.watches[name] = Watch(standings, counting)
        return name

    def remove(self, name: str) -> Watch:
        """Takes rules out of force and lets the calls go on that they held. KeyError when there are none."""
        watch = self.watches.pop(name)
        watch.released.set()
        return watch

    async def meet(
        self, service: str, action: str, resource: str, caller: Callable[[], str] = lambda: ""
    ) -> Rule | None:
        """The rule that fires for this call, if one does, once its delay or hold is over and its stop is done.

        The first that fires is given; all count.
        """
        found: Rule | None = None
        holder: Watch | None = None
        for watch in self.watches.values():
            if watch.counting:
                watch.calls[service, action, resource] += 1
            for standing in watch.standings:
                if standing.meets(service, action, resource, caller) and found is None:
                    found, holder = standing.fire(service), watch
        if found is None or holder is None:
            return None
        if found.delay:
            await Clock().sleep(found.delay)
        if found.crash:
            os.kill(os.getpid(), signal.SIGKILL)
        if found.hold:
            await holder.released.wait()
        if found.stop is not None:
            self.stop(found.stop)
            await asyncio.sleep(0)  # the call may be the stopped execution's own
        return found

    def note_wait(self, execution: str, state: str, seconds: float) -> None:
        """Notes how long an execution waits before it tries a state again, in unscaled seconds."""
        for watch in self.watches.values():
            if watch.counting:
                watch.waits.setdefault(execution, []).append((state, seconds))


PLAN = Plan()
"""The process's own: an embedded AWS is a process."""
