"""Tasks that wait for their token: what ends them, and what the history tells of it."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from local.clock import Clock
from local.states import api
from local.states.calling import ServiceError
from local.states.executions import Execution
from local.states.machines import Engine
from tests.local.states.fake_aws import ACCOUNT, INVOKE, MACHINE, REGION, ROLE, FakeAws, machine

Json = Any
Say = Callable[..., Awaitable[Json]]
RESOURCE = f"{INVOKE}.waitForTaskToken"


def waiting(**more: Json) -> dict[str, Json]:
    payload = {"token": "{% $states.context.Task.Token %}", "value": "{% $states.input %}"}
    return {
        "Type": "Task",
        "Resource": RESOURCE,
        "Arguments": {"FunctionName": "f", "Payload": payload},
        "End": True,
        **more,
    }


def ran(state: dict[str, Json], work: Callable[[str, Say], Awaitable[None]], **more: Json) -> Execution:
    """An execution of the one state; `work` gets its token, and the API to say with what becomes of it."""

    async def run() -> Execution:
        tokens: asyncio.Queue[str] = asyncio.Queue()

        def function(value: Json) -> Json:
            tokens.put_nowait(value["token"])
            return "taken in"

        engine = Engine(FakeAws({"f": function}), Clock(0))

        async def say(action: str, **given: Json) -> Json:
            body = json.dumps(given).encode()
            status, _, answer = await api.handle(engine, f"AWSStepFunctions.{action}", body, ACCOUNT, REGION)
            document = json.loads(answer)
            return document if status == 200 else f"{document['__type']}: {document['message']}"

        engine.create(MACHINE, definition=machine({"A": state, **more}), role_arn=ROLE)
        execution = engine.start(MACHINE, "once", 1)
        assert execution.task is not None
        worker = asyncio.ensure_future(work(await tokens.get(), say))
        await asyncio.wait_for(execution.task, 20)
        await worker
        return execution

    return asyncio.run(run())


def events(execution: Execution) -> list[tuple[str, Json]]:
    assert execution.history is not None
    found = []
    for event in execution.history.events():
        details: Json = next((value for name, value in event.items() if name.endswith("EventDetails")), {})
        found.append((event["type"], details))
    return found


def test_the_task_ends_with_what_the_holder_of_its_token_says() -> None:
    async def work(token: str, say: Say) -> None:
        assert 100 < len(token) <= 2048
        assert await say("SendTaskSuccess", taskToken=token, output='{"answer": 42}') == {}

    execution = ran(waiting(Output="{% $states.result.answer %}"), work)
    assert (execution.status, execution.output) == ("SUCCEEDED", 42)
    # In the order that AWS recorded for sqs:sendMessage.waitForTaskToken.
    told = [(kind, details.get("resource")) for kind, details in events(execution) if kind.startswith("Task")]
    assert told == [
        ("TaskStateEntered", None),
        ("TaskScheduled", "invoke.waitForTaskToken"),
        ("TaskStarted", "invoke.waitForTaskToken"),
        ("TaskSubmitted", "invoke.waitForTaskToken"),
        ("TaskSucceeded", "invoke.waitForTaskToken"),
        ("TaskStateExited", None),
    ]
    submitted = next(details for kind, details in events(execution) if kind == "TaskSubmitted")
    assert json.loads(submitted["output"])["Payload"] == "taken in"


def test_the_task_fails_as_the_holder_of_its_token_says() -> None:
    async def work(token: str, say: Say) -> None:
        assert await say("SendTaskFailure", taskToken=token, error="ModelRefused", cause="it is bad") == {}

    caught = {"Type": "Pass", "Output": "{% $states.input %}", "End": True}
    state = waiting(Catch=[{"ErrorEquals": ["ModelRefused"], "Next": "B"}])
    execution = ran(state, work, B=caught)
    assert execution.output == {"Error": "ModelRefused", "Cause": "it is bad"}


def test_a_failure_without_words_has_none_in_the_history_either() -> None:
    async def work(token: str, say: Say) -> None:
        assert await say("SendTaskFailure", taskToken=token) == {}

    execution = ran(waiting(), work)
    assert (execution.status, execution.error, execution.cause) == ("FAILED", None, None)
    failed = next(details for kind, details in events(execution) if kind == "TaskFailed")
    assert failed == {"resource": "invoke.waitForTaskToken", "resourceType": "lambda"}


def test_each_try_has_a_token_of_its_own_and_the_old_one_counts_no_more() -> None:
    seen: list[str] = []

    async def run() -> Execution:
        tokens: asyncio.Queue[str] = asyncio.Queue()
        engine = Engine(FakeAws({"f": lambda value: tokens.put_nowait(value["token"])}), Clock(0))
        retry = [{"ErrorEquals": ["Again"], "MaxAttempts": 1}]
        engine.create(MACHINE, definition=machine({"A": waiting(Retry=retry)}), role_arn=ROLE)
        execution = engine.start(MACHINE, "once", 1)
        seen.append(await tokens.get())
        engine.callbacks.fail(seen[0], "Again", None)
        seen.append(await tokens.get())
        body = json.dumps({"taskToken": seen[0], "output": "1"}).encode()
        _, _, answer = await api.handle(engine, "AWSStepFunctions.SendTaskSuccess", body, ACCOUNT, REGION)
        assert json.loads(answer)["__type"] == "TaskTimedOut"
        engine.callbacks.succeed(seen[1], 2)
        assert execution.task is not None
        await execution.task
        return execution

    execution = asyncio.run(run())
    assert execution.output == 2
    assert len(set(seen)) == 2


def test_a_task_whose_heartbeats_stop_times_out() -> None:
    async def work(token: str, say: Say) -> None:
        assert await say("SendTaskHeartbeat", taskToken=token) == {}

    execution = ran(waiting(HeartbeatSeconds=1, TimeoutSeconds=60), work)
    assert (execution.status, execution.error) == ("FAILED", "States.Timeout")
    kinds = [kind for kind, _ in events(execution)]
    assert kinds[-2:] == ["TaskTimedOut", "ExecutionFailed"]
    scheduled = next(details for kind, details in events(execution) if kind == "TaskScheduled")
    assert (scheduled["heartbeatInSeconds"], scheduled["timeoutInSeconds"]) == (1, 60)


def test_a_task_that_nobody_ends_times_out() -> None:
    async def work(_token: str, _say: Say) -> None: ...

    assert ran(waiting(TimeoutSeconds=1), work).error == "States.Timeout"


def test_a_call_that_fails_ends_the_task_without_waiting() -> None:
    async def run() -> Execution:
        refusal = ServiceError("ResourceNotFoundException", "Function not found", 404)
        engine = Engine(FakeAws(refusal=refusal), Clock(0))
        engine.create(MACHINE, definition=machine({"A": waiting()}), role_arn=ROLE)
        execution = engine.start(MACHINE, "once", 1)
        assert execution.task is not None
        await execution.task
        return execution

    assert asyncio.run(run()).error == "Lambda.ResourceNotFoundException"


@pytest.mark.parametrize(
    ("action", "given", "said"),
    [
        ("SendTaskSuccess", {"output": "{"}, "InvalidOutput: Invalid Output: "),
        ("SendTaskSuccess", {"output": '"' + "x" * 262_144 + '"'}, "ValidationException: "),
        ("SendTaskSuccess", {"output": "1", "taskToken": "made up"}, "TaskTimedOut: Task Timed Out: "),
        ("SendTaskFailure", {"taskToken": "made up"}, "TaskTimedOut: Task Timed Out: "),
        ("SendTaskHeartbeat", {"taskToken": "made up"}, "TaskTimedOut: Task Timed Out: "),
    ],
)
def test_what_cannot_be_said_of_a_task_is_refused_and_it_waits_on(
    action: str, given: dict[str, Json], said: str
) -> None:
    async def work(token: str, say: Say) -> None:
        assert str(await say(action, **{"taskToken": token, **given})).startswith(said)
        assert await say("SendTaskSuccess", taskToken=token, output="1") == {}

    assert ran(waiting(), work).output == 1
