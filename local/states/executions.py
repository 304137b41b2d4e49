"""Executions: how one is run from start to end, its Map Runs' children with it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from local import faults
from local.clock import Clock
from local.states import interpreter
from local.states.batches import Batch
from local.states.callbacks import Callbacks
from local.states.calling import Aws, Caller
from local.states.definition import Machine
from local.states.failures import RUNTIME, TIMEOUT, ExecutionTimedOut, StateFailure
from local.states.history import History, NoHistory, Recorder
from local.states.logs import Delivery, EventLog
from local.states.map_run import MapRun

if TYPE_CHECKING:
    from local.states.machines import StateMachine

Json = Any

EXPRESS_SECONDS = 300.0
"""An Express execution lasts at most five minutes: service-quotas.html of the Step Functions guide."""

_ENDINGS = {
    "SUCCEEDED": "ExecutionSucceeded",
    "FAILED": "ExecutionFailed",
    "TIMED_OUT": "ExecutionTimedOut",
    "ABORTED": "ExecutionAborted",
}


@dataclass
class Execution:
    """One execution. `status` is AWS's: RUNNING, SUCCEEDED, FAILED, TIMED_OUT or ABORTED."""

    arn: str
    name: str
    machine_arn: str
    definition: str
    role_arn: str
    input: Json
    history: History | None
    started: float = field(default_factory=time.time)
    status: str = "RUNNING"
    stopped: float | None = None
    output: Json = None
    error: str | None = None
    cause: str | None = None
    task: asyncio.Task[None] | None = None
    stopping: bool = False
    redrives: int = 0
    redriven: float | None = None
    map_runs: list[MapRun] = field(default_factory=list)
    map_run_arn: str | None = None
    """The Map Run it is a child of."""

    position: tuple[str, Json] | None = None
    """The state it ended in and that state's input, from which a redrive goes on; the variables beside it."""

    variables: dict[str, Json] = field(default_factory=dict)
    recorder: Recorder | None = None
    """What takes its events once it runs: the history, a log, or both."""

    def end(self, status: str, previous: int = 0, error: str | None = None, cause: str | None = None) -> None:
        """Notes how it ended; the first ending stays."""
        if self.status != "RUNNING":
            return
        self.status, self.stopped = status, time.time()
        self.error, self.cause = error, cause
        recorder = self.recorder or self.history
        if recorder is None:
            return
        kind = _ENDINGS[status]
        if status == "SUCCEEDED":
            details: dict[str, Json] = {"output": self.output}
        else:
            details = {name: said for name, said in (("error", error), ("cause", cause)) if said is not None}
        recorder.add(kind, previous, details, f"{kind[0].lower()}{kind[1:]}EventDetails")
        if isinstance(recorder, EventLog):
            recorder.flush()


class Running:
    """One execution under way; also what its distributed Maps need (`local.states.distributed.MapRuns`)."""

    def __init__(
        self,
        aws: Aws,
        clock: Clock,
        machine: StateMachine,
        execution: Execution,
        children: dict[str, list[Execution]],
        callbacks: Callbacks,
    ) -> None:
        self._aws = aws
        self._clock = clock
        self._machine = machine
        self._execution = execution
        self._children = children
        self._callbacks = callbacks
        self._root: interpreter.Branch | None = None
        self._ended_at = execution.position
        self.execution_arn = execution.arn
        self.machine_arn = machine.arn

    async def run(self) -> None:
        """Runs the execution to its end, or on from where it ended before."""
        execution, machine = self._execution, self._machine
        recorder = execution.recorder = self._recorder(execution)
        branch = self._branch(recorder, execution.arn, execution.name, execution.input, execution.started)
        self._root = branch
        branch.variables.update(execution.variables)
        start, value = execution.position or (None, execution.input)
        if execution.redrives:
            details = {"redriveCount": execution.redrives}
            branch.last = recorder.add("ExecutionRedriven", 0, details, "executionRedrivenEventDetails")
        else:
            started = {"input": execution.input, "roleArn": machine.role_arn}
            recorder.add("ExecutionStarted", 0, started, "executionStartedEventDetails")
        seconds = machine.machine.timeout
        if machine.kind == "EXPRESS":
            seconds = min(seconds or EXPRESS_SECONDS, EXPRESS_SECONDS)
        try:
            async with asyncio.timeout(seconds):
                execution.output = await interpreter.run(machine.machine, value, branch, start)
            execution.end("SUCCEEDED", branch.last)
        except StateFailure as failure:
            execution.end("FAILED", branch.last, failure.error, failure.cause)
        except TimeoutError:
            execution.end("TIMED_OUT", branch.last, TIMEOUT)
        except asyncio.CancelledError:
            execution.end("ABORTED")
            if not execution.stopping:
                raise
        except Exception as bug:
            # The engine's own mistake must not leave an execution running for ever.
            execution.end("FAILED", branch.last, RUNTIME, repr(bug))
            raise
        finally:
            execution.position, execution.variables = branch.position, branch.variables

    def _recorder(self, execution: Execution) -> Recorder:
        recorder: Recorder = execution.history if execution.history is not None else NoHistory()
        delivery = Delivery.of(self._machine.logging)
        if delivery is None:
            return recorder
        return EventLog(
            recorder,
            delivery,
            self._aws,
            machine=self._machine.name,
            execution=execution.arn,
            redrives=execution.redrives,
        )

    def _branch(
        self, recorder: Recorder, arn: str, name: str, value: Json, started: float, label: str = ""
    ) -> interpreter.Branch:
        machine = self._machine
        child = f"/{label}" if label else ""
        context = {
            "Execution": {
                "Id": arn,
                "Input": value,
                "Name": name,
                "RoleArn": machine.role_arn,
                "StartTime": interpreter.timestamp(datetime.fromtimestamp(started, UTC)),
                "RedriveCount": self._execution.redrives,
            },
            "StateMachine": {"Id": machine.arn + child, "Name": machine.name + child},
        }
        caller = Caller(machine.role_arn, machine.arn, self._aws)
        return interpreter.Branch(
            interpreter.Surroundings(caller, self._clock, recorder, context, self, self._callbacks)
        )

    # Map Runs

    def resumed(self, label: str) -> MapRun | None:
        """See `MapRuns`."""
        if not self._execution.redrives:
            return None
        for run in reversed(self._execution.map_runs):
            if run.label == label and run.status != "SUCCEEDED" and run.position is self._ended_at:
                run.position = self._position
                return run
        return None

    def add(self, run: MapRun) -> None:
        """See `MapRuns`."""
        run.position = self._position
        self._execution.map_runs.append(run)

    @property
    def _position(self) -> object:
        assert self._root is not None
        return self._root.position

    async def run_child(self, run: MapRun, processor: Machine, arn: str, name: str, batch: Batch) -> Json:
        """See `MapRuns`. Here rules of `local.faults` meet children."""
        rule = await faults.meet("child", "Run", run.child_machine_arn) if faults.watching() else None
        if rule is not None and rule.error is not None:
            raise StateFailure(rule.error, rule.message)
        if rule is not None and rule.timeout:
            raise ExecutionTimedOut
        if rule is not None and rule.twice:
            await self._run_child(run, processor, arn, name, batch)
        return await self._run_child(run, processor, arn, name, batch)

    async def _run_child(self, run: MapRun, processor: Machine, arn: str, name: str, batch: Batch) -> Json:
        """A Standard child is kept with its history, an Express one is not, as in AWS."""
        started = time.time()
        if run.child_kind == "EXPRESS":
            branch = self._branch(NoHistory(), arn, name, batch.input, started, run.label)
            branch.run.caller.texts.keep(batch.input, batch.text)
            try:
                async with asyncio.timeout(EXPRESS_SECONDS):
                    return await interpreter.run(processor, batch.input, branch)
            except TimeoutError as problem:
                raise ExecutionTimedOut from problem
        history = History()
        child = Execution(
            arn,
            name,
            run.child_machine_arn,
            self._machine.definition,
            self._machine.role_arn,
            batch.input,
            history,
            started,
            map_run_arn=run.arn,
        )
        self._children.setdefault(self.execution_arn, []).append(child)
        running = Running(self._aws, self._clock, self._machine, child, self._children, self._callbacks)
        await running._run_as_child(processor, run.label)
        return child.output

    async def _run_as_child(self, processor: Machine, label: str) -> None:
        child = self._execution
        assert child.history is not None
        branch = self._branch(child.history, child.arn, child.name, child.input, child.started, label)
        self._root = branch
        details = {"input": child.input, "roleArn": child.role_arn}
        child.history.add("ExecutionStarted", 0, details, "executionStartedEventDetails")
        try:
            child.output = await interpreter.run(processor, child.input, branch)
            child.end("SUCCEEDED", branch.last)
        except StateFailure as failure:
            child.end("FAILED", branch.last, failure.error, failure.cause)
            raise
        except asyncio.CancelledError:
            child.end("ABORTED")
            raise
        except Exception as bug:
            child.end("FAILED", branch.last, RUNTIME, repr(bug))
            raise
