"""The batch job: its states as their exact JSON, its policies, and what its maps have in common with a request."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from local.states.expressions import Scope, compile_template
from tests.synthesis import Stack

MAPS = {
    "CsvRecords": ("Csv", {"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW"}),
    "JsonLinesRecords": ("JsonLines", {"InputType": "JSONL"}),
    "JsonRecords": ("Json", {"InputType": "JSON"}),
}
BOTH = pytest.mark.parametrize("stack_name", ["inference", "ml_workflow"])


@pytest.fixture
def stack(request: pytest.FixtureRequest, stack_name: str) -> Stack:
    return request.getfixturevalue(stack_name)  # type: ignore[no-any-return]  # pytest does not know its type


def map_of(stack: Stack, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The Map without its processor, and the processor."""
    state = dict(stack.job["States"][name])
    return state, state.pop("ItemProcessor")


def shared(name: str) -> dict[str, Any]:
    """What all four Maps have."""
    return {
        "Type": "Map",
        "Label": name,
        "MaxConcurrency": "{% $job.maxConcurrency %}",
        "ToleratedFailurePercentage": "{% $job.tolerate %}",
        "ItemBatcher": {
            "MaxItemsPerBatch": "{% $job.batchSize %}",
            "MaxInputBytesPerBatch": "{% $job.batchBytes %}",
            "BatchInput": {"prefix": "{% $job.prefix %}"},
        },
        "ResultWriter": {
            "Resource": "arn:aws:states:::s3:putObject",
            "Arguments": {"Bucket": "<DataBucket>", "Prefix": "{% $job.mapPrefix %}"},
            "WriterConfig": {"OutputType": "JSONL", "Transformation": "COMPACT"},
        },
        "Catch": [
            {
                "ErrorEquals": ["States.ALL"],
                "Assign": {"failure": "{% $states.errorOutput %}"},
                "Next": "FindMapRun",
            }
        ],
        "Next": "FindMapRun",
    }


@BOTH
@pytest.mark.parametrize("name", MAPS)
def test_a_map_over_a_file_reads_batches_and_writes_as_the_job_says(stack: Stack, name: str) -> None:
    state, _ = map_of(stack, name)
    assert state == {
        **shared(name),
        "ItemReader": {
            "Resource": "arn:aws:states:::s3:getObject",
            "ReaderConfig": MAPS[name][1],
            "Arguments": {"Bucket": "<DataBucket>", "Key": "{% $job.source %}"},
        },
        "ItemSelector": {
            "index": "{% $states.context.Map.Item.Index %}",
            "record": "{% $states.context.Map.Item.Value %}",
        },
    }


@BOTH
def test_the_map_over_objects_hands_on_their_keys(stack: Stack) -> None:
    state, _ = map_of(stack, "ObjectRecords")
    assert state == {
        **shared("ObjectRecords"),
        "ItemReader": {
            "Resource": "arn:aws:states:::s3:listObjectsV2",
            "Arguments": {"Bucket": "<DataBucket>", "Prefix": "{% $job.source %}"},
        },
        "ItemSelector": {
            "index": "{% $states.context.Map.Item.Index %}",
            "object": "{% $states.context.Map.Item.Value.Key %}",
        },
    }


@BOTH
@pytest.mark.parametrize("name", [*MAPS, "ObjectRecords"])
def test_a_batch_is_an_express_execution(stack: Stack, name: str) -> None:
    _, processor = map_of(stack, name)
    assert processor["ProcessorConfig"] == {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"}


def test_a_batch_runs_the_very_states_of_a_request(inference: Stack) -> None:
    """But for the names, for where results go, and for what is counted for the summary."""
    request = inference.definition
    for name, prefix in [*((name, prefix) for name, (prefix, _) in MAPS.items()), ("ObjectRecords", "Object")]:
        _, processor = map_of(inference, name)
        text = json.dumps({key: processor[key] for key in ("StartAt", "States")})
        for state in request["States"]:
            text = text.replace(f'"{prefix}{state}"', f'"{state}"')
        assert uncounted(json.loads(text)) == uncounted({key: request[key] for key in ("StartAt", "States")})


def uncounted(given: dict[str, Any]) -> dict[str, Any]:
    machine = copy.deepcopy(given)
    states = machine["States"]
    for state in states.values():
        state.pop("QueryLanguage", None)  # within a Map the library says it in each state
    states["PreprocessData"].pop("Assign", None)
    states["StoreResults"]["Arguments"]["Payload"].pop("prefix")
    for shown in [states["StoreResults"]["Arguments"]["Payload"], *(it.get("Output", {}) for it in states.values())]:
        if isinstance(shown, dict):
            for name in ("calls", "retries"):
                shown.pop(name, None)
    return machine


def test_a_batch_tells_its_calls_and_all_its_retries(inference: Stack) -> None:
    states = map_of(inference, "CsvRecords")[1]["States"]
    retry_count = "{% $states.context.State.RetryCount %}"
    assert states["CsvPreprocessData"]["Assign"] == {"preprocessRetries": retry_count}
    assert states["CsvInferenceModel"]["Output"]["calls"] == 1
    assert states["CsvInferenceModel"]["Output"]["retries"] == retry_count
    payload = states["CsvStoreResults"]["Arguments"]["Payload"]
    assert payload["prefix"] == "{% $states.context.Execution.Input.BatchInput.prefix %}"
    assert payload["calls"] == "{% $states.input.calls %}"
    assert payload["retries"] == ["{% $preprocessRetries %}", "{% $states.input.retries %}", retry_count]


@BOTH
def test_on_its_way_a_batch_evaluates_no_jsonata_but_paths_and_the_models_answer(stack: Stack) -> None:
    """Each other expression has to be given the whole batch: about a millisecond on the local engine."""
    model = {"inference": "InferenceModel", "ml_workflow": "Predict"}
    states = map_of(stack, "CsvRecords")[1]["States"]
    (name,) = (f"Csv{it}" for it in model.values() if f"Csv{it}" in states)
    common = ["CsvAnyInstances", name, "CsvStoreResults", next(iter(states))]
    for state in common:
        shown = {**states[state], "Catch": []}
        for expression in expressions(shown):
            assert expression.startswith("{% ($type($states.result.Body)") or " " not in expression[3:-3]


def expressions(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value] if value.startswith("{%") else []
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return [found for part in inner for found in expressions(part)]


@BOTH
def test_the_machine_checks_maps_by_format_and_sums_up(stack: Stack) -> None:
    states = stack.job["States"]
    assert stack.job["StartAt"] == "CheckJob"
    assert stack.job["TimeoutSeconds"] == 86_400
    assert states["CheckJob"]["Arguments"]["Payload"] == {
        "job": "{% $states.input %}",
        "id": "{% $states.context.Execution.Name %}",
    }
    assert states["CheckJob"]["Assign"] == {"job": "{% $states.result.Payload %}", "failure": False}
    assert states["Format"] == {
        "Type": "Choice",
        "Choices": [
            {"Condition": f"{{% $job.format = '{name}' %}}", "Next": state}
            for name, state in {
                "csv": "CsvRecords",
                "jsonl": "JsonLinesRecords",
                "json": "JsonRecords",
                "objects": "ObjectRecords",
            }.items()
        ],
    }
    assert states["FindMapRun"]["Resource"] == "arn:aws:states:::aws-sdk:sfn:listMapRuns"
    assert states["FindMapRun"]["Arguments"] == {"ExecutionArn": "{% $states.context.Execution.Id %}"}
    assert states["AnyMapRun"] == {
        "Type": "Choice",
        "Choices": [{"Condition": "{% $states.input.arn != '' %}", "Next": "DescribeMapRun"}],
        "Default": "NoMapRun",
    }
    assert states["DescribeMapRun"]["Resource"] == "arn:aws:states:::aws-sdk:sfn:describeMapRun"
    assert states["DescribeMapRun"]["Arguments"] == {"MapRunArn": "{% $states.input.arn %}"}
    assert states["NoMapRun"] == {"Type": "Pass", "Output": {"mapRun": False}, "Next": "Summarize"}
    assert states["Summarize"]["Arguments"]["Payload"] == {
        "job": "{% $job %}",
        "failure": "{% $failure %}",
        "mapRun": "{% $states.input.mapRun %}",
        "startedAt": "{% $states.context.Execution.StartTime %}",
        "endedAt": "{% $states.context.State.EnteredTime %}",
    }
    assert states["Outcome"] == {
        "Type": "Choice",
        "Choices": [{"Condition": "{% $states.input.status = 'SUCCEEDED' %}", "Next": "Done"}],
        "Default": "JobFailed",
    }
    assert states["Done"] == {"Type": "Succeed"}
    assert states["JobFailed"] == {
        "Type": "Fail",
        "Error": "{% $failure.Error %}",
        "Cause": (
            "{% ($counts := $string($states.input.failed); "
            "$failure.Cause & ($counts = '{}' ? '' : '; records failed: ' & $counts) "
            "& ' (s3://' & $job.bucket & '/' & $job.prefix & '/summary.json)') %}"
        ),
    }


@pytest.mark.parametrize(("failed", "counts"), [({}, ""), ({"ModelFailed": 2}, '; records failed: {"ModelFailed":2}')])
def test_a_failed_job_tells_how_many_records_failed_where_any_did(
    inference: Stack, failed: dict[str, int], counts: str
) -> None:
    variables = {"failure": {"Cause": "No such key"}, "job": {"bucket": "data", "prefix": "jobs/a"}}
    cause = compile_template(inference.job["States"]["JobFailed"]["Cause"], "Cause")
    said = cause(Scope({"input": {"failed": failed}}, variables))
    assert said == f"No such key{counts} (s3://data/jobs/a/summary.json)"


def allow(action: str | list[str], resource: Any, **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


LISTING = allow("s3:ListBucket", "<DataBucket.Arn>", Condition={"StringLike": {"s3:prefix": "incoming/*"}})
EXECUTION = "arn:aws:states:us-east-1:<AWS::AccountId>:execution:<JobWorkflowStateMachine.Name>"


@BOTH
def test_the_role_may_read_data_sets_and_write_map_results_and_nothing_else_in_s3(stack: Stack) -> None:
    statements = stack.statements("JobWorkflowStateMachineRole")
    in_s3 = [it for it in statements if "s3:" in json.dumps(it)]
    writer = ["s3:AbortMultipartUpload", "s3:GetObject", "s3:ListMultipartUploadParts", "s3:PutObject"]
    assert in_s3 == [
        allow(writer, "<DataBucket.Arn>/jobs/*/map/*"),
        allow("s3:GetObject", "<DataBucket.Arn>/incoming/*"),
        LISTING,
    ]


def test_the_role_may_call_the_functions_and_the_endpoint_of_the_stack(inference: Stack) -> None:
    functions, *others = [it for it in inference.statements("JobWorkflowStateMachineRole") if "s3:" not in str(it)]
    names = ["JobCheckJob", "JobSummarize", "PreprocessData", "StoreResults"]
    arns = [f"<{name}Function.Arn>" for name in names]
    assert functions == allow("lambda:InvokeFunction", arns)
    assert others[0] == allow("sagemaker:InvokeEndpoint", "<RealtimeEndpoint>")
    assert [it["Resource"] for it in others[1:]] == ["*"]  # log delivery and X-Ray


@BOTH
def test_the_role_may_start_its_own_children_and_look_at_its_own_map_runs(stack: Stack) -> None:
    policies = stack.of_type("AWS::IAM::Policy")
    run = "arn:aws:states:us-east-1:<AWS::AccountId>:mapRun:<JobWorkflowStateMachine.Name>/*:*"
    assert policies["JobMapRunPolicy"]["PolicyDocument"]["Statement"] == [
        allow("states:StartExecution", "<JobWorkflowStateMachine>"),
        allow(["states:DescribeExecution", "states:ListMapRuns"], f"{EXECUTION}:*"),
        allow("states:DescribeMapRun", run),
    ]
    assert policies["JobMapRunPolicy"]["Roles"] == ["<JobWorkflowStateMachineRole>"]


@BOTH
def test_the_jobs_own_functions_may_read_and_write_what_they_name(stack: Stack) -> None:
    assert stack.statements("JobCheckJobRole")[2:] == [allow("s3:GetObject", "<DataBucket.Arn>/incoming/*"), LISTING]
    assert stack.statements("JobSummarizeRole")[2:] == [
        allow("s3:GetObject", [f"<DataBucket.Arn>/jobs/*/{kept}/*" for kept in ("map", "predictions", "rejected")]),
        allow(["s3:GetObject", "s3:PutObject"], "<DataBucket.Arn>/jobs/*/summary.json"),
    ]


@pytest.mark.parametrize(("stack_name", "concurrency"), [("inference", "4"), ("ml_workflow", "32")])
def test_the_defaults_of_a_job_are_the_settings(stack: Stack, concurrency: str) -> None:
    assert stack.of_type("AWS::Lambda::Function")["JobCheckJobFunction"]["Environment"]["Variables"] == {
        "DATA_BUCKET": "<DataBucket>",
        "BATCH_SIZE": "100",
        "BATCH_BYTES": "180224",
        "MAX_CONCURRENCY": concurrency,
        "TOLERATED_PERCENTAGE": "0",
    }


def test_both_stacks_call_the_same_model_by_the_same_version(inference: Stack, ml_workflow: Stack) -> None:
    found = [
        stack.of_type("AWS::Lambda::Function")["JobSummarizeFunction"]["Environment"]["Variables"]
        for stack in (inference, ml_workflow)
    ]
    assert found[0]["MODEL_VERSION"] == found[1]["MODEL_VERSION"]
    assert found[0]["TEMPLATE_VERSION"] == found[1]["TEMPLATE_VERSION"]
    assert all(len(version) == 16 for version in (found[0]["MODEL_VERSION"], found[0]["TEMPLATE_VERSION"]))
