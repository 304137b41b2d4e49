"""MlWorkflowStack: its states as their exact JSON, its policies, its outputs."""

from __future__ import annotations

import pytest

from tests.synthesis import Stack

RETRY = [
    {
        "ErrorEquals": [
            "Lambda.ClientExecutionTimeoutException",
            "Lambda.ServiceException",
            "Lambda.AWSLambdaException",
            "Lambda.SdkClientException",
            "Lambda.TooManyRequestsException",
            "States.Timeout",
        ],
        "IntervalSeconds": 1,
        "MaxAttempts": 6,
        "BackoffRate": 2,
        "MaxDelaySeconds": 20,
        "JitterStrategy": "FULL",
    },
    {
        "ErrorEquals": ["Lambda.Unknown"],
        "IntervalSeconds": 1,
        "MaxAttempts": 2,
        "BackoffRate": 2,
        "MaxDelaySeconds": 20,
        "JitterStrategy": "FULL",
    },
]


def test_the_definition_begins_at_preprocess_and_has_a_time_limit(ml_workflow: Stack) -> None:
    definition = dict(ml_workflow.definition)
    states = definition.pop("States")
    assert definition == {"StartAt": "Preprocess", "TimeoutSeconds": 300, "QueryLanguage": "JSONata"}
    assert set(states) == {"Preprocess", "Predict", "PreprocessFailed", "PredictFailed"}


def test_preprocess_hands_what_it_returns_to_predict(ml_workflow: Stack) -> None:
    assert ml_workflow.definition["States"]["Preprocess"] == {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Arguments": {"FunctionName": "<PreprocessFunction.Arn>", "Payload": "{% $states.input %}"},
        "Output": "{% $states.result.Payload %}",
        "TimeoutSeconds": 35,
        "Retry": RETRY,
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
        "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "PredictFailed"}],
        "End": True,
    }


@pytest.mark.parametrize("step", ["Preprocess", "Predict"])
def test_a_failed_step_keeps_its_error_and_is_named_in_the_cause(ml_workflow: Stack, step: str) -> None:
    assert ml_workflow.definition["States"][f"{step}Failed"] == {
        "Type": "Fail",
        "Error": "{% $states.input.Error %}",
        "Cause": f"{{% '{step}: ' & $states.input.Cause %}}",
    }


def test_the_machine_may_call_its_two_functions(ml_workflow: Stack) -> None:
    statements = ml_workflow.statements("WorkflowStateMachineRole")
    assert statements[0] == {
        "Effect": "Allow",
        "Action": "lambda:InvokeFunction",
        "Resource": [
            "<PredictFunction.Arn>",
            "<PreprocessFunction.Arn>",
            "<PredictFunction.Arn>:*",
            "<PreprocessFunction.Arn>:*",
        ],
    }
    assert [statement["Resource"] for statement in statements[1:]] == ["*"]  # log delivery and X-Ray


@pytest.mark.parametrize("function", ["Preprocess", "Predict"])
def test_a_function_may_write_its_own_log_and_traces(ml_workflow: Stack, function: str) -> None:
    assert ml_workflow.statements(f"{function}Role") == [
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


def test_the_only_output_is_the_machine(ml_workflow: Stack) -> None:
    assert list(ml_workflow.template["Outputs"]) == ["StateMachineArn"]
