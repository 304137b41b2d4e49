"""What every task does when it fails: which errors it tries again, and the Fail state that names it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from stacks.constructs.states.durations import seconds
from stacks.settings import InvalidSettings

ALL, TASK_FAILED, TIMEOUT = "States.ALL", "States.TaskFailed", "States.Timeout"
"""As text: to ask the library's `Errors` for one is a call into the CDK's own process."""

LAMBDA_TRANSIENT = (
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.TooManyRequestsException",
    TIMEOUT,
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
    # A throttle has no class of its own in this service's SDK, and may be HTTP 400 with an empty message. A denied
    # call looks the same, so it is tried as often.
    "SageMakerRuntime.SageMakerRuntimeException",
    TIMEOUT,
)
"""With and without `Exception`: Step Functions' own spelling of these is not confirmed.
https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html#API_runtime_InvokeEndpoint_Errors
"""

SAGEMAKER_REFUSED = (
    "SageMakerRuntime.ModelErrorException",
    "SageMakerRuntime.ModelError",
    "States.QueryEvaluationError",
)
"""The model's own code failed on this input, with whatever status: script mode answers 500 to any exception, so
a bad record and a broken model look alike. Or its answer could not be read: `NaN`, for one, is not JSON."""

FUNCTION_REFUSED = ("ModelRefused",)
"""What Predict raises when the model's own code fails on this input."""

SAGEMAKER_PERMANENT = (
    *SAGEMAKER_REFUSED,
    "SageMakerRuntime.ValidationErrorException",
    "SageMakerRuntime.ValidationError",
    "SageMakerRuntime.AccessDeniedException",
    "SageMakerRuntime.AccessDenied",
    "States.DataLimitExceeded",
    "States.Runtime",
)
"""What another try cannot change: they are kept out of the fallback for spellings that nobody foresaw."""

S3_TRANSIENT = (*LAMBDA_TRANSIENT, "S3Unavailable")
"""Functions raise `S3Unavailable` for SlowDown and for S3's errors of the 5xx kind."""

ASYNC_TRANSIENT = (*S3_TRANSIENT, "EndpointUnavailable")
"""SubmitInference raises `EndpointUnavailable` for what another try may change; and a notification may get lost,
after which the task that waits for it times out."""

SAGEMAKER_CALL_FAILED = (
    "SageMaker.AmazonSageMakerException",
    "SageMaker.ResourceLimitExceededException",
    "SageMaker.SdkClientException",
)
"""What `sagemaker:createTransformJob` says when it begins no job: a throttle, instances of which there are none at
the moment, no answer. That Step Functions spells the last two so is not confirmed."""

KILLED = ("Lambda.Unknown", "Runtime.ExitError", "Sandbox.Timedout")
"""A function killed, as one out of memory is, or out of time: most often it will be again.

Newer runtimes name what used to be `Lambda.Unknown`.
https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
"""


@dataclass(frozen=True)
class Caught:
    """Where a task goes on after these errors, and the variables it assigns then."""

    errors: Sequence[str]
    next: sfn.IChainable
    assign: Mapping[str, Any]


def handle_function_failures(
    task: sfn.TaskStateBase,
    *,
    failed: sfn.IChainable,
    transient: Sequence[str] = LAMBDA_TRANSIENT,
    caught: Caught | None = None,
) -> None:
    """Tries transient errors again, a killed function twice at most, and ends any other error in `failed`."""
    _retry(task, (transient, 6), (KILLED, 2))
    _catch(task, failed, caught)


def handle_endpoint_failures(task: sfn.TaskStateBase, *, failed: sfn.IChainable, caught: Caught | None = None) -> None:
    """Tries transient errors again, an unknown one twice at most, and ends any other error in `failed`."""
    _retry(task, (SAGEMAKER_TRANSIENT, 6), (SAGEMAKER_PERMANENT, 0), ([TASK_FAILED], 2))
    _catch(task, failed, caught)


def handle_call_failures(task: sfn.TaskStateBase, *, failed: sfn.IChainable) -> None:
    """Tries any error of Step Functions' own API again, two times, and ends it in `failed`."""
    _retry(task, ([TASK_FAILED, TIMEOUT], 2))
    _catch(task, failed, None)


def handle_job_failures(task: sfn.TaskStateBase) -> None:
    """Tries again what began no job; how one ended that began is for whoever catches it."""
    _retry(task, (SAGEMAKER_CALL_FAILED, 6))


def _catch(task: sfn.TaskStateBase, failed: sfn.IChainable, caught: Caught | None) -> None:
    if caught is not None:
        task.add_catch(caught.next, errors=list(caught.errors), assign=caught.assign)
    task.add_catch(failed, errors=[ALL])


def _retry(task: sfn.TaskStateBase, *lists: tuple[Sequence[str], int]) -> None:
    """Tries each list of errors again so many times, after waits that are drawn at random below a growing bound."""
    check_order([errors for errors, _ in lists])
    for errors, attempts in lists:
        if attempts == 0:
            task.add_retry(errors=list(errors), max_attempts=0)
            continue
        task.add_retry(
            errors=list(errors),
            interval=seconds(1),
            max_attempts=attempts,
            backoff_rate=2,
            max_delay=seconds(20),
            jitter_strategy=sfn.JitterType.FULL,
        )


def check_order(lists: Sequence[Sequence[str]]) -> None:
    """Raises `InvalidSettings` unless `States.ALL`, where it is, stands alone in the last list.

    The library would move it there without a word: what comes before it would then be tried otherwise than read.
    https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html#error-handling-retrying-after-an-error
    """
    for number, errors in enumerate(lists, 1):
        if ALL in errors and (len(errors) > 1 or number < len(lists)):
            raise InvalidSettings(
                f"retries: expected States.ALL alone and in the last list, received {list(errors)} as list {number} "
                f"of {len(lists)}"
            )


def sentence(cause: str) -> str:
    """The JSONata expression of what a person should read of the expression `cause`.

    Of a function that raised an error AWS gives the whole document, with its stack; other causes are text.
    https://docs.aws.amazon.com/lambda/latest/dg/python-exceptions.html
    """
    document = "$substring($said, 0, 1) = '{' and $substring($said, -1) = '}'"
    return f"($said := {cause}; {document} ? $parse($said).errorMessage : $said)"


def failed(scope: Construct, construct_id: str, step: str) -> sfn.Fail:
    """The Fail state of a step: the error keeps its name, the cause says whose it is."""
    return sfn.Fail.jsonata(
        scope,
        construct_id,
        error="{% $states.input.Error %}",
        cause=f"{{% '{step}: ' & {sentence('$states.input.Cause')} %}}",
    )
