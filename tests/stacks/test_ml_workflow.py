"""MlWorkflowStack: its states as their exact JSON, its policies, its outputs."""

from __future__ import annotations

from typing import Any

import pytest

from tests.synthesis import Stack

ERRORS = [
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.TooManyRequestsException",
    "States.Timeout",
]
RETRY: list[dict[str, Any]] = [
    {
        "ErrorEquals": ERRORS,
        "IntervalSeconds": 1,
        "MaxAttempts": 6,
        "BackoffRate": 2,
        "MaxDelaySeconds": 20,
        "JitterStrategy": "FULL",
    },
    {
        "ErrorEquals": ["Lambda.Unknown", "Runtime.ExitError", "Sandbox.Timedout"],
        "IntervalSeconds": 1,
        "MaxAttempts": 2,
        "BackoffRate": 2,
        "MaxDelaySeconds": 20,
        "JitterStrategy": "FULL",
    },
]

RETRY_WITH_S3 = [{**RETRY[0], "ErrorEquals": [*ERRORS, "S3Unavailable"]}, RETRY[1]]
SENTENCE = (
    "($said := $states.input.Cause; $substring($said, 0, 1) = '{' and $substring($said, -1) = '}' "
    "? $parse($said).errorMessage : $said)"
)
REFUSAL = (
    "$substring($states.errorOutput.Error = 'States.QueryEvaluationError' "
    "? 'the model answered something else than JSON with a list of predictions' "
    f": $substringBefore({SENTENCE.replace('input', 'errorOutput')}, ' (Service: '), 0, 500)"
)


def test_the_definition_begins_at_preprocess_and_has_a_time_limit(ml_workflow: Stack) -> None:
    definition = dict(ml_workflow.definition)
    states = definition.pop("States")
    assert definition == {"StartAt": "Preprocess", "TimeoutSeconds": 300, "QueryLanguage": "JSONata"}
    assert set(states) == {
        "Preprocess",
        "Predict",
        "PreprocessFailed",
        "PredictFailed",
        "RefusedPart",
        "RejectRecord",
        "HalvePart",
        "NextPart",
        "PredictPart",
        "PartMiscounted",
        "SplitLimitReached",
        "JoinParts",
        "JoinPredictions",
        "JoinPredictionsFailed",
    }


def test_preprocess_hands_what_it_returns_to_predict(ml_workflow: Stack) -> None:
    assert ml_workflow.definition["States"]["Preprocess"] == {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Arguments": {"FunctionName": "<PreprocessFunction.Arn>", "Payload": "{% $states.input %}"},
        "Output": "{% $states.result.Payload %}",
        "TimeoutSeconds": 35,
        "Retry": RETRY_WITH_S3,
        "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "PreprocessFailed"}],
        "Next": "Predict",
    }


def test_what_predict_returns_is_the_output(ml_workflow: Stack) -> None:
    assert ml_workflow.definition["States"]["Predict"] == {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Arguments": {"FunctionName": "<PredictFunction.Arn>", "Payload": "{% $states.input %}"},
        "Output": "{% $states.result.Payload %}",
        "TimeoutSeconds": 35,
        "Retry": RETRY,
        "Catch": [
            {
                "ErrorEquals": ["ModelRefused"],
                "Assign": {
                    "batch": "{% $states.input %}",
                    "part": "{% {'lo': 0, 'hi': $count($states.input.instances), 'held': 1} %}",
                    "queue": [],
                    "parts": [],
                    "refused": [],
                    "cause": f"{{% {REFUSAL} %}}",
                    "calls": 1,
                    "miscounted": False,
                    "modelRetries": "{% $states.context.State.RetryCount %}",
                },
                "Next": "RefusedPart",
            },
            {"ErrorEquals": ["States.ALL"], "Next": "PredictFailed"},
        ],
        "End": True,
    }


@pytest.mark.parametrize("step", ["Preprocess", "Predict"])
def test_a_failed_step_keeps_its_error_and_is_named_in_the_cause(ml_workflow: Stack, step: str) -> None:
    assert ml_workflow.definition["States"][f"{step}Failed"] == {
        "Type": "Fail",
        "Error": "{% $states.input.Error %}",
        "Cause": f"{{% '{step}: ' & {SENTENCE} %}}",
    }


def test_the_machine_may_call_its_two_functions(ml_workflow: Stack) -> None:
    statements = ml_workflow.statements("WorkflowStateMachineRole")
    assert statements[0] == {
        "Effect": "Allow",
        "Action": "lambda:InvokeFunction",
        "Resource": [
            "<PredictFunction.Arn>",
            "<PreprocessFunction.Arn>",
        ],
    }
    assert [statement["Resource"] for statement in statements[1:]] == ["*"]  # log delivery and X-Ray


@pytest.mark.parametrize("function", ["Preprocess", "Predict"])
def test_a_function_may_write_its_own_log_and_traces(ml_workflow: Stack, function: str) -> None:
    assert ml_workflow.statements(f"{function}Role")[:2] == [
        {
            "Effect": "Allow",
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Resource": f"<{function}Logs.Arn>",
        },
        {
            "Effect": "Allow",
            "Action": ["xray:PutTelemetryRecords", "xray:PutTraceSegments"],
            "Resource": "*",
        },
    ]


def test_predict_may_do_nothing_else_and_preprocess_read_data_sets(ml_workflow: Stack) -> None:
    assert len(ml_workflow.statements("PredictRole")) == 2
    assert ml_workflow.statements("PreprocessRole")[2:] == [
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "<DataBucket.Arn>/incoming/*"}
    ]


def test_the_outputs_are_the_machines_and_the_bucket(ml_workflow: Stack) -> None:
    assert list(ml_workflow.template["Outputs"]) == ["StateMachineArn", "BatchJobArn", "ResultsBucketUri"]
