"""Map and Parallel within one execution."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from local.states import definition as d
from local.states.documents import text
from local.states.expressions import EvaluationFailed, Scope, json_type
from local.states.failures import StateFailure

if TYPE_CHECKING:
    from local.states.interpreter import Visit

Json = Any

INLINE_CONCURRENCY = 40
"""What an inline Map runs at once: https://docs.aws.amazon.com/step-functions/latest/dg/state-map-inline.html"""


async def parallel(visit: Visit, state: d.Parallel) -> Json:
    """The outputs of all branches, in their order. The first failure ends the others."""
    branch = visit.branch
    value = visit.input if state.arguments is None else state.arguments(visit.scope())
    branch.note("ParallelStateStarted")
    forks = [branch.fork() for _ in state.branches]
    try:
        outputs = await _all(
            [visit.descend(machine, value, fork) for machine, fork in zip(state.branches, forks, strict=True)]
        )
    except StateFailure:
        branch.last = max(fork.last for fork in forks)
        raise
    branch.last = max(fork.last for fork in forks)
    branch.note("ParallelStateSucceeded")
    return outputs


async def inline_map(visit: Visit, state: d.Map) -> Json:
    """The output of the processor for each item, in the items' order. The first failure ends the others."""
    branch = visit.branch
    items = items_of(visit, state)
    concurrency = int(visit.number(state.max_concurrency) or 0) or INLINE_CONCURRENCY
    branch.note("MapStateStarted", {"length": len(items)}, "mapStateStartedEventDetails")
    iterations = _Iterations(visit, state, items)
    try:
        await _all([iterations.work() for _ in range(min(concurrency, INLINE_CONCURRENCY, len(items)))])
    except StateFailure:
        iterations.note_aborted()
        branch.last = iterations.failed
        raise
    branch.last = iterations.last
    branch.run.recorder.add("MapStateSucceeded", branch.last)  # recorded from AWS: the exit follows the iteration
    return iterations.outputs


def items_of(visit: Visit, state: d.Map | d.DistributedMap) -> list[Json]:
    """The items a Map is to run over. Raises `EvaluationFailed` when they are not an array."""
    if state.items is None:
        if not isinstance(visit.input, list):
            raise EvaluationFailed("", f"Map state input must be an array but was: {text(visit.input)}")
        return visit.input
    items = state.items(visit.scope())
    if not isinstance(items, list):
        owner = getattr(state.items, "__self__", None)
        source = getattr(owner, "source", "")
        raise EvaluationFailed(
            "Items",
            f"The JSONata expression '{source}' specified for the field 'Items' returned an unexpected result type. "
            f"Expected 'array', but was '{json_type(items)}' for value: {text(items)}",
        )
    return items


class _Iterations:
    """The iterations of one inline Map, taken in order by a number of workers."""

    def __init__(self, visit: Visit, state: d.Map, items: list[Json]) -> None:
        self._visit = visit
        self._state = state
        self._items = items
        self._next = 0
        self._running: dict[int, int] = {}
        self.outputs: list[Json] = [None] * len(items)
        self.last = visit.branch.last
        self.failed = visit.branch.last
        """The last event within the iteration that failed, which what comes next follows."""

    async def work(self) -> None:
        """Takes items until there are none left."""
        previous = self._visit.branch.last
        while self._next < len(self._items):
            index = self._next
            self._next += 1
            previous = await self._iterate(index, previous)

    async def _iterate(self, index: int, previous: int) -> int:
        """Runs one iteration after the event `previous`, and gives the id of its last state's event."""
        visit, name = self._visit, self._state.name
        value = self._items[index]
        context = {"Map": {"Item": {"Index": index, "Value": value}}}
        fork = visit.branch.fork(context)
        fork.last = previous
        fork.note("MapIterationStarted", {"name": name, "index": index}, "mapIterationStartedEventDetails")
        self._running[index] = fork.last
        try:
            if self._state.item_selector is not None:
                scope = visit.scope()
                with_item = {**scope.states["context"], **context}
                value = self._state.item_selector(Scope({**scope.states, "context": with_item}, scope.variables))
            self.outputs[index] = await visit.descend(self._state.processor, value, fork)
        except StateFailure:
            self.failed = fork.last
            self._note(fork.last, "Failed", index)
            raise
        self._note(fork.last, "Succeeded", index)
        return fork.last

    def _note(self, previous: int, how: str, index: int) -> None:
        del self._running[index]
        details = {"name": self._state.name, "index": index}
        key = f"mapIteration{how}EventDetails"
        self.last = self._visit.branch.run.recorder.add(f"MapIteration{how}", previous, details, key)

    def note_aborted(self) -> None:
        """Notes the iterations that another's failure ended."""
        for index, event in list(self._running.items()):
            self._note(event, "Aborted", index)


async def _all(coroutines: list[Coroutine[Any, Any, Json]]) -> list[Json]:
    """Their results in order; the first exception cancels the rest, waits for them, and is raised."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
