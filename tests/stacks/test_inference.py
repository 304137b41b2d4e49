"""InferenceStack: its states as their exact JSON, its policies, its endpoint, its bucket."""

from __future__ import annotations

import pytest

from stacks.constructs.model.versions import model_version
from tests.synthesis import Stack


def retry(errors: list[str], attempts: int) -> dict[str, object]:
    return {
        "ErrorEquals": errors,
        "IntervalSeconds": 1,
        "MaxAttempts": attempts,
        "BackoffRate": 2,
        "MaxDelaySeconds": 20,
        "JitterStrategy": "FULL",
    }


SENTENCE = (
    "($said := $states.input.Cause; $substring($said, 0, 1) = '{' and $substring($said, -1) = '}' "
    "? $parse($said).errorMessage : $said)"
)
REFUSAL = (
    "$substring($states.errorOutput.Error = 'States.QueryEvaluationError' "
    "? 'the model answered something else than JSON with a list of predictions' "
    f": $substringBefore({SENTENCE.replace('input', 'errorOutput')}, ' (Service: '), 0, 500)"
)
LAMBDA_ERRORS = [
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.TooManyRequestsException",
    "States.Timeout",
]


KILLED = ["Lambda.Unknown", "Runtime.ExitError", "Sandbox.Timedout"]


def test_the_definition_begins_at_preprocess_data_and_has_a_time_limit(inference: Stack) -> None:
    definition = dict(inference.definition)
    states = definition.pop("States")
    assert definition == {"StartAt": "PreprocessData", "TimeoutSeconds": 300, "QueryLanguage": "JSONata"}
    assert set(states) == {
        "PreprocessData",
        "AnyInstances",
        "InferenceModel",
        "NothingToPredict",
        "StoreResults",
        "PreprocessDataFailed",
        "InferenceModelFailed",
        "StoreResultsFailed",
        "RefusedPart",
        "RejectRecord",
        "HalvePart",
        "NextPart",
        "PredictPart",
        "PartMiscounted",
        "SplitLimitReached",
        "JoinParts",
    }


def test_preprocess_data_gets_the_request(inference: Stack) -> None:
    assert inference.definition["States"]["PreprocessData"] == {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Arguments": {"FunctionName": "<PreprocessDataFunction.Arn>", "Payload": "{% $states.input %}"},
        "Output": "{% $states.result.Payload %}",
        "TimeoutSeconds": 35,
        "Retry": [retry([*LAMBDA_ERRORS, "S3Unavailable"], 6), retry(KILLED, 2)],
        "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "PreprocessDataFailed"}],
        "Next": "AnyInstances",
    }


def test_without_instances_the_model_is_not_called(inference: Stack) -> None:
    states = inference.definition["States"]
    assert states["AnyInstances"] == {
        "Type": "Choice",
        "Choices": [{"Condition": "{% $states.input.any %}", "Next": "InferenceModel"}],
        "Default": "NothingToPredict",
    }
    assert states["NothingToPredict"] == {
        "Type": "Pass",
        "Output": {
            "ids": [],
            "indexes": [],
            "answer": {"predictions": []},
            "split": False,
            "rejected": "{% $states.input.rejected %}",
        },
        "Next": "StoreResults",
    }


def test_inference_model_sends_json_and_reads_the_answer_before_it_uses_it(inference: Stack) -> None:
    assert inference.definition["States"]["InferenceModel"] == {
        "Type": "Task",
        "Resource": "arn:aws:states:::aws-sdk:sagemakerruntime:invokeEndpoint",
        "Arguments": {
            "EndpointName": "<RealtimeEndpoint.EndpointName>",
            "ContentType": "application/json",
            "Accept": "application/json",
            "Body": {"instances": "{% $states.input.instances %}"},
        },
        "Output": {
            "ids": "{% $states.input.ids %}",
            "indexes": "{% $states.input.indexes %}",
            "answer": (
                "{% ($type($states.result.Body) = 'string' ? $parse($states.result.Body) : $states.result.Body)"
                "[$exists(predictions)].{'predictions': predictions, 'version': version, "
                "'variant': $states.result.InvokedProductionVariant} %}"
            ),
            "split": False,
            "rejected": "{% $states.input.rejected %}",
        },
        "TimeoutSeconds": 65,
        "Retry": [
            retry(
                [
                    "SageMakerRuntime.ModelNotReadyException",
                    "SageMakerRuntime.ModelNotReady",
                    "SageMakerRuntime.ServiceUnavailableException",
                    "SageMakerRuntime.ServiceUnavailable",
                    "SageMakerRuntime.InternalFailureException",
                    "SageMakerRuntime.InternalFailure",
                    "SageMakerRuntime.InternalDependencyException",
                    "SageMakerRuntime.InternalDependency",
                    "SageMakerRuntime.ThrottlingException",
                    "SageMakerRuntime.Throttling",
                    "SageMakerRuntime.SdkClientException",
                    "SageMakerRuntime.SdkClient",
                    "SageMakerRuntime.SageMakerRuntimeException",
                    "States.Timeout",
                ],
                6,
            ),
            {
                "ErrorEquals": [
                    "SageMakerRuntime.ModelErrorException",
                    "SageMakerRuntime.ModelError",
                    "States.QueryEvaluationError",
                    "SageMakerRuntime.ValidationErrorException",
                    "SageMakerRuntime.ValidationError",
                    "SageMakerRuntime.AccessDeniedException",
                    "SageMakerRuntime.AccessDenied",
                    "States.DataLimitExceeded",
                    "States.Runtime",
                ],
                "MaxAttempts": 0,
            },
            retry(["States.TaskFailed"], 2),
        ],
        "Catch": [
            {
                "ErrorEquals": [
                    "SageMakerRuntime.ModelErrorException",
                    "SageMakerRuntime.ModelError",
                    "States.QueryEvaluationError",
                ],
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
            {"ErrorEquals": ["States.ALL"], "Next": "InferenceModelFailed"},
        ],
        "Next": "StoreResults",
    }


def test_store_results_gets_a_key_made_from_the_executions_name(inference: Stack) -> None:
    assert inference.definition["States"]["StoreResults"] == {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Arguments": {
            "FunctionName": "<StoreResultsFunction.Arn>",
            "Payload": {
                "prefix": "{% 'requests/' & $states.context.Execution.Name %}",
                "ids": "{% $states.input.ids %}",
                "indexes": "{% $states.input.indexes %}",
                "answer": "{% $states.input.answer %}",
                "split": "{% $states.input.split %}",
                "rejected": "{% $states.input.rejected %}",
            },
        },
        "Output": "{% $states.result.Payload %}",
        "TimeoutSeconds": 35,
        "Retry": [retry([*LAMBDA_ERRORS, "S3Unavailable"], 6), retry(KILLED, 2)],
        "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "StoreResultsFailed"}],
        "End": True,
    }


@pytest.mark.parametrize("step", ["PreprocessData", "InferenceModel", "StoreResults"])
def test_a_failed_step_keeps_its_error_and_is_named_in_the_cause(inference: Stack, step: str) -> None:
    assert inference.definition["States"][f"{step}Failed"] == {
        "Type": "Fail",
        "Error": "{% $states.input.Error %}",
        "Cause": f"{{% '{step}: ' & {SENTENCE} %}}",
    }


def test_the_machine_may_call_its_functions_and_its_endpoint(inference: Stack) -> None:
    calls, endpoint, *rest = inference.statements("WorkflowStateMachineRole")
    assert calls["Action"] == "lambda:InvokeFunction"
    assert calls["Resource"] == [
        "<PreprocessDataFunction.Arn>",
        "<StoreResultsFunction.Arn>",
    ]
    assert endpoint == {
        "Effect": "Allow",
        "Action": "sagemaker:InvokeEndpoint",
        "Resource": "<RealtimeEndpoint>",  # a reference to an endpoint is its ARN
    }
    assert rest == [
        {
            "Effect": "Allow",
            "Action": [
                "logs:CreateLogDelivery",
                "logs:DeleteLogDelivery",
                "logs:DescribeLogGroups",
                "logs:DescribeResourcePolicies",
                "logs:GetLogDelivery",
                "logs:ListLogDeliveries",
                "logs:PutResourcePolicy",
                "logs:UpdateLogDelivery",
                "xray:GetSamplingRules",
                "xray:GetSamplingTargets",
                "xray:PutTelemetryRecords",
                "xray:PutTraceSegments",
            ],
            "Resource": "*",
        }
    ]


def test_store_results_may_write_and_read_results_only(inference: Stack) -> None:
    assert inference.statements("StoreResultsRole")[2:] == [  # after its log and its traces
        {
            "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:PutObject"],
            "Resource": [
                "<DataBucket.Arn>/jobs/*/predictions/*",
                "<DataBucket.Arn>/jobs/*/rejected/*",
                "<DataBucket.Arn>/requests/*",
            ],
        }
    ]


def test_preprocess_data_may_read_data_sets_only(inference: Stack) -> None:
    assert inference.statements("PreprocessDataRole")[2:] == [
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "<DataBucket.Arn>/incoming/*"}
    ]


def test_the_endpoints_role_may_read_its_model_and_pull_its_image(inference: Stack) -> None:
    pull, token, data, logs, metrics = inference.statements("ModelRole")
    assert pull == {
        "Effect": "Allow",
        "Action": ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
        "Resource": "arn:aws:ecr:us-east-1:763104351884:repository/pytorch-inference",
    }
    assert token == {"Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"}
    model_data_url = inference.resources["Model"]["Properties"]["PrimaryContainer"]["ModelDataUrl"]
    assert data == {
        "Effect": "Allow",
        "Action": "s3:GetObject",
        "Resource": model_data_url.replace("s3://", "arn:aws:s3:::"),
    }
    assert logs == {
        "Effect": "Allow",
        "Action": [
            "logs:CreateLogGroup",
            "logs:CreateLogStream",
            "logs:DescribeLogStreams",
            "logs:PutLogEvents",
        ],
        "Resource": "arn:aws:logs:us-east-1:<AWS::AccountId>:log-group:/aws/sagemaker/Endpoints/*",
    }
    assert metrics == {
        "Effect": "Allow",
        "Action": "cloudwatch:PutMetricData",
        "Resource": "*",
        "Condition": {"StringEquals": {"cloudwatch:namespace": "/aws/sagemaker/Endpoints"}},
    }


def test_the_model_waits_for_the_policy_it_is_created_with(inference: Stack) -> None:
    waits = inference.resources["Model"]["DependsOn"]
    assert any(name.startswith("ModelRoleDefaultPolicy") for name in waits)


def test_the_endpoint_serves_the_archive_in_script_mode(inference: Stack) -> None:
    (model,) = inference.of_type("AWS::SageMaker::Model").values()
    assert set(model) == {"EnableNetworkIsolation", "ExecutionRoleArn", "PrimaryContainer"}
    container = model["PrimaryContainer"]
    assert container["Image"] == (
        "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-inference:2.6.0-cpu-py312-ubuntu22.04-sagemaker"
    )
    assert container["Environment"] == {
        "SAGEMAKER_PROGRAM": "inference.py",
        "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code",
        "MODEL_VERSION": model_version(),
    }
    (config,) = inference.of_type("AWS::SageMaker::EndpointConfig").values()
    assert config == {
        "ProductionVariants": [
            {
                "VariantName": "AllTraffic",
                "ModelName": "<Model.ModelName>",
                "InstanceType": "ml.m5.large",
                "InitialInstanceCount": 1,
                "InitialVariantWeight": 1,
            }
        ]
    }
    (endpoint,) = inference.of_type("AWS::SageMaker::Endpoint").values()
    assert endpoint == {"EndpointConfigName": "<RealtimeConfig.EndpointConfigName>"}


def test_the_outputs_are_what_a_client_needs(inference: Stack) -> None:
    assert list(inference.template["Outputs"]) == [
        "StateMachineArn",
        "BatchJobArn",
        "ResultsBucketUri",
        "EndpointName",
    ]
