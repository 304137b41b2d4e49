"""What every task does when it fails: which errors it tries again, and the Fail state that names it."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import Duration
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

LAMBDA_TRANSIENT = (
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.TooManyRequestsException",
    "States.Timeout",
)
"""https://docs.aws.amazon.com/step-functions/latest/dg/bp-lambda-serviceexception.html"""

SAGEMAKER_TRANSIENT = (
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
    "States.Timeout",
)
"""With and without `Exception`: Step Functions' own spelling of these is not confirmed.
https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html#API_runtime_InvokeEndpoint_Errors
"""

STORE_TRANSIENT = (*LAMBDA_TRANSIENT, "S3Unavailable")
"""StoreResults raises `S3Unavailable` for SlowDown and for S3's errors of the 5xx kind."""

KILLED = "Lambda.Unknown"
"""A function out of memory or killed: most often it will be again."""


def handle_failures(
    task: sfn.TaskStateBase, *, transient: Sequence[str], failed: sfn.Fail, killed_too: bool = True
) -> None:
    """Tries transient errors again, with full jitter and a cap, and ends any other, or the last, in `failed`."""
    task.add_retry(
        errors=list(transient),
        interval=Duration.seconds(1),
        max_attempts=6,
        backoff_rate=2,
        max_delay=Duration.seconds(20),
        jitter_strategy=sfn.JitterType.FULL,
    )
    if killed_too:
        task.add_retry(
            errors=[KILLED],
            interval=Duration.seconds(1),
            max_attempts=2,
            backoff_rate=2,
            max_delay=Duration.seconds(20),
            jitter_strategy=sfn.JitterType.FULL,
        )
    task.add_catch(failed, errors=[sfn.Errors.ALL])


def failed(scope: Construct, id: str, step: str) -> sfn.Fail:
    """The Fail state of a step: the error keeps its name, the cause says whose it is."""
    return sfn.Fail.jsonata(
        scope,
        id,
        error="{% $states.input.Error %}",
        cause=f"{{% '{step}: ' & $states.input.Cause %}}",
    )
