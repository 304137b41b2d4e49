"""Both workflows on the records that the model has never seen, against scikit-learn's own predictions."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lambda_src import contract
from model import examples, train
from stacks.constructs.model.versions import model_version
from tests.e2e.deployment import Deployment, Execution
from tests.synthesis import STACKS

STEPS = {
    "MlWorkflowStack": ["Preprocess", "Predict"],
    "InferenceStack": ["PreprocessData", "InferenceModel", "StoreResults"],
}
"""Each workflow's tasks. Between them may be states that only choose or pass on."""


CALLS = {("lambda", "invoke"), ("aws-sdk:sagemakerruntime", "invokeEndpoint")}
"""The resource types and resources that the history names."""


@pytest.fixture(scope="module")
def data() -> train.Dataset:
    return train.load()


@pytest.fixture(scope="module")
def request_of_all(data: train.Dataset) -> dict[str, Any]:
    """Every held-out record in one request."""
    everything = examples.records(data)
    return {"records": [everything[row] for row in train.split(data)[1]]}


def predictions(deployment: Deployment, execution: Execution) -> list[dict[str, Any]]:
    output = execution.output
    if "predictions" in output:
        return list(output["predictions"])
    return list(contract.read_json_lines(deployment.stored(output["results"])))


def names(execution: Execution, kind: str) -> list[str]:
    """The states of the events of that type."""
    return [event["stateEnteredEventDetails"]["name"] for event in execution.events if event["type"] == kind]


@pytest.mark.parametrize("stack", STACKS)
def test_every_held_out_record_gets_scikit_learns_own_probability(
    deployment: Deployment, request_of_all: dict[str, Any], data: train.Dataset, stack: str
) -> None:
    finished = deployment.execute(stack, request_of_all)
    heldout = train.split(data)[1]
    expected = train.fit(data).predict_proba(data.values[heldout])[:, 1]
    rows = predictions(deployment, finished)
    assert [row["id"] for row in rows] == train.heldout_ids(data)
    assert [row["index"] for row in rows] == list(range(143))
    assert [row["prediction"]["p_malignant"] for row in rows] == pytest.approx(expected.tolist(), rel=0, abs=1e-6)
    labels = ["malignant" if p >= train.THRESHOLD else "benign" for p in expected]
    assert [row["prediction"]["label"] for row in rows] == labels
    assert {row["modelVersion"] for row in rows} == {model_version()}
    assert {row.get("variant") for row in rows} == {"AllTraffic" if stack == "InferenceStack" else None}
    assert finished.output["rejected"] == []


def test_the_results_lie_where_the_contract_says(deployment: Deployment, request_of_all: dict[str, Any]) -> None:
    execution = deployment.execute("InferenceStack", request_of_all, name="where-it-lies")
    bucket = deployment.outputs["InferenceStack"]["ResultsBucketUri"]
    key = contract.part_key(contract.request_prefix("where-it-lies"), "predictions", 0)
    assert execution.output == {"results": f"{bucket}/{key}", "predicted": 143, "rejected": []}
    listed = deployment.client("s3").list_objects_v2(
        Bucket=bucket.removeprefix("s3://"), Prefix=contract.request_prefix("where-it-lies")
    )
    assert [found["Key"] for found in listed["Contents"]] == [key]
    body = deployment.stored(execution.output["results"])
    assert body == contract.json_lines(list(contract.read_json_lines(body)))


def test_rejected_records_are_stored_beside_the_predictions(
    deployment: Deployment, request_of_all: dict[str, Any]
) -> None:
    records = ["nothing", *request_of_all["records"][:2]]
    execution = deployment.execute("InferenceStack", {"records": records}, name="with-rejected")
    bucket = deployment.outputs["InferenceStack"]["ResultsBucketUri"]
    key = contract.part_key(contract.request_prefix("with-rejected"), "rejected", 0)
    assert list(contract.read_json_lines(deployment.stored(f"{bucket}/{key}"))) == execution.output["rejected"]


@pytest.mark.parametrize("stack", STACKS)
def test_the_history_tells_each_step_as_aws_does(
    deployment: Deployment, request_of_all: dict[str, Any], stack: str
) -> None:
    execution = deployment.execute(stack, request_of_all)
    events = execution.events
    assert [event["id"] for event in events] == list(range(1, len(events) + 1))
    # In a chain each event follows from the one before; the first two from none.
    assert [event["previousEventId"] for event in events] == [0, 0, *range(2, len(events))]
    assert names(execution, "TaskStateEntered") == STEPS[stack]
    tasks = [event["type"] for event in events if event["type"].startswith("Task")]
    each = ["TaskStateEntered", "TaskScheduled", "TaskStarted", "TaskSucceeded", "TaskStateExited"]
    assert tasks == each * len(STEPS[stack])
    for event in events:
        if event["type"] == "TaskScheduled":
            details = event["taskScheduledEventDetails"]
            assert (details["resourceType"], details["resource"]) in CALLS
            assert details["region"] == "us-east-1"
            assert json.loads(details["parameters"]).keys() & {"FunctionName", "EndpointName"}
    assert events[0]["type"] == "ExecutionStarted"
    started = events[0]["executionStartedEventDetails"]
    assert json.loads(started["input"]) == request_of_all
    assert started["roleArn"].startswith("arn:aws:iam::")
    assert events[-1]["type"] == "ExecutionSucceeded"
    assert events[-1]["executionSucceededEventDetails"]["output"] == execution.described["output"]


def test_the_machine_logs_every_event_without_data(deployment: Deployment, request_of_all: dict[str, Any]) -> None:
    execution = deployment.execute("InferenceStack", request_of_all)
    group = next(
        name for logical, name in deployment.physical["InferenceStack"].items() if logical.startswith("WorkflowLogs")
    )
    logged = deployment.client("logs").filter_log_events(logGroupName=group)["events"]
    lines = [json.loads(event["message"]) for event in logged]
    own = [line for line in lines if line["execution_arn"] == execution.described["executionArn"]]
    assert [line["type"] for line in own] == [event["type"] for event in execution.events]
    assert not any("input" in line["details"] or "output" in line["details"] for line in own)


def test_a_second_start_with_the_same_name_never_makes_another_execution(
    deployment: Deployment, request_of_all: dict[str, Any]
) -> None:
    def start() -> str:
        try:
            return deployment.start("InferenceStack", request_of_all, name="once")
        except ClientError as error:
            return str(error.response["Error"]["Code"])

    first = start()
    # The second once the first has ended, as in AWS.
    assert start() in (first, "ExecutionAlreadyExists")
    machine = deployment.outputs["InferenceStack"]["StateMachineArn"]
    listed = deployment.client("stepfunctions").list_executions(stateMachineArn=machine)["executions"]
    assert [it["name"] for it in listed].count("once") == 1


def test_the_same_name_with_another_input_is_refused(deployment: Deployment, request_of_all: dict[str, Any]) -> None:
    deployment.execute("MlWorkflowStack", request_of_all, name="taken")
    with pytest.raises(ClientError, match="ExecutionAlreadyExists"):
        deployment.start("MlWorkflowStack", {"records": request_of_all["records"][:1]}, name="taken")
