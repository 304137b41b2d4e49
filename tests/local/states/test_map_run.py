"""Map Runs: what they start, count, tolerate, and how they end, stop and go on."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambda_src.contract import MAX_STATE_BYTES
from local.states import api, executions, objects, results
from local.states.batches import single
from local.states.conductor import Conductor
from local.states.map_run import Counts, MapRun, Tolerance
from local.states.marks import Marks
from tests.local.states.fake_aws import ACCOUNT, MACHINE, REGION, Raised, Ran, output, task
from tests.local.states.fake_s3 import PASS, FakeS3, Running, distributed, reader, writer

Json = Any
THRESHOLD = "States.ExceedToleratedFailureThreshold"
CALL = {"C": task("f")}


def ran(state: dict[str, Json], value: Json = None, *, aws: FakeS3 | None = None, **more: dict[str, Json]) -> Ran:
    """Runs a machine of this Map, and of more states after it."""

    async def work() -> Ran:
        return await Running({"M": state, **more}, value, aws=aws).end()

    return asyncio.run(work())


def working(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Runs a test's coroutine."""
    asyncio.run(work())


async def call(running: Running, action: str, **parameters: Json) -> Json:
    """One request to the API about this engine."""
    target, body = f"AWSStepFunctions.{action}", json.dumps(parameters).encode()
    status, _, answer = await api.handle(running.engine, target, body, ACCOUNT, REGION)
    assert status == 200, answer
    return json.loads(answer)


async def described(running: Running) -> Json:
    """Its last Map Run, as the API tells of it; the counts add up at any moment."""
    run = await call(running, "DescribeMapRun", mapRunArn=running.map_run.arn)
    for counts in (run["itemCounts"], run["executionCounts"]):
        parts = ("pending", "running", "succeeded", "failed", "timedOut", "aborted")
        assert counts["total"] == sum(counts[name] for name in parts)
        assert all(number >= 0 for number in counts.values())
    return run


def counted(counts: Json) -> Json:
    """The counts that are not zero, but for the total."""
    return {name: number for name, number in counts.items() if number and name != "total"}


def failing(*bad: Json) -> Callable[[Json], Json]:
    """A function that refuses these values and gives back any other."""

    def function(value: Json) -> Json:
        if value in bad:
            raise Raised("Bad", f"{value} is bad")
        return value

    return function


class Held:
    """A function whose calls wait until they are let go, and which knows how many run and ran at most."""

    def __init__(self) -> None:
        self.running = self.most = 0
        self.seen: list[Json] = []
        self.free = asyncio.Event()

    async def __call__(self, value: Json) -> Json:
        self.seen.append(value)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.free.wait()
        finally:
            self.running -= 1
        return value


# Items and results


def test_the_outputs_of_children_are_the_states_output_in_the_items_order() -> None:
    async def slow_first(value: Json) -> Json:
        for _ in range(10 - value):
            await asyncio.sleep(0)
        return value * 10

    state = distributed(CALL, Items=[1, 2, 3])
    assert ran(state, aws=FakeS3({"f": slow_first})).output == [10, 20, 30]


def test_a_map_runs_over_its_input_when_it_names_no_items() -> None:
    assert ran(distributed(), [3, "x"]).output == [3, "x"]
    assert ran(distributed(), []).output == []
    assert ran(distributed(), {"a": 1}).error == "States.QueryEvaluationError"


def test_items_pass_through_selector_batcher_and_processor() -> None:
    state = distributed(
        Items="{% $states.input.n %}",
        ItemSelector={
            "i": "{% $states.context.Map.Item.Index %}",
            "v": "{% $states.context.Map.Item.Value & $states.input.s %}",
        },
        ItemBatcher={"MaxItemsPerBatch": "{% $states.input.size %}", "BatchInput": {"s": "{% $states.input.s %}"}},
    )
    assert ran(state, {"n": ["a", "b", "c"], "s": "!", "size": 2}).output == [
        {"BatchInput": {"s": "!"}, "Items": [{"i": 0, "v": "a!"}, {"i": 1, "v": "b!"}]},
        {"BatchInput": {"s": "!"}, "Items": [{"i": 2, "v": "c!"}]},
    ]


def test_each_item_keeps_the_context_that_its_selector_saw() -> None:
    state = distributed(
        Items=["a", "b"], ItemSelector={"c": "{% $states.context %}"}, ItemBatcher={"MaxItemsPerBatch": 2}
    )
    (batch,) = ran(state).output
    assert [item["c"]["Map"]["Item"]["Value"] for item in batch["Items"]] == ["a", "b"]


def test_a_data_set_in_s3_is_read_with_what_the_input_names() -> None:
    item_reader = reader("CSV", "{% $states.input.key %}", CSVHeaderLocation="FIRST_ROW", MaxItems="{% 2 %}")
    aws = FakeS3(objects={"x.csv": b"a\n1\n2\n3\n"})
    done = ran(distributed(ItemReader=item_reader), {"key": "x.csv"}, aws=aws)
    assert done.output == [{"a": "1"}, {"a": "2"}]
    assert done.details("MapStateStarted") == [{"length": 0}]


def test_the_events_of_a_run_follow_each_other_as_recorded_from_aws() -> None:
    done = ran(distributed(Items=[1, 2], Label="L"))
    assert [(event["type"], event["previousEventId"]) for event in done.events] == [
        ("ExecutionStarted", 0),
        ("MapStateEntered", 0),
        ("MapStateStarted", 2),
        ("MapRunStarted", 3),
        ("MapRunSucceeded", 4),
        ("MapStateSucceeded", 5),
        ("MapStateExited", 4),
        ("ExecutionSucceeded", 7),
    ]
    assert done.details("MapStateStarted") == [{"length": 2}]
    (started,) = done.details("MapRunStarted")
    assert started["mapRunArn"].startswith(MACHINE.replace("stateMachine", "mapRun") + "/L:")


def test_the_events_of_a_failed_run_follow_each_other_as_recorded_from_aws() -> None:
    done = ran(distributed(ItemReader=reader("JSON")), aws=FakeS3(objects={"in": b"{}"}))
    assert [(event["type"], event["previousEventId"]) for event in done.events[3:]] == [
        ("MapRunStarted", 3),
        ("MapRunFailed", 4),
        ("MapStateFailed", 5),
        ("ExecutionFailed", 6),
    ]
    reason = {"error": "States.ItemReaderFailed", "cause": "Attempting to map over non-iterable node."}
    assert done.details("MapRunFailed") == done.details("ExecutionFailed") == [reason]


def test_a_result_writer_gives_the_place_of_the_manifest_instead_of_the_outputs() -> None:
    aws = FakeS3()
    done = ran(distributed(Items=[1, 2], ResultWriter=writer()), aws=aws)
    (started,) = done.details("MapRunStarted")
    run = started["mapRunArn"].rpartition(":")[2]
    details = {"Bucket": "data", "Key": f"out/{run}/manifest.json"}
    assert done.output == {"MapRunArn": started["mapRunArn"], "ResultWriterDetails": details}
    assert [row["Output"] for row in aws.results("SUCCEEDED")] == ["1", "2"]
    assert [row["Status"] for row in aws.results("SUCCEEDED")] == ["SUCCEEDED"] * 2


@pytest.mark.parametrize(
    ("transformation", "rows"), [("COMPACT", [[1], [2, 3]]), ("FLATTEN", [1, 2, 3]), ("NONE", ["[1]", "[2,3]"])]
)
def test_results_in_the_states_output_can_be_transformed_too(transformation: str, rows: Json) -> None:
    given = {"WriterConfig": {"Transformation": transformation, "OutputType": "JSON"}}
    found = ran(distributed(Items=[[1], [2, 3]], ResultWriter=given)).output
    assert [row["Output"] for row in found] == rows if transformation == "NONE" else found == rows


def test_outputs_that_do_not_fit_a_state_fail_the_execution() -> None:
    aws = FakeS3({"f": lambda _value: "x" * (MAX_STATE_BYTES // 2)})
    done = ran(distributed(CALL, Items=[1, 2]), aws=aws)
    assert done.error == "States.DataLimitExceeded"
    assert ran(distributed(CALL, Items=[1, 2], ResultWriter=writer()), aws=aws).status == "SUCCEEDED"


def test_an_item_that_no_state_takes_fails_its_child_alone() -> None:
    aws = FakeS3(objects={"in": json.dumps(["a", "x" * MAX_STATE_BYTES, "b"]).encode()})
    batcher = {"MaxItemsPerBatch": 9}
    done = ran(
        distributed(ItemReader=reader("JSON"), ItemBatcher=batcher, ToleratedFailureCount=1, ResultWriter=writer()),
        aws=aws,
    )
    assert done.status == "SUCCEEDED"
    (failed,) = aws.results("FAILED")
    assert failed["Error"] == "States.DataLimitExceeded"
    assert len(aws.results("SUCCEEDED")) == 2


def test_a_refused_result_fails_the_run_with_the_error_of_aws() -> None:
    done = ran(distributed(Items=[1], ResultWriter=writer()), aws=FakeS3(denied={"s3:PutObject"}))
    assert done.error == "States.ResultWriterFailed"
    assert "s3:PutObject" in str(done.cause)
    assert "MapRunFailed" in done.types


@pytest.mark.parametrize("arguments", ["{% $states.input %}", {"Bucket": "{% 1 %}"}])
def test_writer_arguments_that_name_no_bucket_fail_the_run(arguments: Json) -> None:
    done = ran(distributed(Items=[1], ResultWriter={**writer(), "Arguments": arguments}))
    assert done.error == "States.ResultWriterFailed"


# Children


def test_a_child_is_an_execution_of_its_own_and_sees_nothing_of_its_parent() -> None:
    done = ran(distributed({"C": output("$states.context")}, Items=["x"], Label="L"))
    (context,) = done.output
    child = MACHINE.replace("stateMachine", "express") + "/L:"
    assert context["Execution"]["Id"].startswith(child + context["Execution"]["Name"] + ":")
    assert context["Execution"]["Input"] == "x"
    assert context["StateMachine"] == {"Id": f"{MACHINE}/L", "Name": "tested/L"}
    assert context["State"]["Name"] == "C"
    assert "Map" not in context


def test_variables_of_the_parent_are_not_seen_in_children_but_in_the_selector() -> None:
    async def work() -> None:
        states = {
            "S": {"Type": "Pass", "Assign": {"x": 5}, "Next": "M"},
            "M": distributed({"C": output("$exists($x)")}, Items=[1], ItemSelector={"x": "{% $x %}"}),
        }
        assert (await Running(states).end()).output == [False]

    working(work)


def test_standard_children_are_listed_and_described_with_their_history() -> None:
    async def work() -> None:
        running = Running(
            {"M": distributed(CALL, kind="STANDARD", Items=[1, 2, 3], Label="L", ToleratedFailureCount=1)},
            aws=FakeS3({"f": failing(2)}),
        )
        await running.end()
        arn = running.map_run.arn
        listed = (await call(running, "ListExecutions", mapRunArn=arn))["executions"]
        assert sorted(child["status"] for child in listed) == ["FAILED", "SUCCEEDED", "SUCCEEDED"]
        assert {child["stateMachineArn"] for child in listed} == {f"{MACHINE}/L"}
        failed = (await call(running, "ListExecutions", mapRunArn=arn, statusFilter="FAILED"))["executions"]
        child = await call(running, "DescribeExecution", executionArn=failed[0]["executionArn"])
        assert (child["input"], child["error"], child["mapRunArn"]) == ("2", "Bad", arn)
        assert child["executionArn"].startswith(MACHINE.replace("stateMachine", "execution") + "/L:")
        history = await call(running, "GetExecutionHistory", executionArn=child["executionArn"])
        assert [event["type"] for event in history["events"]] == [
            "ExecutionStarted",
            "TaskStateEntered",
            "TaskScheduled",
            "TaskStarted",
            "TaskFailed",
            "ExecutionFailed",
        ]
        of_the_machine = await call(running, "ListExecutions", stateMachineArn=MACHINE)
        assert [execution["name"] for execution in of_the_machine["executions"]] == ["run"]

    working(work)


def test_express_children_are_not_kept() -> None:
    async def work() -> None:
        running = Running({"M": distributed(Items=[1, 2])})
        await running.end()
        assert (await call(running, "ListExecutions", mapRunArn=running.map_run.arn))["executions"] == []

    working(work)


def test_a_child_that_lasts_too_long_counts_as_timed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executions, "EXPRESS_SECONDS", 0.01)

    async def work() -> None:
        aws = FakeS3({"f": Held()})
        running = Running({"M": distributed(CALL, Items=[1], ToleratedFailureCount=1, ResultWriter=writer())}, aws=aws)
        assert (await running.end()).status == "SUCCEEDED"
        assert counted((await described(running))["itemCounts"]) == {"timedOut": 1}
        (row,) = aws.results("FAILED")
        assert (row["Status"], row["Error"]) == ("TIMED_OUT", "States.Timeout")

    working(work)


def test_a_task_that_times_out_in_a_child_is_a_failure_of_the_child() -> None:
    async def work() -> None:
        state = {"C": {"Type": "Fail", "Error": "States.Timeout"}}
        running = Running({"M": distributed(state, Items=[1], ToleratedFailureCount=1)})
        await running.end()
        assert counted((await described(running))["itemCounts"]) == {"failed": 1}

    working(work)


# Tolerance


@pytest.mark.parametrize(
    ("more", "bad", "status"),
    [
        ({}, [], "SUCCEEDED"),
        ({}, [3], "FAILED"),
        ({"ToleratedFailureCount": 0}, [3], "FAILED"),
        ({"ToleratedFailurePercentage": 0}, [3], "FAILED"),
        ({"ToleratedFailureCount": 2}, [3, 9], "SUCCEEDED"),
        ({"ToleratedFailureCount": 2}, [3, 4, 9], "FAILED"),
        ({"ToleratedFailurePercentage": 20}, [3, 9], "SUCCEEDED"),
        ({"ToleratedFailurePercentage": 20}, [3, 4, 9], "FAILED"),
        ({"ToleratedFailurePercentage": 29.9}, [3, 4, 9], "FAILED"),
        ({"ToleratedFailurePercentage": 100}, list(range(10)), "SUCCEEDED"),
        ({"ToleratedFailureCount": 1, "ToleratedFailurePercentage": 50}, [3, 9], "FAILED"),
        ({"ToleratedFailureCount": 9, "ToleratedFailurePercentage": 10}, [3, 9], "FAILED"),
        ({"ToleratedFailureCount": 2, "ToleratedFailurePercentage": 20}, [3, 9], "SUCCEEDED"),
        ({"ToleratedFailureCount": "{% 1 + 1 %}"}, [3, 9], "SUCCEEDED"),
        ({"ToleratedFailurePercentage": "{% 10 %}"}, [3, 9], "FAILED"),
    ],
)
@pytest.mark.parametrize("concurrency", [1, 4, 0])
def test_a_run_fails_when_more_items_failed_than_it_bears(
    more: dict[str, Json], bad: list[int], status: str, concurrency: int
) -> None:
    state = distributed(CALL, Items=list(range(10)), MaxConcurrency=concurrency, **more)
    done = ran(state, aws=FakeS3({"f": failing(*bad)}))
    assert done.status == status
    if status == "FAILED":
        assert (done.error, done.cause) == (THRESHOLD, "The specified tolerated failure threshold was exceeded")
        assert done.details("MapRunFailed") == [{"error": done.error, "cause": done.cause}]


def test_every_item_of_a_failed_batch_counts() -> None:
    batcher = {"MaxItemsPerBatch": 5}
    states = {"C": {"Type": "Fail", "Error": "E"}}
    state = distributed(states, Items=list(range(10)), ItemBatcher=batcher, ToleratedFailureCount=5, MaxConcurrency=1)
    assert ran(state).error == THRESHOLD
    assert ran({**state, "ToleratedFailureCount": 10}).status == "SUCCEEDED"


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"ToleratedFailureCount": "{% -1 %}"}, "ToleratedFailureCount cannot be negative."),
        ({"ToleratedFailurePercentage": "{% -1 %}"}, "ToleratedFailurePercentage must be between 0 and 100."),
        ({"ToleratedFailurePercentage": "{% 100.1 %}"}, "ToleratedFailurePercentage must be between 0 and 100."),
        ({"MaxConcurrency": "{% -1 %}"}, "MaxConcurrency cannot be negative."),
        ({"ItemBatcher": {"MaxItemsPerBatch": "{% 0 %}"}}, "MaxItemsPerBatch must be at least 1, not 0."),
        (
            {"ItemBatcher": {"MaxInputBytesPerBatch": "{% 262145 %}"}},
            "MaxInputBytesPerBatch must be between 1 and 262144, not 262145.",
        ),
    ],
)
def test_numbers_that_no_run_can_have_end_the_execution(more: dict[str, Json], reason: str) -> None:
    done = ran(
        distributed(Items=[1], Catch=[{"ErrorEquals": ["States.ALL"], "Next": "Z"}], Next="Z", **more),
        Z={"Type": "Succeed"},
    )
    where = "An error occurred while executing the state 'M' (entered at the event id #2). "
    assert (done.error, done.cause) == ("States.Runtime", where + reason)
    assert "MapRunStarted" not in done.types


@pytest.mark.parametrize("field", ["ToleratedFailureCount", "MaxConcurrency"])
@pytest.mark.parametrize("value", ["{% 1.5 %}", "{% 'many' %}", "{% null %}"])
def test_what_is_no_whole_number_fails_the_evaluation(field: str, value: str) -> None:
    more: dict[str, Json] = {field: value}
    done = ran(distributed(Items=[1], **more))
    assert done.error == "States.QueryEvaluationError"
    assert f"'{field}'" in str(done.cause)


def test_a_negative_max_items_fails_the_reader_in_the_words_of_aws() -> None:
    item_reader = reader("CSV", CSVHeaderLocation="FIRST_ROW", MaxItems="{% -1 %}")
    done = ran(distributed(ItemReader=item_reader), aws=FakeS3(objects={"in": b"a\n1\n"}))
    assert (done.error, done.cause) == ("States.ItemReaderFailed", "field MaxItems must be positive")
    assert done.types[-3:] == ["MapRunFailed", "MapStateFailed", "ExecutionFailed"]


def test_past_the_tolerance_running_children_are_aborted_and_the_rest_is_left_pending() -> None:
    async def work() -> None:
        held = Held()

        async def function(value: Json) -> Json:
            if value == 1:
                raise Raised("Bad")
            return await held(value)

        aws = FakeS3({"f": function})
        state = distributed(CALL, Items=[0, 1, 2, 3, 4], MaxConcurrency=2, ResultWriter=writer())
        running = Running({"M": state}, aws=aws)
        assert (await running.end()).error == THRESHOLD
        assert held.running == 0
        run = await described(running)
        assert run["status"] == "FAILED"
        assert counted(run["itemCounts"]) == {"failed": 1, "aborted": 1, "pending": 3}
        assert counted(run["executionCounts"]) == {"failed": 1, "aborted": 1, "pending": 3}
        assert sorted(row["Status"] for row in aws.results("FAILED")) == ["ABORTED", "FAILED"]
        assert [(row["Status"], row["Input"]) for row in aws.results("PENDING")] == [("PENDING", i) for i in "234"]
        assert aws.results("SUCCEEDED") is None

    working(work)


def test_a_failed_run_can_be_caught_and_retried() -> None:
    catch = [{"ErrorEquals": [THRESHOLD], "Next": "Z", "Output": "{% $states.errorOutput.Error %}"}]
    retry = [{"ErrorEquals": [THRESHOLD], "MaxAttempts": 2}]
    state = distributed(CALL, Items=[1], Retry=retry, Catch=catch, Next="Z")
    done = ran(state, aws=FakeS3({"f": failing(1)}), Z={"Type": "Succeed"})
    assert done.output == THRESHOLD
    assert done.types.count("MapRunStarted") == 3
    assert done.types.count("MapStateFailed") == 1


# Concurrency and counts


@pytest.mark.parametrize(("concurrency", "most"), [(1, 1), (3, 3), (0, 20), ("{% 2 %}", 2)])
def test_no_more_children_run_at_once_than_allowed(concurrency: Json, most: int) -> None:
    async def work() -> None:
        held = Held()
        running = Running(
            {"M": distributed(CALL, Items=list(range(20)), MaxConcurrency=concurrency)}, aws=FakeS3({"f": held})
        )
        await running.until(lambda: held.running == most)
        run = await described(running)
        assert (run["status"], run["itemCounts"]["running"], run["itemCounts"]["total"]) == ("RUNNING", most, 20)
        assert run["executionCounts"]["running"] == most
        held.free.set()
        await running.end()
        assert held.most == most
        assert (await described(running))["itemCounts"]["succeeded"] == 20

    working(work)


def test_concurrency_and_tolerance_can_be_changed_while_it_runs() -> None:
    async def work() -> None:
        held = Held()
        running = Running({"M": distributed(CALL, Items=list(range(20)), MaxConcurrency=2)}, aws=FakeS3({"f": held}))
        await running.until(lambda: held.running == 2)
        arn = running.map_run.arn
        await call(
            running,
            "UpdateMapRun",
            mapRunArn=arn,
            maxConcurrency=7,
            toleratedFailureCount=3,
            toleratedFailurePercentage=5,
        )
        await running.until(lambda: held.running == 7)
        run = await described(running)
        assert (run["maxConcurrency"], run["toleratedFailureCount"], run["toleratedFailurePercentage"]) == (7, 3, 5.0)
        held.free.set()
        assert (await running.end()).status == "SUCCEEDED"
        assert held.most == 7

    working(work)


def test_items_and_executions_are_counted_each_for_themselves() -> None:
    async def work() -> None:
        held = Held()
        state = distributed(CALL, Items=list(range(7)), ItemBatcher={"MaxItemsPerBatch": 3}, MaxConcurrency=1)
        running = Running({"M": state}, aws=FakeS3({"f": held}))
        await running.until(lambda: held.running == 1)
        run = await described(running)
        assert counted(run["itemCounts"]) == {"running": 3, "pending": 4}
        assert counted(run["executionCounts"]) == {"running": 1}
        held.free.set()
        await running.end()
        run = await described(running)
        assert counted(run["itemCounts"]) == {"succeeded": 7, "resultsWritten": 7}
        assert counted(run["executionCounts"]) == {"succeeded": 3, "resultsWritten": 3}
        assert run["stopDate"] >= run["startDate"]
        assert run["maxConcurrency"] == 1

    working(work)


def test_counts_add_up_whenever_somebody_looks() -> None:
    async def work() -> None:
        looks: list[Json] = []

        async def function(value: Json) -> Json:
            looks.append((await described(running))["itemCounts"])
            for _ in range(value["Items"][0] % 5):
                await asyncio.sleep(0)
            if value["Items"][0] % 3 == 0:
                raise Raised("Bad")
            looks.append((await described(running))["executionCounts"])
            return value

        more: dict[str, Json] = {"ItemBatcher": {"MaxItemsPerBatch": 2}, "MaxConcurrency": 4}
        state = distributed(CALL, Items=list(range(40)), ToleratedFailureCount=8, **more)
        running = Running({"M": state}, aws=FakeS3({"f": function}))
        assert (await running.end()).error == THRESHOLD
        looks.append((await described(running))["itemCounts"])
        assert len(looks) > 15
        assert looks[-1]["failed"] == 10
        assert looks[-1]["total"] == 40

    working(work)


def test_counts_never_tell_of_fewer_than_none() -> None:
    assert Counts(total=2, succeeded=3).described()["pending"] == 0


@pytest.mark.parametrize(
    ("tolerance", "failed", "total", "exceeded"),
    [(Tolerance(), 0, 0, False), (Tolerance(None, 10.0), 1, 10, False), (Tolerance(None, 9.9), 1, 10, True)],
)
def test_a_share_is_exceeded_only_above_it(tolerance: Tolerance, failed: int, total: int, exceeded: bool) -> None:
    assert tolerance.exceeded(failed, total) is exceeded


# What goes wrong


def test_children_are_not_started_without_the_grant() -> None:
    aws = FakeS3({"f": failing()}, denied={"states:StartExecution"})
    done = ran(distributed(CALL, Items=[1]), aws=aws)
    assert done.error == "StepFunctions.AccessDeniedException"
    assert f"states:StartExecution on resource: {MACHINE}" in str(done.cause)
    assert aws.invoked == []


def test_a_data_set_that_breaks_off_ends_the_children_and_fails_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "PART_BYTES", 4)

    async def work() -> None:
        held = Held()
        aws = FakeS3({"f": held}, objects={"in": b"1\n2\n3\n4\n5\n6\n"})

        def change(_request: Json) -> None:
            if len(aws.sent) == 5:
                aws.objects["in"] = b"something else"

        aws.before = change
        running = Running({"M": distributed(CALL, ItemReader=reader("JSONL"))}, aws=aws)
        done = await running.end()
        assert done.error == "States.ItemReaderFailed"
        assert "preconditions" in str(done.cause)
        assert held.seen
        assert held.running == 0
        run = await described(running)
        assert run["status"] == "FAILED"
        assert run["itemCounts"]["aborted"] == len(held.seen)

    working(work)


def test_a_selector_that_fails_fails_the_run() -> None:
    done = ran(distributed(Items=[{"a": 1}, {}], ItemSelector="{% $states.context.Map.Item.Value.a %}"))
    assert done.error == "States.QueryEvaluationError"
    assert [kind for kind in done.types if kind.startswith(("MapRun", "Evaluation"))] == [
        "MapRunStarted",
        "EvaluationFailed",
        "MapRunFailed",
    ]


def test_a_mistake_of_the_engine_fails_the_run_and_leaves_nothing_running() -> None:
    async def work() -> None:
        async def broken(arn: str, name: str, value: Json) -> Json:
            raise ZeroDivisionError(value)

        run = MapRun("arn", "execution", "machine", "L", "EXPRESS", 0, Tolerance())
        conductor = Conductor(run, broken, "COMPACT")

        async def items() -> Any:
            for number in range(3):
                yield number

        run.items.total = 3
        with pytest.raises(ZeroDivisionError):
            await conductor.conduct(single(items(), lambda _index, value: value))
        assert run.executions.succeeded == 0

    working(work)


# Stop and redrive


def test_a_stopped_execution_aborts_its_run_and_leaves_nothing_running() -> None:
    async def work() -> None:
        held = Held()
        state = distributed(CALL, kind="STANDARD", Items=list(range(5)), MaxConcurrency=2)
        running = Running({"M": state}, aws=FakeS3({"f": held}))
        await running.until(lambda: held.running == 2)
        await call(running, "StopExecution", executionArn=running.execution.arn)
        done = await running.end()
        assert done.status == "ABORTED"
        assert {"MapRunAborted", "MapStateAborted"} <= set(done.types)
        assert held.running == 0
        run = await described(running)
        assert run["status"] == "ABORTED"
        assert counted(run["itemCounts"]) == {"aborted": 2, "pending": 3}
        children = (await call(running, "ListExecutions", mapRunArn=running.map_run.arn))["executions"]
        assert [child["status"] for child in children] == ["ABORTED", "ABORTED"]
        assert len(asyncio.all_tasks()) == 1

    working(work)


async def redriven(running: Running) -> Ran:
    """Redrives the execution and waits for its end."""
    await call(running, "RedriveExecution", executionArn=running.execution.arn)
    return await running.end()


@pytest.mark.parametrize("kind", ["EXPRESS", "STANDARD"])
def test_a_redrive_runs_only_what_did_not_succeed(kind: str) -> None:
    async def work() -> None:
        bad = {2, 3}
        seen: list[int] = []

        def function(value: int) -> Json:
            seen.append(value)
            if value in bad:
                raise Raised("Bad")
            return value * 10

        state = distributed(CALL, kind=kind, Items=list(range(5)), MaxConcurrency=1, ToleratedFailureCount=1)
        running = Running({"M": state}, aws=FakeS3({"f": function}))
        assert (await running.end()).error == THRESHOLD
        assert seen == [0, 1, 2, 3]
        bad.clear()
        seen.clear()
        done = await redriven(running)
        assert (done.status, done.output) == ("SUCCEEDED", [0, 10, 20, 30, 40])
        assert seen == [2, 3, 4]
        assert len(running.execution.map_runs) == 1
        run = await described(running)
        assert (run["status"], run["redriveCount"]) == ("SUCCEEDED", 1)
        assert counted(run["itemCounts"]) == counted(run["executionCounts"]) == {"succeeded": 5, "resultsWritten": 5}
        (event,) = done.details("MapRunRedriven")
        assert event == {"mapRunArn": running.map_run.arn, "redriveCount": 1}

    working(work)


def test_a_redrive_after_a_stop_goes_on_with_the_files_it_began() -> None:
    async def work() -> None:
        held = Held()
        free = {0, 1}

        async def function(value: int) -> Json:
            return value if value in free else await held(value)

        aws = FakeS3({"f": function}, objects={"in": b"0\n1\n2\n3\n4\n"})
        state = distributed(
            CALL,
            ItemReader=reader("JSONL"),
            MaxConcurrency=2,
            ResultWriter=writer(Transformation="COMPACT", OutputType="JSONL"),
        )
        running = Running({"M": state}, aws=aws)
        await running.until(lambda: held.running == 2)
        await call(running, "StopExecution", executionArn=running.execution.arn)
        assert (await running.end()).status == "ABORTED"
        held.free.set()
        assert (await redriven(running)).status == "SUCCEEDED"
        assert sorted(aws.results("SUCCEEDED", extension="jsonl")) == [0, 1, 2, 3, 4]
        assert held.seen == [2, 3, 2, 3, 4]
        assert aws.manifest["ResultFiles"]["FAILED"] == []

    working(work)


def test_a_redrive_fails_when_the_data_set_is_another_one_now() -> None:
    async def work() -> None:
        aws = FakeS3({"f": failing(2)}, objects={"in": b"1\n2\n"})
        running = Running({"M": distributed(CALL, ItemReader=reader("JSONL"), MaxConcurrency=1)}, aws=aws)
        assert (await running.end()).error == THRESHOLD
        aws.objects["in"] = b"3\n4\n"
        assert (await redriven(running)).error == "States.ItemReaderFailed"
        aws.objects["in"] = b"1\n2\n"
        aws.functions = {"f": failing()}
        assert (await redriven(running)).output == [1, 2]
        assert running.map_run.redrives == 2

    working(work)


@pytest.mark.parametrize("part_bytes", [3, 1000])
def test_a_redrive_after_a_refused_result_writes_what_it_kept(monkeypatch: pytest.MonkeyPatch, part_bytes: int) -> None:
    monkeypatch.setattr(results, "PART_BYTES", part_bytes)

    async def work() -> None:
        aws = FakeS3({"f": failing()}, denied={"s3:PutObject"})
        state = distributed(CALL, Items=[1, 2], ResultWriter=writer(Transformation="COMPACT", OutputType="JSON"))
        running = Running({"M": state}, aws=aws)
        assert (await running.end()).error == "States.ResultWriterFailed"
        assert len(asyncio.all_tasks()) == 1
        aws.denied.clear()
        assert (await redriven(running)).status == "SUCCEEDED"
        assert sorted(aws.results("SUCCEEDED")) == [1, 2]
        assert (await described(running))["itemCounts"]["succeeded"] == 2

    working(work)


def test_a_redrive_goes_on_with_the_run_that_failed_last_and_not_with_one_that_was_caught() -> None:
    async def work() -> None:
        aws = FakeS3({"f": failing(1)})
        catch = [{"ErrorEquals": [THRESHOLD], "Next": "B", "Assign": {"n": 2}, "Output": "{% $states.input %}"}]
        states = {
            "S": {"Type": "Pass", "Assign": {"n": 1}, "Next": "M"},
            "M": distributed(CALL, Label="L", Items="{% [$n] %}", Next="Z", Catch=catch),
            "B": task("g", Next="M"),
            "Z": {"Type": "Succeed"},
        }
        aws.functions = {"f": failing(1), "g": failing({})}
        running = Running(states, aws=aws)
        assert (await running.end()).error == "Bad"
        aws.functions = {"f": failing(1), "g": failing()}
        done = await redriven(running)
        assert done.output == [2]
        assert [run.status for run in running.execution.map_runs] == ["FAILED", "SUCCEEDED"]
        assert [run.redrives for run in running.execution.map_runs] == [0, 0]

    working(work)


@pytest.mark.parametrize(
    ("kind", "action"), [("STANDARD", "states:RedriveExecution"), ("EXPRESS", "states:StartExecution")]
)
def test_a_redrive_needs_the_grant_that_its_children_need(kind: str, action: str) -> None:
    async def work() -> None:
        aws = FakeS3({"f": failing(1)})
        running = Running({"M": distributed(CALL, kind=kind, Items=[1])}, aws=aws)
        await running.end()
        aws.denied.add(action)
        done = await redriven(running)
        assert done.error == "StepFunctions.AccessDeniedException"
        resource = running.execution.arn if kind == "STANDARD" else running.execution.machine_arn
        assert f"{action} on resource: {resource}" in str(done.cause)

    working(work)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 100)))
def test_marks_hold_the_numbers_added_and_no_others(numbers: list[int]) -> None:
    marks = Marks()
    for number in numbers:
        marks.add(number)
    assert {number for number in range(110) if number in marks} == set(numbers)


# Several runs


def test_two_maps_of_one_machine_have_runs_of_their_own() -> None:
    async def work() -> None:
        running = Running(
            {
                "M": distributed(Items=[1], Label="A", Next="N"),
                "N": distributed({"Q": PASS["P"]}, Items=[2, 3], Label="B"),
            }
        )
        assert (await running.end()).output == [2, 3]
        listed = (await call(running, "ListMapRuns", executionArn=running.execution.arn))["mapRuns"]
        assert [run["stateMachineArn"] for run in listed] == [f"{MACHINE}/A", f"{MACHINE}/B"]
        assert all(run["executionArn"] == running.execution.arn for run in listed)
        totals = [
            (await call(running, "DescribeMapRun", mapRunArn=run["mapRunArn"]))["itemCounts"]["total"] for run in listed
        ]
        assert totals == [1, 2]

    working(work)


def test_a_map_within_a_child_has_its_run_under_that_child() -> None:
    async def work() -> None:
        inner = distributed({"P": output("$states.input * 10")}, kind="STANDARD", Label="I")
        running = Running({"M": distributed({"I": inner}, kind="STANDARD", Label="O")}, [[1], [2, 3]])
        assert (await running.end()).output == [[10], [20, 30]]
        children = (await call(running, "ListExecutions", mapRunArn=running.map_run.arn))["executions"]
        assert len(children) == 2
        for child in children:
            (run,) = (await call(running, "ListMapRuns", executionArn=child["executionArn"]))["mapRuns"]
            told = await call(running, "DescribeMapRun", mapRunArn=run["mapRunArn"])
            assert told["executionArn"] == child["executionArn"]
            grandchildren = await call(running, "ListExecutions", mapRunArn=run["mapRunArn"])
            assert len(grandchildren["executions"]) == told["itemCounts"]["total"]
        assert len(running.execution.map_runs) == 1

    working(work)


def test_an_inline_map_within_children_keeps_its_own_context() -> None:
    inner: dict[str, Json] = {
        "Type": "Map",
        "ItemProcessor": {"StartAt": "P", "States": {"P": output("$states.context.Map.Item.Index")}},
        "End": True,
    }
    assert ran(distributed({"I": inner}), [["a", "b"], ["c"]]).output == [[0, 1], [0]]


def test_a_distributed_map_in_an_inline_map_and_in_a_parallel_runs() -> None:
    branch = {"StartAt": "D", "States": {"D": distributed(PASS)}}
    assert ran({"Type": "Parallel", "Branches": [branch], "End": True}, [1, 2]).output == [[1, 2]]
    inline = {"Type": "Map", "ItemProcessor": branch, "End": True}
    assert ran(inline, [[1], [2, 3]]).output == [[1], [2, 3]]
