"""State machines and executions: what exists, what runs, how each ended."""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from lambda_src.contract import MAX_STATE_BYTES
from local.states import interpreter
from local.states.clock import Clock
from local.states.definition import Machine
from local.states.documents import compact
from local.states.failures import TIMEOUT, StateFailure
from local.states.history import History, NoHistory
from local.states.integrations import Aws, Caller
from local.states.parser import parse

Json = Any

_EXPRESS_SECONDS = 300.0
"""An Express execution lasts at most five minutes: service-quotas.html of the Step Functions guide."""


class ApiError(Exception):
    """An error of the Step Functions API: AWS's error code and message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass
class StateMachine:
    """One state machine as last created or updated."""

    arn: str
    name: str
    kind: str
    definition: str
    machine: Machine
    role_arn: str
    logging: dict[str, Json]
    tracing: dict[str, Json]
    tags: dict[str, str]
    created: float = field(default_factory=time.time)
    revision: str = ""

    @property
    def region(self) -> str:
        """The region in its ARN."""
        return self.arn.split(":")[3]


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
    stop: tuple[str | None, str | None] | None = None


class Engine:
    """All state machines of one embedded AWS, and their executions.

    Standard executions are kept, Express ones are not, as in AWS.
    """

    def __init__(self, aws: Aws, clock: Clock | None = None) -> None:
        self._aws = aws
        self.clock = clock or Clock()
        self.machines: dict[str, StateMachine] = {}
        self.executions: dict[str, Execution] = {}

    # State machines

    def create(
        self,
        arn: str,
        *,
        definition: str,
        role_arn: str,
        kind: str = "STANDARD",
        logging: dict[str, Json] | None = None,
        tracing: dict[str, Json] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> StateMachine:
        """Creates a machine; the same one again is no error. Raises `InvalidDefinition` and `ApiError`."""
        name = arn.rpartition(":")[2]
        _check_name(name)
        wanted = StateMachine(
            arn,
            name,
            kind,
            definition,
            parse(definition, kind),
            role_arn,
            logging or {"level": "OFF", "includeExecutionData": False},
            tracing or {"enabled": False},
            dict(tags or {}),
        )
        existing = self.machines.get(arn)
        if existing is None:
            self.machines[arn] = wanted
            return wanted
        compared = ("definition", "kind", "logging", "tracing")
        if any(getattr(existing, name) != getattr(wanted, name) for name in compared):
            raise ApiError("StateMachineAlreadyExists", f"State Machine Already Exists: '{arn}'")
        return existing

    def update(
        self,
        arn: str,
        *,
        definition: str | None = None,
        role_arn: str | None = None,
        logging: dict[str, Json] | None = None,
        tracing: dict[str, Json] | None = None,
    ) -> StateMachine:
        """Changes what is given; executions under way go on as they began. Raises as `create` does."""
        machine = self.machine(arn)
        if definition is not None:
            machine.machine = parse(definition, machine.kind)
            machine.definition = definition
        machine.role_arn = role_arn or machine.role_arn
        machine.logging = machine.logging if logging is None else logging
        machine.tracing = machine.tracing if tracing is None else tracing
        machine.revision = str(uuid.uuid4())
        return machine

    def machine(self, arn: str) -> StateMachine:
        """The machine of that ARN. Raises `ApiError`."""
        if arn not in self.machines:
            raise ApiError("StateMachineDoesNotExist", f"State Machine Does Not Exist: '{arn}'")
        return self.machines[arn]

    def delete(self, arn: str) -> None:
        """Deletes the machine and stops its executions; one that is not there is no error."""
        if self.machines.pop(arn, None) is None:
            return
        for execution in self.executions.values():
            if execution.machine_arn == arn and execution.status == "RUNNING":
                self.stop(execution.arn)

    # Executions

    def start(self, machine_arn: str, name: str | None, value: Json) -> Execution:
        """Starts an execution. The same name with the same input is the same execution while it runs."""
        machine = self.machine(machine_arn)
        name = name or str(uuid.uuid4())
        _check_name(name)
        if len(compact(value)) > MAX_STATE_BYTES:
            raise ApiError(
                "InvalidExecutionInput",
                f"Invalid State Machine Execution Input: 'Input exceeds the maximum of {MAX_STATE_BYTES} bytes'",
            )
        if machine.kind == "EXPRESS":
            arn = machine_arn.replace(":stateMachine:", ":express:") + f":{name}:{uuid.uuid4()}"
        else:
            arn = machine_arn.replace(":stateMachine:", ":execution:") + f":{name}"
            if (existing := self.executions.get(arn)) is not None:
                if existing.status == "RUNNING" and existing.input == value:
                    return existing
                raise ApiError("ExecutionAlreadyExists", f"Execution Already Exists: '{arn}'")
        history = None if machine.kind == "EXPRESS" else History()
        execution = Execution(arn, name, machine_arn, machine.definition, machine.role_arn, value, history)
        if history is not None:
            self.executions[arn] = execution
        execution.task = asyncio.ensure_future(self._run(execution, machine))
        return execution

    def execution(self, arn: str) -> Execution:
        """The execution of that ARN. Raises `ApiError`."""
        if arn not in self.executions:
            raise ApiError("ExecutionDoesNotExist", f"Execution Does Not Exist: '{arn}'")
        return self.executions[arn]

    def stop(self, arn: str, error: str | None = None, cause: str | None = None) -> Execution:
        """Aborts a running execution; one that has ended stays as it is."""
        execution = self.execution(arn)
        if execution.status == "RUNNING" and execution.task is not None:
            execution.stop = (error, cause)
            execution.task.cancel()
            self._end(execution, "ABORTED", error=error, cause=cause)
        return execution

    async def close(self) -> None:
        """Stops everything that runs."""
        running = [execution.task for execution in self.executions.values() if execution.task is not None]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _run(self, execution: Execution, machine: StateMachine) -> None:
        recorder = execution.history if execution.history is not None else NoHistory()
        started = {"input": execution.input, "roleArn": machine.role_arn}
        recorder.add("ExecutionStarted", 0, started, "executionStartedEventDetails")
        branch = interpreter.Branch(
            interpreter.Surroundings(
                Caller(machine.role_arn, machine.region, self._aws),
                self.clock,
                recorder,
                context_of(execution, machine),
            )
        )
        seconds = machine.machine.timeout
        if machine.kind == "EXPRESS":
            seconds = min(seconds or _EXPRESS_SECONDS, _EXPRESS_SECONDS)
        try:
            async with asyncio.timeout(seconds):
                execution.output = await interpreter.run(machine.machine, execution.input, branch)
            self._end(execution, "SUCCEEDED", previous=branch.last)
        except StateFailure as failure:
            self._end(execution, "FAILED", previous=branch.last, error=failure.error, cause=failure.cause)
        except TimeoutError:
            self._end(execution, "TIMED_OUT", previous=branch.last, error=TIMEOUT)
        except asyncio.CancelledError:
            if execution.stop is None:
                raise
        except Exception as bug:
            # The engine's own mistake must not leave an execution running for ever.
            self._end(execution, "FAILED", previous=branch.last, error="States.Runtime", cause=repr(bug))
            raise

    def _end(
        self,
        execution: Execution,
        status: str,
        *,
        previous: int = 0,
        error: str | None = None,
        cause: str | None = None,
    ) -> None:
        if execution.status != "RUNNING":
            return
        execution.status = status
        execution.stopped = time.time()
        execution.error, execution.cause = error, cause
        if execution.history is None:
            return
        kind = _ENDINGS[status]
        if status == "SUCCEEDED":
            details: dict[str, Json] = {"output": execution.output}
        else:
            details = {name: said for name, said in (("error", error), ("cause", cause)) if said is not None}
        execution.history.add(kind, previous, details, f"{kind[0].lower()}{kind[1:]}EventDetails")


_ENDINGS = {
    "SUCCEEDED": "ExecutionSucceeded",
    "FAILED": "ExecutionFailed",
    "TIMED_OUT": "ExecutionTimedOut",
    "ABORTED": "ExecutionAborted",
}
_BAD_IN_NAMES = re.compile(r'[\s<>{}\[\]?*"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f]')


def _check_name(name: str) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html"""
    if not 1 <= len(name) <= 80 or _BAD_IN_NAMES.search(name):
        raise ApiError("InvalidName", f"Invalid Name: '{name}'")


def context_of(execution: Execution, machine: StateMachine) -> dict[str, Json]:
    """`$states.context` without the state: input-output-contextobject.html of the Step Functions guide."""
    started = datetime.fromtimestamp(execution.started, UTC)
    return {
        "Execution": {
            "Id": execution.arn,
            "Input": execution.input,
            "Name": execution.name,
            "RoleArn": machine.role_arn,
            "StartTime": interpreter.timestamp(started),
            "RedriveCount": 0,
        },
        "StateMachine": {"Id": machine.arn, "Name": machine.name},
    }
