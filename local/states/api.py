"""The Step Functions API, as clients speak it: JSON 1.0, one operation a request.

https://docs.aws.amazon.com/step-functions/latest/apireference/API_Operations.html
"""

from __future__ import annotations

import asyncio
import base64
import json
import math
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from itertools import islice
from typing import Any

import botocore.session
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

from local.states.callbacks import NoSuchTask
from local.states.constraints import violation
from local.states.documents import loads, text
from local.states.executions import Execution
from local.states.machines import ApiError, Engine, StateMachine
from local.states.parser import parse
from local.states.problems import InvalidDefinition

Json = Any
Parameters = dict[str, Json]
Response = tuple[int, dict[str, str], bytes]

_RESOURCE_TYPE = 5
_PREFIX = "AWSStepFunctions."


@lru_cache(maxsize=1)
def _model() -> ServiceModel:
    return botocore.session.Session().get_service_model("stepfunctions")


async def handle(engine: Engine, target: str, body: bytes, account: str, region: str) -> Response:
    """Answers one request: its X-Amz-Target, its body, and the account and region it was sent to."""
    action = target.removeprefix(_PREFIX)
    try:
        if action not in _OPERATIONS:
            raise ApiError("UnknownOperationException", f"The embedded AWS does not run states:{action}")
        parameters = json.loads(body or b"{}")
        _check(action, parameters)
        answer = _OPERATIONS[action](_Call(engine, account, region), parameters)
        if isinstance(answer, Awaitable):
            answer = await answer
    except ApiError as problem:
        return _answer(400, {"__type": problem.code, "message": problem.message})
    except InvalidDefinition as problem:
        return _answer(400, {"__type": "InvalidDefinition", "message": str(problem)})
    except ValueError as problem:
        return _answer(400, {"__type": "SerializationException", "message": str(problem)})
    return _answer(200, answer)


def _check(action: str, parameters: Json) -> None:
    shape = _model().operation_model(action).input_shape
    assert shape is not None
    if not isinstance(parameters, dict):
        raise ApiError("SerializationException", "Expected a JSON object")
    report = ParamValidator().validate(parameters, shape)
    if report.has_errors():
        raise ApiError("ValidationException", report.generate_report())
    if (message := violation(shape, parameters)) is not None:
        raise ApiError("ValidationException", message)
    for name, unset in _NOT_RUN.get(action, {}).items():
        if parameters.get(name, unset) != unset:
            raise ApiError("ValidationException", f"The embedded AWS does not run {action} with '{name}'")


class _Call:
    """One request under way: the operations, by what they do."""

    def __init__(self, engine: Engine, account: str, region: str) -> None:
        self._engine = engine
        self._account = account
        self._region = region

    def _arn(self, name: str) -> str:
        return f"arn:aws:states:{self._region}:{self._account}:stateMachine:{name}"

    # State machines

    def create(self, given: Parameters) -> Json:
        machine = self._engine.create(
            self._arn(given["name"]),
            definition=given["definition"],
            role_arn=given["roleArn"],
            kind=given.get("type", "STANDARD"),
            logging=given.get("loggingConfiguration"),
            tracing=given.get("tracingConfiguration"),
            tags={tag["key"]: tag["value"] for tag in given.get("tags", [])},
        )
        return {"stateMachineArn": machine.arn, "creationDate": machine.created}

    def update(self, given: Parameters) -> Json:
        if given.keys() <= {"stateMachineArn"}:
            message = "Either the definition, the role ARN, the LoggingConfiguration, or the TracingConfiguration "
            raise ApiError("MissingRequiredParameter", f"{message}must be specified")
        machine = self._engine.update(
            _arn_of(given["stateMachineArn"]),
            definition=given.get("definition"),
            role_arn=given.get("roleArn"),
            logging=given.get("loggingConfiguration"),
            tracing=given.get("tracingConfiguration"),
        )
        return {"updateDate": datetime.now(UTC).timestamp(), "revisionId": machine.revision}

    def describe(self, given: Parameters) -> Json:
        machine = self._engine.machine(_arn_of(given["stateMachineArn"]))
        return {
            "status": "ACTIVE",
            **_shared(machine, machine.definition, machine.role_arn, given),
            "type": machine.kind,
            "creationDate": machine.created,
        }

    def describe_for_execution(self, given: Parameters) -> Json:
        execution = self._engine.execution(_arn_of(given["executionArn"]))
        machine = self._engine.machine(execution.machine_arn)
        return {**_shared(machine, execution.definition, execution.role_arn, given), "updateDate": machine.created}

    def list_machines(self, given: Parameters) -> Json:
        here = self._arn("")
        listed = sorted(
            (machine for machine in self._engine.machines.values() if machine.arn.startswith(here)),
            key=lambda machine: machine.name,
        )
        rows = (
            {
                "stateMachineArn": machine.arn,
                "name": machine.name,
                "type": machine.kind,
                "creationDate": machine.created,
            }
            for machine in listed
        )
        return _page("stateMachines", rows, given)

    def delete(self, given: Parameters) -> Json:
        self._engine.delete(_arn_of(given["stateMachineArn"]))
        return {}

    def validate(self, given: Parameters) -> Json:
        try:
            parse(given["definition"], given.get("type", "STANDARD"))
        except InvalidDefinition as problem:
            found = [
                {"severity": "ERROR", "code": item.code, "message": item.message, "location": item.location or "/"}
                for item in problem.problems
            ]
            return {"result": "FAIL", "diagnostics": found, "truncated": False}
        return {"result": "OK", "diagnostics": [], "truncated": False}

    # Executions

    def start(self, given: Parameters) -> Json:
        execution = self._begin(given)
        return {"executionArn": execution.arn, "startDate": execution.started}

    async def start_sync(self, given: Parameters) -> Json:
        machine = self._engine.machine(_arn_of(given["stateMachineArn"]))
        if machine.kind != "EXPRESS":
            message = "This operation is not supported by this type of state machine"
            raise ApiError("StateMachineTypeNotSupported", message)
        execution = self._begin(given)
        assert execution.task is not None
        await asyncio.wait([execution.task])
        duration = (execution.stopped or execution.started) - execution.started
        # Billed in steps of 100 ms and chunks of 64 MB: https://aws.amazon.com/step-functions/pricing/
        billed = max(1, math.ceil(duration * 10)) * 100
        return {
            **_described(execution, given),
            "billingDetails": {"billedMemoryUsedInMB": 64, "billedDurationInMilliseconds": billed},
        }

    def _begin(self, given: Parameters) -> Execution:
        return self._engine.start(_arn_of(given["stateMachineArn"]), given.get("name"), _input(given))

    def stop(self, given: Parameters) -> Json:
        execution = self._engine.stop(_arn_of(given["executionArn"]), given.get("error"), given.get("cause"))
        return {"stopDate": execution.stopped}

    def describe_execution(self, given: Parameters) -> Json:
        execution = self._engine.execution(_arn_of(given["executionArn"]))
        described = _described(execution, given)
        if execution.status == "RUNNING":
            described["redriveStatus"] = "NOT_REDRIVABLE"
            described["redriveStatusReason"] = "Execution is RUNNING and cannot be redriven"
        elif execution.status == "SUCCEEDED":
            described["redriveStatus"] = "NOT_REDRIVABLE"
            described["redriveStatusReason"] = "Execution is SUCCEEDED and cannot be redriven"
        else:
            described["redriveStatus"] = "REDRIVABLE"
        return _without_none(
            {
                **described,
                "mapRunArn": execution.map_run_arn,
                "redriveCount": execution.redrives,
                "redriveDate": execution.redriven,
            }
        )

    def list_executions(self, given: Parameters) -> Json:
        if "mapRunArn" in given:
            run = self._engine.map_run(_arn_of(given["mapRunArn"]))
            children = self._engine.children.get(run.execution_arn, [])
            listed = [child for child in reversed(children) if child.map_run_arn == run.arn]
        else:
            if "stateMachineArn" not in given:
                raise ApiError("ValidationException", "Exactly one of [stateMachineArn, mapRunArn] is required")
            machine = self._engine.machine(_arn_of(given["stateMachineArn"]))
            if machine.kind == "EXPRESS":
                message = "This operation is not supported by this type of state machine"
                raise ApiError("StateMachineTypeNotSupported", message)
            started = reversed(self._engine.executions.values())
            listed = [execution for execution in started if execution.machine_arn == machine.arn]
        wanted = given.get("statusFilter")
        rows = (
            _without_none(
                {
                    "executionArn": execution.arn,
                    "stateMachineArn": execution.machine_arn,
                    "name": execution.name,
                    "status": execution.status,
                    "startDate": execution.started,
                    "stopDate": execution.stopped,
                    "mapRunArn": execution.map_run_arn,
                    "redriveCount": execution.redrives,
                }
            )
            for execution in listed
            if wanted in (None, execution.status)
        )
        return _page("executions", rows, given)

    def history(self, given: Parameters) -> Json:
        execution = self._engine.execution(_arn_of(given["executionArn"]))
        assert execution.history is not None
        events = execution.history.events(
            newest_first=given.get("reverseOrder", False), data=given.get("includeExecutionData", True)
        )
        return _page("events", events, given)

    def redrive(self, given: Parameters) -> Json:
        execution = self._engine.redrive(_arn_of(given["executionArn"]))
        return {"redriveDate": execution.redriven}

    # Map Runs

    def list_map_runs(self, given: Parameters) -> Json:
        execution = self._engine.execution(_arn_of(given["executionArn"]))
        rows = (
            _without_none(
                {
                    "executionArn": execution.arn,
                    "mapRunArn": run.arn,
                    "stateMachineArn": run.child_machine_arn,
                    "startDate": run.started,
                    "stopDate": run.stopped,
                }
            )
            for run in execution.map_runs
        )
        return _page("mapRuns", rows, given)

    def describe_map_run(self, given: Parameters) -> Json:
        run = self._engine.map_run(_arn_of(given["mapRunArn"]))
        return _without_none(
            {
                "mapRunArn": run.arn,
                "executionArn": run.execution_arn,
                "status": run.status,
                "startDate": run.started,
                "stopDate": run.stopped,
                "maxConcurrency": run.max_concurrency,
                "toleratedFailurePercentage": float(run.tolerance.percentage or 0),
                "toleratedFailureCount": run.tolerance.count or 0,
                "itemCounts": run.items.described(),
                "executionCounts": run.executions.described(),
                "redriveCount": run.redrives,
                "redriveDate": run.redriven,
            }
        )

    def update_map_run(self, given: Parameters) -> Json:
        run = self._engine.map_run(_arn_of(given["mapRunArn"]))
        run.update(
            given.get("maxConcurrency"), given.get("toleratedFailureCount"), given.get("toleratedFailurePercentage")
        )
        return {}

    # Tags

    def tag(self, given: Parameters) -> Json:
        self._tagged(given).tags.update({tag["key"]: tag["value"] for tag in given["tags"]})
        return {}

    def untag(self, given: Parameters) -> Json:
        for key in given["tagKeys"]:
            self._tagged(given).tags.pop(key, None)
        return {}

    def tags(self, given: Parameters) -> Json:
        return {"tags": [{"key": key, "value": value} for key, value in self._tagged(given).tags.items()]}

    # Tasks that wait for their token

    def task_succeeded(self, given: Parameters) -> Json:
        try:
            output = json.loads(given["output"])
        except ValueError as problem:
            raise ApiError("InvalidOutput", f"Invalid Output: '{problem}'") from problem
        with _known_task():
            self._engine.callbacks.succeed(given["taskToken"], output)
        return {}

    def task_failed(self, given: Parameters) -> Json:
        with _known_task():
            self._engine.callbacks.fail(given["taskToken"], given.get("error"), given.get("cause"))
        return {}

    def task_beats(self, given: Parameters) -> Json:
        with _known_task():
            self._engine.callbacks.beat(given["taskToken"])
        return {}

    def _tagged(self, given: Parameters) -> StateMachine:
        arn = given["resourceArn"]
        if arn not in self._engine.machines:
            raise ApiError("ResourceNotFound", f"Resource not found: '{arn}'")
        return self._engine.machines[arn]


_OPERATIONS: dict[str, Callable[[_Call, Parameters], Json | Awaitable[Json]]] = {
    "CreateStateMachine": _Call.create,
    "UpdateStateMachine": _Call.update,
    "DescribeStateMachine": _Call.describe,
    "DescribeStateMachineForExecution": _Call.describe_for_execution,
    "ListStateMachines": _Call.list_machines,
    "DeleteStateMachine": _Call.delete,
    "ValidateStateMachineDefinition": _Call.validate,
    "StartExecution": _Call.start,
    "StartSyncExecution": _Call.start_sync,
    "StopExecution": _Call.stop,
    "DescribeExecution": _Call.describe_execution,
    "ListExecutions": _Call.list_executions,
    "GetExecutionHistory": _Call.history,
    "RedriveExecution": _Call.redrive,
    "ListMapRuns": _Call.list_map_runs,
    "DescribeMapRun": _Call.describe_map_run,
    "UpdateMapRun": _Call.update_map_run,
    "SendTaskSuccess": _Call.task_succeeded,
    "SendTaskFailure": _Call.task_failed,
    "SendTaskHeartbeat": _Call.task_beats,
    "TagResource": _Call.tag,
    "UntagResource": _Call.untag,
    "ListTagsForResource": _Call.tags,
}
_NOT_RUN: dict[str, dict[str, Json]] = {
    "CreateStateMachine": {"publish": False, "versionDescription": None, "encryptionConfiguration": None},
    "UpdateStateMachine": {"publish": False, "versionDescription": None, "encryptionConfiguration": None},
    "ListExecutions": {"redriveFilter": None},
}
"""Parameters that would change what happens, and that this API does not act on, with the value that asks nothing."""


def refuse(code: str, message: str) -> Response:
    """The answer to a request that is not let through."""
    return _answer(400, {"__type": code, "message": message})


def resource_of(body: bytes) -> str:
    """The ARN that a request is about, as IAM policies name it; `*` where it is about none."""
    try:
        given = json.loads(body or b"{}")
    except ValueError:
        return "*"
    names = ("stateMachineArn", "executionArn", "mapRunArn", "resourceArn")
    return next((str(given[name]) for name in names if name in given), "*") if isinstance(given, dict) else "*"


@contextmanager
def _known_task() -> Iterator[None]:
    """As AWS words it: no recording of one that once waited is at hand, so the message is not confirmed."""
    try:
        yield
    except NoSuchTask as problem:
        raise ApiError("TaskTimedOut", "Task Timed Out: 'Provided task does not exist anymore'") from problem


def _answer(status: int, document: Json) -> Response:
    return status, {"content-type": "application/x-amz-json-1.0"}, text(document).encode("utf-8", "surrogatepass")


def _arn_of(arn: str) -> str:
    if not arn.startswith("arn:"):
        raise ApiError("InvalidArn", f"Invalid Arn: 'Invalid ARN prefix: {arn}'")
    if arn.count(":") > _RESOURCE_TYPE and arn.split(":")[_RESOURCE_TYPE] == "express":
        raise ApiError("InvalidArn", "Invalid Arn: 'Resource type not valid in this context: express'")
    return arn


def _input(given: Parameters) -> Json:
    try:
        return loads(given.get("input", "{}"))
    except ValueError as problem:
        message = f"Invalid State Machine Execution Input: '{problem}'"
        raise ApiError("InvalidExecutionInput", message) from problem


def _with_data(given: Parameters) -> bool:
    """Whether the caller asks for definitions, inputs and outputs, and not for METADATA_ONLY."""
    return bool(given.get("includedData", "ALL_DATA") == "ALL_DATA")


def _shared(machine: StateMachine, definition: str, role_arn: str, given: Parameters) -> Parameters:
    described: Parameters = {
        "stateMachineArn": machine.arn,
        "name": machine.name,
        "roleArn": role_arn,
        "loggingConfiguration": machine.logging,
        "tracingConfiguration": machine.tracing,
        **({"encryptionConfiguration": machine.encryption} if machine.encryption else {}),
    }
    if _with_data(given):
        described["definition"] = definition
    if machine.revision:
        described["revisionId"] = machine.revision
    return described


def _described(execution: Execution, given: Parameters) -> Parameters:
    data = _with_data(given)
    described: Parameters = {
        "executionArn": execution.arn,
        "stateMachineArn": execution.machine_arn,
        "name": execution.name,
        "status": execution.status,
        "startDate": execution.started,
        "stopDate": execution.stopped,
        "input": text(execution.input) if data else None,
        "inputDetails": {"included": data},
        "error": execution.error,
        "cause": execution.cause,
    }
    if execution.status == "SUCCEEDED":
        described |= {"output": text(execution.output) if data else None, "outputDetails": {"included": data}}
    return _without_none(described)


def _without_none(document: Parameters) -> Parameters:
    return {name: value for name, value in document.items() if value is not None}


def _page(name: str, rows: Iterable[Json], given: Parameters) -> Json:
    """One page of a listing; the token says how far the last one came."""
    size = given.get("maxResults") or 100
    try:
        start = int(base64.urlsafe_b64decode(given["nextToken"])) if given.get("nextToken") else 0
    except ValueError as problem:
        raise ApiError("InvalidToken", f"Invalid Token: '{given['nextToken']}'") from problem
    taken = list(islice(rows, start, start + size + 1))
    page: Json = {name: taken[:size]}
    if len(taken) > size:
        page["nextToken"] = base64.urlsafe_b64encode(str(start + size).encode()).decode()
    return page
