"""A small AWS for the engine's tests, and a way to run definitions on it with no waiting and no server."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from botocore.awsrequest import AWSPreparedRequest

from local.clock import Clock
from local.states.calling import ServiceError
from local.states.executions import Execution
from local.states.machines import Engine

Json = Any
ACCOUNT = "000000000000"
REGION = "us-east-1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/machine"
MACHINE = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:tested"
INVOKE = "arn:aws:states:::lambda:invoke"


@dataclass(frozen=True)
class Answered:
    """What a function answered."""

    payload: bytes
    error: str | None = None


class Raised(Exception):
    """Raised by a fake function: the error that the real one would report."""

    def __init__(self, kind: str, message: str = "it went wrong") -> None:
        super().__init__(message)
        self.document = {"errorMessage": message, "errorType": kind, "stackTrace": []}


Function = Callable[[Json], Json | Awaitable[Json]]


@dataclass
class FakeAws:
    """Functions are Python callables by name; every other service answers `replies`, in turn."""

    functions: Mapping[str, Function] = field(default_factory=dict)
    replies: list[tuple[int, Mapping[str, str], bytes]] = field(default_factory=list)
    refusal: ServiceError | None = None
    without: dict[str, str] = field(default_factory=dict)
    invoked: list[tuple[str, Json]] = field(default_factory=list)
    sent: list[AWSPreparedRequest] = field(default_factory=list)
    logged: list[tuple[str, str, Json]] = field(default_factory=list)
    published: list[tuple[str, str, Json]] = field(default_factory=list)

    def access_key(self, role_arn: str, machine_arn: str) -> str:
        """See `Aws`."""
        return f"key-of-{role_arn.rpartition('/')[2]}"

    def authorize(
        self, access_key: str, action: str, resource: str, region: str, context: Mapping[str, str] | None = None
    ) -> str | None:
        """See `Aws`."""
        return self.without.get(action)

    async def invoke_function(self, function: str, payload: bytes, access_key: str, region: str) -> Answered:
        """See `Aws`."""
        if self.refusal is not None:
            raise self.refusal
        value = json.loads(payload)
        self.invoked.append((function, value))
        try:
            answer = self.functions[function](value)
            if isinstance(answer, Awaitable):
                answer = await answer
        except Raised as problem:
            return Answered(json.dumps(problem.document).encode(), "Unhandled")
        return answer if isinstance(answer, Answered) else Answered(json.dumps(answer).encode())

    def put_log_lines(self, group: str, stream: str, lines: list[tuple[int, str]]) -> None:
        """See `Aws`."""
        self.logged += [(group, stream, json.loads(line)) for _, line in lines]

    def put_metrics(self, machine_arn: str, namespace: str, data: list[dict[str, Any]]) -> None:
        """See `Aws`."""
        self.published += [(machine_arn, namespace, datum) for datum in data]

    async def send(self, request: AWSPreparedRequest) -> tuple[int, Mapping[str, str], bytes]:
        """See `Aws`."""
        self.sent.append(request)
        return self.replies.pop(0)


@dataclass(frozen=True)
class Ran:
    """How one execution ended."""

    status: str
    output: Json
    error: str | None
    cause: str | None
    events: list[dict[str, Json]]

    @property
    def types(self) -> list[str]:
        """The types of its events."""
        return [event["type"] for event in self.events]

    def details(self, kind: str) -> list[dict[str, Json]]:
        """The details of each event of that type."""
        return [
            next(value for name, value in event.items() if name.endswith("EventDetails"))
            for event in self.events
            if event["type"] == kind
        ]

    def inputs(self, state: str) -> list[Json]:
        """The input of each visit to that state."""
        return [
            json.loads(event["stateEnteredEventDetails"]["input"])
            for event in self.events
            if event.get("stateEnteredEventDetails", {}).get("name") == state
        ]


def machine(states: Mapping[str, Json], **more: Json) -> str:
    """A definition that starts at its first state."""
    return json.dumps({"QueryLanguage": "JSONata", "StartAt": next(iter(states)), "States": states, **more})


def task(function: str, **more: Json) -> dict[str, Json]:
    """A Task that calls the function with the state's input and gives its payload; it ends unless `Next` is given."""
    return {
        "Type": "Task",
        "Resource": INVOKE,
        "Arguments": {"FunctionName": function, "Payload": "{% $states.input %}"},
        "Output": "{% $states.result.Payload %}",
        **({} if "Next" in more else {"End": True}),
        **more,
    }


def output(expression: str) -> dict[str, Json]:
    """A Pass that ends with the value of a JSONata expression."""
    return {"Type": "Pass", "Output": f"{{% {expression} %}}", "End": True}


async def run_async(engine: Engine, definition: str, value: Json, kind: str = "STANDARD") -> Execution:
    """Creates the machine, and runs it to its end."""
    engine.create(MACHINE, definition=definition, role_arn=ROLE, kind=kind)
    execution = engine.start(MACHINE, "run", value)
    assert execution.task is not None
    await asyncio.wait([execution.task])
    return execution


def run(
    states: Mapping[str, Json],
    value: Json = None,
    *,
    aws: FakeAws | None = None,
    clock: Clock | None = None,
    **more: Json,
) -> Ran:
    """Runs these states on an input; `more` are fields of the machine."""
    engine = Engine(aws or FakeAws(), clock or Clock(0))
    execution = asyncio.run(run_async(engine, machine(states, **more), {} if value is None else value))
    assert execution.history is not None
    return Ran(execution.status, execution.output, execution.error, execution.cause, list(execution.history.events()))


def evaluate(expression: str, value: Json = None) -> Json:
    """What the expression gives on an input, or the cause of its failure, as text."""
    ran = run({"Only": output(expression)}, value)
    return ran.output if ran.status == "SUCCEEDED" else f"{ran.error}: {ran.cause}"
