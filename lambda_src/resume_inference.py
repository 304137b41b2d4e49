"""ResumeInference: hears that an asynchronous endpoint has answered, and tells the task that waits for it."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import boto3
from botocore.exceptions import ClientError

from lambda_src import contract, storage
from lambda_src.contract import Json
from lambda_src.submit_inference import token_key

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

REFUSED = "ModelRefused"
"""What Predict raises, too, when the model's own code fails on its input: the workflow then splits the batch."""

FAILED = "InferenceFailed"
"""Any other reason why there is no answer."""

GONE = frozenset({"TaskTimedOut", "TaskDoesNotExist", "InvalidToken"})
"""The task waits no longer: it was told before, or has begun another try."""

ANSWER_BYTES = contract.MAX_STATE_BYTES - 1_024
"""What an answer may weigh, so that it fits a state with what goes around it."""


class TaskUnreachable(RuntimeError):
    """Step Functions could not be told now. Lambda calls this function again for the same notification."""


@functools.cache
def client() -> SFNClient:
    """One client for the life of the process."""
    return boto3.client("stepfunctions", config=storage.ONE_TRY)


def handler(event: Json, context: object) -> None:
    """Tells each notification's task its predictions, or why there are none. The event is SNS's.

    https://docs.aws.amazon.com/sagemaker/latest/dg/async-inference-check-predictions.html
    SNS may send a notification twice: the second finds no task any more, which is no error. Raises
    `TaskUnreachable` and `storage.S3Unavailable`, after which Lambda tries again by itself.
    """
    for record in event["Records"]:
        notification = json.loads(record["Sns"]["Message"])
        key = token_key(notification["inferenceId"])
        token = json.loads(storage.read(key))["token"]
        outcome = outcome_of(notification)
        try:
            if isinstance(outcome, dict):
                client().send_task_success(taskToken=token, output=json.dumps(outcome))
            else:
                error, cause = outcome
                client().send_task_failure(taskToken=token, error=error, cause=cause)
        except ClientError as problem:
            if storage.code_of(problem) not in GONE:
                raise TaskUnreachable(str(problem)) from problem
        except storage.UNREACHABLE as problem:
            raise TaskUnreachable(str(problem)) from problem


def outcome_of(notification: dict[str, Json]) -> dict[str, Json] | tuple[str, str]:
    """`{"predictions", "variant"}`, with the `version` that the model gave, or the error and the cause.

    Neither the notification nor the output names the variant, of which there is one.
    https://docs.aws.amazon.com/sagemaker/latest/dg/async-inference-check-predictions.html
    """
    if notification["invocationStatus"] != "Completed":
        reason = str(notification.get("failureReason", ""))
        # Script mode answers 500 to any exception of the model's code, as behind a real-time endpoint.
        return (REFUSED if "Received" in reason and "error (" in reason else FAILED), reason
    location = notification["responseParameters"]["outputLocation"]
    body = storage.read(urlsplit(location).path.lstrip("/"))
    if len(body) > ANSWER_BYTES:
        return FAILED, f"expected an answer of at most {ANSWER_BYTES} bytes, received {len(body)} at {location}"
    try:
        answer = json.loads(body, parse_constant=_not_json)
        said = {"version": answer["version"]} if "version" in answer else {}
        return {"predictions": answer["predictions"], "variant": contract.PRODUCTION, **said}
    except (ValueError, KeyError, TypeError) as problem:
        cause = f"the model answered something else than JSON with a list of predictions: {problem!r}"
        return REFUSED, cause


def _not_json(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
