"""State machines and executions: what exists, what runs, how each ended."""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Protocol

from lambda_src.contract import MAX_STATE_BYTES
from local import faults
from local.clock import Clock
from local.states.callbacks import Callbacks
from local.states.calling import Aws
from local.states.definition import Machine
from local.states.documents import compact
from local.states.executions import Execution, Running
from local.states.failures import StateFailure
from local.states.history import History
from local.states.logs import Delivery
from local.states.map_run import MapRun
from local.states.metrics import Metrics
from local.states.parser import parse

Json = Any


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
    encryption: dict[str, Json] | None = None
    created: float = field(default_factory=time.time)
    revision: str = ""

    @property
    def region(self) -> str:
        """The region in its ARN."""
        return self.arn.split(":")[3]


class Kept(Protocol):
    """What notes machines and executions for a later engine."""

    def machine(self, machine: StateMachine) -> None: ...
    def deleted(self, arn: str) -> None: ...
    def execution(self, execution: Execution) -> None: ...


class Engine:
    """All state machines of one embedded AWS, and their executions.

    Standard executions are kept, Express ones are not, as in AWS.
    """

    def __init__(self, aws: Aws, clock: Clock | None = None) -> None:
        self._aws = aws
        self.clock = clock or Clock()
        self.callbacks = Callbacks()
        self.metrics = Metrics(aws.put_metrics)
        self.machines: dict[str, StateMachine] = {}
        self.executions: dict[str, Execution] = {}
        self.children: dict[str, list[Execution]] = {}
        """The Standard children of Map Runs, by the ARN of the execution that started them."""

        self.kept: Kept | None = None

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
        encryption: dict[str, Json] | None = None,
    ) -> StateMachine:
        """Creates a machine; the same one again is no error. Raises `InvalidDefinition` and `ApiError`."""
        name = arn.partition(":stateMachine:")[2]
        _check_name(name)
        _check_logging(logging)
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
            encryption,
        )
        existing = self.machines.get(arn)
        if existing is None:
            self.machines[arn] = wanted
            if self.kept is not None:
                self.kept.machine(wanted)
            return wanted
        compared = ("definition", "kind", "logging", "tracing", "encryption")
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
        encryption: dict[str, Json] | None = None,
    ) -> StateMachine:
        """Changes what is given; executions under way go on as they began. Raises as `create` does."""
        machine = self.machine(arn)
        _check_logging(logging)
        if definition is not None:
            machine.machine = parse(definition, machine.kind)
            machine.definition = definition
        machine.role_arn = role_arn or machine.role_arn
        machine.logging = machine.logging if logging is None else logging
        machine.tracing = machine.tracing if tracing is None else tracing
        machine.encryption = machine.encryption if encryption is None else encryption
        machine.revision = str(uuid.uuid4())
        if self.kept is not None:
            self.kept.machine(machine)
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
        if self.kept is not None:
            self.kept.deleted(arn)
        for execution in self.executions.values():
            if execution.machine_arn == arn and execution.status == "RUNNING":
                self.stop(execution.arn)

    # Executions

    def start(self, machine_arn: str, name: str | None, value: Json) -> Execution:
        """Starts an execution. The same name with the same input is the same execution while it runs."""
        machine = self.machine(machine_arn)
        name = name or str(uuid.uuid4())
        _check_name(name)
        self._check_key(machine)
        try:
            problem = f"Input exceeds the maximum of {MAX_STATE_BYTES} bytes"
            if len(compact(value)) <= MAX_STATE_BYTES:
                problem = ""
        except StateFailure as failure:
            problem = str(failure.cause)
        if problem:
            raise ApiError("InvalidExecutionInput", f"Invalid State Machine Execution Input: '{problem}'")
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
        self._go(execution, machine)
        return execution

    def _check_key(self, machine: StateMachine) -> None:
        """Whether the machine's role may use the key that is to encrypt the execution.

        https://docs.aws.amazon.com/step-functions/latest/dg/encryption-at-rest.html
        """
        key = (machine.encryption or {}).get("kmsKeyId")
        if not key:
            return
        caller = self._aws.access_key(machine.role_arn, machine.arn)
        context = {"kms:EncryptionContext:aws:states:stateMachineArn": machine.arn}
        for action in ("kms:GenerateDataKey", "kms:Decrypt"):
            if refusal := self._aws.authorize(caller, action, key, machine.region, context):
                raise ApiError("KmsAccessDeniedException", refusal)

    def _go(self, execution: Execution, machine: StateMachine) -> None:
        running = Running(self._aws, self.clock, machine, execution, self.children, self.callbacks)
        execution.task = asyncio.ensure_future(running.run())
        if (kept := self.kept) is not None and execution.history is not None:
            kept.execution(execution)
            execution.task.add_done_callback(lambda _done: kept.execution(execution))
        self.metrics.started(machine.arn)
        execution.task.add_done_callback(lambda _: self._ended(execution))

    def _ended(self, execution: Execution) -> None:
        if execution.stopped is not None:
            self.metrics.ended(execution.machine_arn, execution.status, execution.stopped - execution.started)

    def redrive(self, arn: str) -> Execution:
        """Goes on with an execution that did not succeed, from the state it ended in. Raises `ApiError`."""
        execution = self.execution(arn)
        if execution.status in ("RUNNING", "SUCCEEDED"):
            message = f"Execution is {execution.status} and cannot be redriven"
            raise ApiError("ExecutionNotRedrivable", message)
        machine = self.machine(execution.machine_arn)
        execution.status, execution.stopped, execution.stopping = "RUNNING", None, False
        execution.error = execution.cause = None
        execution.redrives += 1
        execution.redriven = time.time()
        self._go(execution, machine)
        return execution

    def map_run(self, arn: str) -> MapRun:
        """The Map Run of that ARN. Raises `ApiError`."""
        children = (child for started in self.children.values() for child in started)
        for execution in chain(self.executions.values(), children):
            for run in execution.map_runs:
                if run.arn == arn:
                    return run
        raise ApiError("ResourceNotFound", f"Resource not found: '{arn}'")

    def execution(self, arn: str) -> Execution:
        """The execution of that ARN, a Map Run's Standard child among them. Raises `ApiError`."""
        if arn in self.executions:
            return self.executions[arn]
        for children in self.children.values():
            for child in children:
                if child.arn == arn:
                    return child
        raise ApiError("ExecutionDoesNotExist", f"Execution Does Not Exist: '{arn}'")

    def stop(self, arn: str, error: str | None = None, cause: str | None = None) -> Execution:
        """Aborts a running execution; one that has ended stays as it is."""
        execution = self.execution(arn)
        if execution.status == "RUNNING" and execution.task is not None:
            execution.stopping = True
            execution.task.cancel()
            execution.end("ABORTED", error=error, cause=cause)
        return execution

    def stop_matching(self, pattern: str) -> None:
        """Aborts the running executions whose ARN is the pattern, in which `*` is any text."""
        for execution in self.executions.values():
            if execution.status == "RUNNING" and faults.matches(pattern, execution.arn):
                self.stop(execution.arn)

    async def close(self) -> None:
        """Stops everything that runs."""
        running = [execution.task for execution in self.executions.values() if execution.task is not None]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


_BAD_IN_NAMES = re.compile(r'[\s<>{}\[\]?*"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f]')


def _check_logging(logging: dict[str, Json] | None) -> None:
    try:
        Delivery.of(logging or {})
    except ValueError as problem:
        raise ApiError("InvalidLoggingConfiguration", f"Invalid Logging Configuration: {problem}") from problem


def _check_name(name: str) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html"""
    if not 1 <= len(name) <= 80 or _BAD_IN_NAMES.search(name):
        raise ApiError("InvalidName", f"Invalid Name: '{name}'")
