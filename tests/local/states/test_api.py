"""The Step Functions API: every operation, and every error it can answer with."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from local.clock import Clock
from local.states import api
from local.states.machines import Engine
from tests.local.states.fake_aws import ACCOUNT, MACHINE, REGION, ROLE, FakeAws, machine, output, task

Json = Any
PASS = machine({"A": {"Type": "Pass", "End": True}})
FAIL = machine({"A": {"Type": "Fail", "Error": "E", "Cause": "C"}})
EXECUTION = MACHINE.replace("stateMachine", "execution")


class Client:
    """Calls the API of one engine. An error comes as its code and its message in one text."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    async def __call__(self, action: str, **parameters: Json) -> Json:
        body = json.dumps(parameters).encode()
        status, headers, answer = await api.handle(self.engine, f"AWSStepFunctions.{action}", body, ACCOUNT, REGION)
        assert headers == {"content-type": "application/x-amz-json-1.0"}
        document = json.loads(answer)
        if status == 200:
            return document
        assert status == 400
        return f"{document['__type']}: {document['message']}"

    async def create(self, definition: str = PASS, name: str = "tested", **more: Json) -> Json:
        return await self("CreateStateMachine", name=name, definition=definition, roleArn=ROLE, **more)

    async def ran(self, name: str, value: str = "{}") -> Json:
        """Starts an execution of the one machine and describes it once it has ended."""
        started = await self("StartExecution", stateMachineArn=MACHINE, name=name, input=value)
        execution = self.engine.execution(started["executionArn"])
        assert execution.task is not None
        await asyncio.wait([execution.task])
        return await self("DescribeExecution", executionArn=execution.arn)


def calling(work: Callable[[Client], Coroutine[Any, Any, None]], aws: FakeAws | None = None) -> None:
    """Runs `work` with a client of a new engine, and stops what it left running."""

    async def run() -> None:
        engine = Engine(aws or FakeAws(), Clock(0))
        try:
            await work(Client(engine))
        finally:
            await engine.close()

    asyncio.run(run())


# State machines


def test_a_machine_is_created_described_and_deleted() -> None:
    async def work(call: Client) -> None:
        created = await call.create(tags=[{"key": "k", "value": "v"}], tracingConfiguration={"enabled": True})
        assert created["stateMachineArn"] == MACHINE
        assert await call("DescribeStateMachine", stateMachineArn=MACHINE) == {
            "stateMachineArn": MACHINE,
            "name": "tested",
            "status": "ACTIVE",
            "type": "STANDARD",
            "definition": PASS,
            "roleArn": ROLE,
            "creationDate": created["creationDate"],
            "loggingConfiguration": {"level": "OFF", "includeExecutionData": False},
            "tracingConfiguration": {"enabled": True},
        }
        assert await call("DeleteStateMachine", stateMachineArn=MACHINE) == {}
        assert await call("DeleteStateMachine", stateMachineArn=MACHINE) == {}
        assert "StateMachineDoesNotExist" in await call("DescribeStateMachine", stateMachineArn=MACHINE)

    calling(work)


def test_creating_the_same_again_is_no_error_and_another_of_its_name_is() -> None:
    async def work(call: Client) -> None:
        first = await call.create()
        assert await call.create() == first
        assert await call.create(FAIL) == f"StateMachineAlreadyExists: State Machine Already Exists: '{MACHINE}'"

    calling(work)


def test_a_definition_that_cannot_run_creates_nothing() -> None:
    async def work(call: Client) -> None:
        refused = await call.create(machine({"A": {"Type": "Pass"}}))
        assert refused == (
            "InvalidDefinition: Invalid State Machine Definition: "
            "'SCHEMA_VALIDATION_FAILED: Exactly one of [Next, End] is required at /States/A'"
        )
        assert await call("ListStateMachines") == {"stateMachines": []}

    calling(work)


@pytest.mark.parametrize("name", ["with space", "a/b", "a:b", "a*", "ünï\u0080", "a\n"])
def test_a_name_that_aws_does_not_take_is_refused(name: str) -> None:
    async def work(call: Client) -> None:
        assert (await call.create(name=name)).startswith("InvalidName: Invalid Name: '")
        await call.create()
        started = await call("StartExecution", stateMachineArn=MACHINE, name=name)
        assert started.startswith("InvalidName: Invalid Name: '")

    calling(work)


def test_a_machine_is_updated_in_part_with_a_new_revision() -> None:
    async def work(call: Client) -> None:
        await call.create()
        first = await call("UpdateStateMachine", stateMachineArn=MACHINE, definition=FAIL)
        second = await call("UpdateStateMachine", stateMachineArn=MACHINE, roleArn=f"{ROLE}-2")
        described = await call("DescribeStateMachine", stateMachineArn=MACHINE)
        assert (described["definition"], described["roleArn"]) == (FAIL, f"{ROLE}-2")
        assert described["revisionId"] == second["revisionId"] != first["revisionId"]

    calling(work)


def test_an_update_is_refused_when_it_changes_nothing_or_cannot_run() -> None:
    async def work(call: Client) -> None:
        await call.create()
        assert "MissingRequiredParameter" in await call("UpdateStateMachine", stateMachineArn=MACHINE)
        assert "InvalidDefinition" in await call("UpdateStateMachine", stateMachineArn=MACHINE, definition="{}")
        gone = f"{MACHINE}-gone"
        assert "StateMachineDoesNotExist" in await call("UpdateStateMachine", stateMachineArn=gone, roleArn=ROLE)
        assert (await call("DescribeStateMachine", stateMachineArn=MACHINE))["definition"] == PASS

    calling(work)


def test_machines_are_listed_by_name_a_page_at_a_time() -> None:
    async def work(call: Client) -> None:
        for name in ("c", "a", "b"):
            await call.create(name=name, type="EXPRESS" if name == "a" else "STANDARD")
        page = await call("ListStateMachines", maxResults=2)
        assert [(row["name"], row["type"]) for row in page["stateMachines"]] == [("a", "EXPRESS"), ("b", "STANDARD")]
        page = await call("ListStateMachines", maxResults=2, nextToken=page["nextToken"])
        assert [row["name"] for row in page["stateMachines"]] == ["c"]
        assert "nextToken" not in page

    calling(work)


def test_a_page_token_that_nobody_gave_out_is_refused() -> None:
    async def work(call: Client) -> None:
        assert await call("ListStateMachines", nextToken="made up") == "InvalidToken: Invalid Token: 'made up'"

    calling(work)


def test_a_definition_is_validated_without_being_created() -> None:
    async def work(call: Client) -> None:
        assert await call("ValidateStateMachineDefinition", definition=PASS) == {
            "result": "OK",
            "diagnostics": [],
            "truncated": False,
        }
        refused = await call("ValidateStateMachineDefinition", definition=machine({"A": {"Type": "Pass", "Next": "B"}}))
        assert refused == {
            "result": "FAIL",
            "truncated": False,
            "diagnostics": [
                {
                    "severity": "ERROR",
                    "code": "MISSING_TRANSITION_TARGET",
                    "message": "Missing 'Next' target: B",
                    "location": "/States/A/Next",
                }
            ],
        }
        assert await call("ListStateMachines") == {"stateMachines": []}

    calling(work)


# Requests


@pytest.mark.parametrize(
    ("action", "parameters", "said"),
    [
        ("CreateActivity", {"name": "a"}, "UnknownOperationException: The embedded AWS does not run"),
        ("StartExecution", {}, "ValidationException: Missing required parameter"),
        ("StartExecution", {"stateMachineArn": 5}, "ValidationException: Invalid type for parameter stateMachineArn"),
        ("ListStateMachines", {"colour": "red"}, 'ValidationException: Unknown parameter in input: "colour"'),
        ("ListStateMachines", {"maxResults": 1001}, "Value '1001' at 'maxResults' failed to satisfy constraint"),
        ("ListExecutions", {}, "ValidationException: Exactly one of [stateMachineArn, mapRunArn]"),
        ("ListExecutions", {"stateMachineArn": MACHINE, "statusFilter": "x"}, "Member must satisfy enum value set: ["),
        ("DescribeStateMachine", {"stateMachineArn": "x"}, "InvalidArn: Invalid Arn: 'Invalid ARN prefix: x'"),
        ("DescribeExecution", {"executionArn": "x"}, "InvalidArn"),
        ("StartExecution", {"stateMachineArn": "x"}, "InvalidArn"),
        ("StopExecution", {"executionArn": "x"}, "InvalidArn"),
        ("GetExecutionHistory", {"executionArn": "x"}, "InvalidArn"),
        ("StartExecution", {"stateMachineArn": MACHINE}, "StateMachineDoesNotExist: State Machine Does Not Exist: '"),
        ("StartSyncExecution", {"stateMachineArn": MACHINE}, "StateMachineDoesNotExist"),
        ("ListExecutions", {"stateMachineArn": MACHINE}, "StateMachineDoesNotExist"),
        ("DescribeExecution", {"executionArn": EXECUTION}, "ExecutionDoesNotExist: Execution Does Not Exist: '"),
        ("DescribeStateMachineForExecution", {"executionArn": EXECUTION}, "ExecutionDoesNotExist"),
        ("StopExecution", {"executionArn": EXECUTION}, "ExecutionDoesNotExist"),
        ("GetExecutionHistory", {"executionArn": EXECUTION}, "ExecutionDoesNotExist"),
        ("TagResource", {"resourceArn": MACHINE, "tags": []}, f"ResourceNotFound: Resource not found: '{MACHINE}'"),
        ("UntagResource", {"resourceArn": MACHINE, "tagKeys": ["a"]}, "ResourceNotFound"),
        ("ListTagsForResource", {"resourceArn": MACHINE}, "ResourceNotFound"),
    ],
)
def test_a_request_that_cannot_be_answered_gets_awss_error(action: str, parameters: Json, said: str) -> None:
    async def work(call: Client) -> None:
        assert said in await call(action, **parameters)

    calling(work)


@pytest.mark.parametrize(
    "parameters",
    [{"publish": True}, {"type": "FAST"}, {"loggingConfiguration": {"level": "LOUD"}}, {"tags": [{"key": "x" * 129}]}],
)
def test_a_machine_with_parameters_that_do_not_work_is_refused(parameters: Json) -> None:
    async def work(call: Client) -> None:
        assert (await call.create(**parameters)).startswith("ValidationException: ")

    calling(work)


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff"])
def test_a_body_that_is_no_json_object_is_refused(body: bytes) -> None:
    status, _, answer = asyncio.run(
        api.handle(Engine(FakeAws()), "AWSStepFunctions.ListStateMachines", body, ACCOUNT, REGION)
    )
    assert (status, json.loads(answer)["__type"]) == (400, "SerializationException")


@pytest.mark.parametrize(
    ("body", "resource"),
    [
        (b"{}", "*"),
        (b"", "*"),
        (b"{", "*"),
        (b"[]", "*"),
        (b'{"stateMachineArn": "m"}', "m"),
        (b'{"executionArn": "e"}', "e"),
        (b'{"resourceArn": "r"}', "r"),
    ],
)
def test_iam_is_asked_about_the_resource_that_a_request_names(body: bytes, resource: str) -> None:
    assert api.resource_of(body) == resource


# Executions


def test_an_execution_is_described_when_it_has_succeeded() -> None:
    async def work(call: Client) -> None:
        await call.create(machine({"A": output("$states.input.x + 1")}))
        described = await call.ran("one", '{"x": 1}')
        assert described.pop("startDate") <= described.pop("stopDate")
        assert described == {
            "executionArn": f"{EXECUTION}:one",
            "stateMachineArn": MACHINE,
            "name": "one",
            "status": "SUCCEEDED",
            "input": '{"x":1}',
            "inputDetails": {"included": True},
            "output": "2",
            "outputDetails": {"included": True},
            "redriveCount": 0,
            "redriveStatus": "NOT_REDRIVABLE",
            "redriveStatusReason": "Execution is SUCCEEDED and cannot be redriven",
        }

    calling(work)


def test_an_execution_is_described_when_it_has_failed() -> None:
    async def work(call: Client) -> None:
        await call.create(FAIL)
        described = await call.ran("one")
        assert {name: described[name] for name in ("status", "error", "cause", "redriveStatus")} == {
            "status": "FAILED",
            "error": "E",
            "cause": "C",
            "redriveStatus": "REDRIVABLE",
        }
        assert "output" not in described

    calling(work)


def test_metadata_only_leaves_definitions_inputs_and_outputs_out() -> None:
    async def work(call: Client) -> None:
        await call.create()
        await call.ran("one")
        only = {"includedData": "METADATA_ONLY"}
        described = await call("DescribeExecution", executionArn=f"{EXECUTION}:one", **only)
        assert {"input", "output"} & described.keys() == set()
        assert described["inputDetails"] == described["outputDetails"] == {"included": False}
        assert "definition" not in await call("DescribeStateMachine", stateMachineArn=MACHINE, **only)
        machine_then = await call("DescribeStateMachineForExecution", executionArn=f"{EXECUTION}:one", **only)
        assert "definition" not in machine_then
        await call.create(name="fast", type="EXPRESS")
        answer = await call("StartSyncExecution", stateMachineArn=MACHINE.replace("tested", "fast"), **only)
        assert (answer["status"], answer["outputDetails"]) == ("SUCCEEDED", {"included": False})
        assert "output" not in answer

    calling(work)


def test_an_execution_keeps_the_definition_it_began_with() -> None:
    async def work(call: Client) -> None:
        await call.create()
        await call.ran("one")
        await call("UpdateStateMachine", stateMachineArn=MACHINE, definition=FAIL, roleArn=f"{ROLE}-2")
        described = await call("DescribeStateMachineForExecution", executionArn=f"{EXECUTION}:one")
        assert (described["definition"], described["roleArn"]) == (PASS, ROLE)

    calling(work)


def test_starting_the_same_execution_again_is_the_same_while_it_runs_and_an_error_after() -> None:
    async def work(call: Client) -> None:
        await call.create(machine({"A": task("hang")}))
        same = {"stateMachineArn": MACHINE, "name": "one"}
        first = await call("StartExecution", **same, input='{"a": 1}')
        assert await call("StartExecution", **same, input='{ "a": 1 }') == first
        refused = await call("StartExecution", **same, input='{"a": 2}')
        assert refused == f"ExecutionAlreadyExists: Execution Already Exists: '{EXECUTION}:one'"
        await call("StopExecution", executionArn=first["executionArn"])
        assert "ExecutionAlreadyExists" in await call("StartExecution", **same, input='{"a": 1}')

    calling(work, FakeAws({"hang": lambda _value: asyncio.Event().wait()}))


def test_an_execution_without_a_name_gets_one() -> None:
    async def work(call: Client) -> None:
        await call.create()
        started = [await call("StartExecution", stateMachineArn=MACHINE) for _ in range(2)]
        assert started[0]["executionArn"] != started[1]["executionArn"]

    calling(work)


@pytest.mark.parametrize(
    "value",
    [
        "{",
        "not json",
        "{'a': 1}",
        "",
        "[" * 300 + "]" * 300,
        "[" * 10_000 + "]" * 10_000,
        "9" * 200_000,
        "1e999",
        "NaN",
    ],
    ids=["cut", "words", "quotes", "nothing", "deep", "deeper", "digits", "exponent", "NaN"],
)
def test_an_input_that_is_no_json_starts_nothing(value: str) -> None:
    async def work(call: Client) -> None:
        await call.create()
        started = await call("StartExecution", stateMachineArn=MACHINE, input=value)
        assert started.startswith("InvalidExecutionInput: Invalid State Machine Execution Input: '")

    calling(work)


def test_a_running_execution_is_stopped_with_an_error_and_a_cause() -> None:
    async def work(call: Client) -> None:
        await call.create(machine({"A": task("hang")}))
        arn = (await call("StartExecution", stateMachineArn=MACHINE, name="one"))["executionArn"]
        await asyncio.sleep(0)
        assert (await call("DescribeExecution", executionArn=arn))["redriveStatusReason"].startswith(
            "Execution is RUNN"
        )
        stopped = await call("StopExecution", executionArn=arn, error="E", cause="enough")
        described = await call("DescribeExecution", executionArn=arn)
        assert [described[name] for name in ("status", "error", "cause")] == ["ABORTED", "E", "enough"]
        assert described["stopDate"] == stopped["stopDate"]
        events = (await call("GetExecutionHistory", executionArn=arn))["events"]
        assert events[-1]["executionAbortedEventDetails"] == {"error": "E", "cause": "enough"}
        assert (await call("StopExecution", executionArn=arn))["stopDate"] == stopped["stopDate"]

    calling(work, FakeAws({"hang": lambda _value: asyncio.Event().wait()}))


def test_deleting_a_machine_stops_its_executions() -> None:
    async def work(call: Client) -> None:
        await call.create(machine({"A": task("hang")}))
        arn = (await call("StartExecution", stateMachineArn=MACHINE))["executionArn"]
        await call("DeleteStateMachine", stateMachineArn=MACHINE)
        assert (await call("DescribeExecution", executionArn=arn))["status"] == "ABORTED"

    calling(work, FakeAws({"hang": lambda _value: asyncio.Event().wait()}))


def test_executions_are_listed_newest_first_by_status_a_page_at_a_time() -> None:
    async def work(call: Client) -> None:
        choice = {"Type": "Choice", "Choices": [{"Condition": "{% $states.input.ok %}", "Next": "B"}], "Default": "C"}
        await call.create(machine({"A": choice, "B": {"Type": "Succeed"}, "C": {"Type": "Fail"}}))
        for name in ("one", "two", "three"):
            await call.ran(name, json.dumps({"ok": name != "two"}))
        page = await call("ListExecutions", stateMachineArn=MACHINE, maxResults=2)
        assert [row["name"] for row in page["executions"]] == ["three", "two"]
        page = await call("ListExecutions", stateMachineArn=MACHINE, maxResults=2, nextToken=page["nextToken"])
        assert [row["name"] for row in page["executions"]] == ["one"]
        failed = await call("ListExecutions", stateMachineArn=MACHINE, statusFilter="FAILED")
        assert [row["name"] for row in failed["executions"]] == ["two"]

    calling(work)


def test_a_history_is_read_forwards_backwards_in_pages_and_without_data() -> None:
    async def work(call: Client) -> None:
        await call.create(machine({"A": {"Type": "Pass", "Assign": {"x": 1}, "End": True}}))
        arn = (await call.ran("one"))["executionArn"]
        events = (await call("GetExecutionHistory", executionArn=arn))["events"]
        assert [event["id"] for event in events] == [1, 2, 3, 4]
        backwards = (await call("GetExecutionHistory", executionArn=arn, reverseOrder=True))["events"]
        assert backwards == events[::-1]
        first = await call("GetExecutionHistory", executionArn=arn, maxResults=3)
        rest = await call("GetExecutionHistory", executionArn=arn, maxResults=3, nextToken=first["nextToken"])
        assert first["events"] + rest["events"] == events
        bare = (await call("GetExecutionHistory", executionArn=arn, includeExecutionData=False))["events"]
        assert bare[0]["executionStartedEventDetails"] == {"roleArn": ROLE}
        assert bare[2]["stateExitedEventDetails"] == {"name": "A"}
        assert bare[3]["executionSucceededEventDetails"] == {}

    calling(work)


def test_a_history_without_data_still_says_why_it_failed() -> None:
    async def work(call: Client) -> None:
        await call.create(FAIL)
        arn = (await call.ran("one"))["executionArn"]
        events = (await call("GetExecutionHistory", executionArn=arn, includeExecutionData=False))["events"]
        assert events[-1]["executionFailedEventDetails"] == {"error": "E", "cause": "C"}

    calling(work)


# Express


def test_an_express_execution_runs_while_the_caller_waits() -> None:
    async def work(call: Client) -> None:
        await call.create(machine({"A": output("$states.input.x + 1")}), type="EXPRESS")
        answer = await call("StartSyncExecution", stateMachineArn=MACHINE, name="one", input='{"x": 1}')
        assert (answer["status"], answer["output"]) == ("SUCCEEDED", "2")
        assert answer["billingDetails"] == {"billedMemoryUsedInMB": 64, "billedDurationInMilliseconds": 100}
        assert answer["executionArn"].startswith(MACHINE.replace("stateMachine", "express") + ":one:")

    calling(work)


def test_a_failed_express_execution_tells_its_error_and_cause() -> None:
    async def work(call: Client) -> None:
        await call.create(FAIL, type="EXPRESS")
        answer = await call("StartSyncExecution", stateMachineArn=MACHINE)
        assert (answer["status"], answer["error"], answer["cause"]) == ("FAILED", "E", "C")

    calling(work)


def test_a_standard_machine_cannot_be_waited_for() -> None:
    async def work(call: Client) -> None:
        await call.create()
        assert await call("StartSyncExecution", stateMachineArn=MACHINE) == (
            "StateMachineTypeNotSupported: This operation is not supported by this type of state machine"
        )

    calling(work)


def test_express_executions_cannot_be_listed_described_stopped_or_read() -> None:
    async def work(call: Client) -> None:
        await call.create(type="EXPRESS")
        arn = (await call("StartExecution", stateMachineArn=MACHINE, name="one"))["executionArn"]
        assert "StateMachineTypeNotSupported" in await call("ListExecutions", stateMachineArn=MACHINE)
        for action in ("DescribeExecution", "StopExecution", "GetExecutionHistory"):
            refused = await call(action, executionArn=arn)
            assert refused == "InvalidArn: Invalid Arn: 'Resource type not valid in this context: express'"

    calling(work)


# Tags


def test_tags_are_set_changed_listed_and_removed() -> None:
    async def work(call: Client) -> None:
        await call.create(tags=[{"key": "a", "value": "1"}])
        await call("TagResource", resourceArn=MACHINE, tags=[{"key": "a", "value": "2"}, {"key": "b", "value": "3"}])
        assert await call("UntagResource", resourceArn=MACHINE, tagKeys=["b", "gone"]) == {}
        assert await call("ListTagsForResource", resourceArn=MACHINE) == {"tags": [{"key": "a", "value": "2"}]}

    calling(work)
