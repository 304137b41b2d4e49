"""Runs a machine's states: enter, evaluate, call, retry, catch, go on."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from lambda_src.contract import MAX_STATE_BYTES
from local import faults
from local.clock import Clock
from local.states import definition as d
from local.states import distributed, fanout
from local.states.callbacks import Callbacks, Waiting
from local.states.calling import Caller
from local.states.documents import text
from local.states.expressions import EvaluationFailed, Expression, Render, Scope
from local.states.failures import (
    DATA_LIMIT_EXCEEDED,
    NO_CHOICE_MATCHED,
    QUERY_EVALUATION_ERROR,
    TIMEOUT,
    Attempts,
    StateFailure,
    matches,
    too_large,
)
from local.states.history import Recorder

Json = Any

_STATES_BETWEEN_YIELDS = 64
"""A machine that only passes values on must not keep the event loop from everybody else."""


@dataclass(frozen=True)
class Surroundings:
    """What all branches of one execution share. `context` is `$states.context` without its State."""

    caller: Caller
    clock: Clock
    recorder: Recorder
    context: Mapping[str, Json]
    map_runs: distributed.MapRuns
    callbacks: Callbacks


@dataclass
class Branch:
    """One line of states: its variables, its last event, and what its context has beyond the execution's."""

    run: Surroundings
    variables: dict[str, Json] = field(default_factory=dict)
    last: int = 0
    context: Mapping[str, Json] = field(default_factory=dict)
    visits: int = 0
    position: tuple[str, Json] | None = None
    """The state it is in and that state's input, from which a redrive goes on."""

    def note(self, kind: str, details: dict[str, Json] | None = None, key: str = "") -> int:
        """Adds an event to the history, after this branch's last one."""
        self.last = self.run.recorder.add(kind, self.last, details, key)
        return self.last

    def fork(self, context: Mapping[str, Json] | None = None) -> Branch:
        """A branch within this one: it sees the variables assigned so far, and keeps its own to itself."""
        return Branch(self.run, dict(self.variables), self.last, {**self.context, **(context or {})})


async def run(machine: d.Machine, value: Json, branch: Branch, start: str | None = None) -> Json:
    """Runs `machine` on `value`, from `start` if that is given, and gives its output. Raises `StateFailure`."""
    name: str | None = start or machine.start
    while name is not None:
        branch.visits += 1
        branch.position = (name, value)
        if branch.visits % _STATES_BETWEEN_YIELDS == 0:
            await asyncio.sleep(0)
        value, name = await Visit(machine.states[name], value, branch).take()
    return value


class Visit:
    """One visit to one state."""

    def __init__(self, state: d.State, value: Json, branch: Branch) -> None:
        self.state = state
        self.input = value
        self.branch = branch
        self.retries = 0
        self._waiting: Waiting | None = None
        self._before = branch.last
        self.entered = branch.note(
            f"{state.type}StateEntered", {"name": state.name, "input": value}, "stateEnteredEventDetails"
        )
        self._time = timestamp(datetime.now(UTC))

    async def take(self) -> tuple[Json, str | None]:
        """The state's output and the name of the next state, None at the end. Raises `StateFailure`."""
        state = self.state
        if isinstance(state, d.Resilient):
            return await self._take_resilient(state)
        try:
            if isinstance(state, d.Choice):
                return self._leave(self._choose(state), self.input, {})
            if isinstance(state, d.Fail):
                raise StateFailure(self._text(state.error), self._text(state.cause))
            if isinstance(state, d.Wait):
                await self.branch.run.clock.sleep(self._wait_seconds(state))
            return self._leave(state.then, self.input, {})
        except EvaluationFailed as problem:
            raise self.evaluation_failure(problem) from problem

    async def _take_resilient(self, state: d.Resilient) -> tuple[Json, str | None]:
        attempts = Attempts(state.retriers)
        while True:
            try:
                try:
                    result = await self._work(state)
                    return self._leave(state.then, result, {"result": result})
                except EvaluationFailed as problem:
                    raise self.evaluation_failure(problem) from problem
            except StateFailure as failure:
                delay = attempts.next_delay(failure)
                if delay is None:
                    self._note_container_failure()
                    return self._catch(state, failure)
                faults.PLAN.note_wait(self.branch.run.context["Execution"]["Id"], state.name, delay)
                await self.branch.run.clock.sleep(delay)
                self.retries = attempts.total

    def _catch(self, state: d.Resilient, failure: StateFailure) -> tuple[Json, str | None]:
        for catcher in state.catchers:
            if matches(catcher.errors, failure):
                output = failure.output()
                try:
                    return self._leave(catcher.then, output, {"errorOutput": output})
                except EvaluationFailed as problem:
                    raise self.evaluation_failure(problem) from problem
        raise failure

    async def _work(self, state: d.Resilient) -> Json:
        if isinstance(state, d.Task):
            return await self._call(state)
        if isinstance(state, d.Parallel):
            return await fanout.parallel(self, state)
        if isinstance(state, d.DistributedMap):
            return await distributed.distributed_map(self, state)
        assert isinstance(state, d.Map)
        return await fanout.inline_map(self, state)

    async def _call(self, state: d.Task) -> Json:
        if not state.waits:
            return await self._schedule(state)
        callbacks = self.branch.run.callbacks
        self._waiting = callbacks.begin()
        try:
            return await self._schedule(state)
        finally:
            callbacks.end(self._waiting)

    async def _schedule(self, state: d.Task) -> Json:
        arguments = self.input if state.arguments is None else state.arguments(self.scope())
        timeout = self.number(state.timeout)
        call = {"resourceType": state.integration.resource_type, "resource": state.integration.resource}
        scheduled = {**call, "region": self.branch.run.caller.region, "parameters": arguments}
        if timeout is not None:
            scheduled["timeoutInSeconds"] = int(timeout)
        heartbeat = self.number(state.heartbeat)
        if heartbeat is not None:
            scheduled["heartbeatInSeconds"] = int(heartbeat)
        self.branch.note("TaskScheduled", scheduled, "taskScheduledEventDetails")
        self.branch.note("TaskStarted", call, "taskStartedEventDetails")
        try:
            self._check_size(arguments)
            async with asyncio.timeout(timeout):
                result = await state.integration.call(arguments, self.branch.run.caller)
                if state.waits or state.followed:
                    self.branch.note("TaskSubmitted", {**call, "output": result}, "taskSubmittedEventDetails")
                if self._waiting is not None:
                    result = await self._waiting.outcome(heartbeat)
                elif state.followed:
                    result = await state.followed.follow(arguments, self.branch.run.caller)
        except TimeoutError as problem:
            self.branch.note("TaskTimedOut", {**call, "error": TIMEOUT}, "taskTimedOutEventDetails")
            raise StateFailure(TIMEOUT) from problem
        except StateFailure as failure:
            self.branch.note("TaskFailed", {**call, **failure.details()}, "taskFailedEventDetails")
            raise
        self.branch.note("TaskSucceeded", {**call, "output": result}, "taskSucceededEventDetails")
        return result

    def _choose(self, state: d.Choice) -> d.Transition:
        scope = self.scope()
        for condition, then in state.branches:
            if condition if isinstance(condition, bool) else condition.evaluate_as(scope, "boolean"):
                return then
        if not state.has_default:
            raise StateFailure(NO_CHOICE_MATCHED, f"No choice rule of the state '{state.name}' matched its input.")
        return state.then

    def _wait_seconds(self, state: d.Wait) -> float:
        if state.timestamp is None:
            return self.number(state.seconds) or 0.0
        moment = state.timestamp
        if isinstance(moment, Expression):
            moment = moment.evaluate_as(self.scope(), "string")
        try:
            until = datetime.fromisoformat(moment)
            if until.tzinfo is None or "T" not in moment:
                raise ValueError(moment)
        except ValueError as problem:
            raise EvaluationFailed(
                "Timestamp",
                "The Timestamp field cannot be parsed as an ISO-8601 extended offset date-time format string: "
                f"{moment}",
            ) from problem
        return (until - datetime.now(UTC)).total_seconds()

    def _leave(self, then: d.Transition, value: Json, result: dict[str, Json]) -> tuple[Json, str | None]:
        """Assign and Output see the variables as they were; what they give takes effect together."""
        if then.output is not None or then.assign is not None:
            scope = self.scope(**result)
            output = value if then.output is None else then.output(scope)
            assigned = {} if then.assign is None else then.assign(scope)
            self.branch.variables.update(assigned)
        else:
            output, assigned = value, {}
        if output is not self.input:
            self._check_size(output)
        details = {"name": self.state.name, "output": output}
        if assigned:
            details["assignedVariables"] = assigned
        self.branch.note(f"{self.state.type}StateExited", details, "stateExitedEventDetails")
        return output, then.next

    async def descend(self, machine: d.Machine, value: Json, fork: Branch) -> Json:
        """Runs a machine within this state. Raises `StateFailure`."""
        return await run(machine, value, fork)

    def _check_size(self, value: Json) -> None:
        if self.branch.run.caller.texts.weigh(value) > MAX_STATE_BYTES:
            raise StateFailure(DATA_LIMIT_EXCEEDED, too_large(self.state.name), terminal=True)

    def _note_container_failure(self) -> None:
        """Recorded from AWS: only the failure that nothing retries, caught or not, ends a Map or a Parallel."""
        if isinstance(self.state, d.Map | d.DistributedMap | d.Parallel):
            self.branch.note(f"{self.state.type}StateFailed")

    # What expressions see, and what becomes of their failures

    def scope(self, **more: Json) -> Scope:
        """What this state's expressions see; `more` adds `result` or `errorOutput` to `$states`."""
        state = {
            "EnteredTime": self._time,
            "Name": self.state.name,
            "RetryCount": self.retries,
        }
        context = {**self.branch.run.context, **self.branch.context, "State": state}
        if self._waiting is not None:
            context["Task"] = {"Token": self._waiting.token}
        return Scope({"input": self.input, "context": context, **more}, self.branch.variables)

    def number(self, value: d.Seconds | None) -> float | None:
        """A number that is given or evaluated; it must not be negative. Raises `EvaluationFailed`."""
        if not isinstance(value, Expression):
            return value
        found = float(value.evaluate_as(self.scope(), "number"))
        if found < 0:
            reason = f"The field '{value.location}' must not be negative, but was {found:g}"
            raise EvaluationFailed(value.location, reason)
        return found

    def _text(self, render: Render | None) -> str | None:
        if render is None:
            return None
        value = render(self.scope())
        return value if isinstance(value, str) else text(value)

    def evaluation_failure(self, problem: EvaluationFailed) -> StateFailure:
        """Notes a failed evaluation and gives the failure it makes of the state."""
        cause = (
            f"An error occurred while executing the state '{self.state.name}' "
            f"(entered at the event id #{self.entered}). {problem.reason}"
        )
        details = {"state": self.state.name, "error": QUERY_EVALUATION_ERROR, "cause": cause}
        if problem.location:
            details["location"] = problem.location
        if self.branch.last == self.entered and not isinstance(self.state, d.Wait):
            self.branch.last = self._before  # as recorded from AWS, which leaves out the state's own entry
        self.branch.note("EvaluationFailed", details, "evaluationFailedEventDetails")
        return StateFailure(QUERY_EVALUATION_ERROR, cause)


def timestamp(moment: datetime) -> str:
    """A moment as the context object shows it."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
