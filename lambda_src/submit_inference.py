"""SubmitInference: hands a batch to the asynchronous endpoint, with the token of the task that waits for it."""

from __future__ import annotations

import functools
import hashlib
import json
import os
from typing import TYPE_CHECKING

import boto3
from botocore.exceptions import ClientError

from lambda_src import contract, storage
from lambda_src.contract import Json

if TYPE_CHECKING:
    from mypy_boto3_sagemaker_runtime import SageMakerRuntimeClient

TRANSIENT = frozenset(
    {
        "ThrottlingException",
        "Throttling",
        "ServiceUnavailable",
        "InternalFailure",
        "InternalDependencyException",
        "ModelNotReadyException",
    }
)
"""https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpointAsync.html"""


class EndpointUnavailable(RuntimeError):
    """The endpoint could not take the request now. The state machine retries it; nothing underneath does."""


@functools.cache
def client() -> SageMakerRuntimeClient:
    """One client for the life of the process."""
    return boto3.client("sagemaker-runtime", config=storage.ONE_TRY)


def handler(event: Json, context: object) -> dict[str, str]:
    """`{"id"}`, once the endpoint has the request: the event is `{"token", "instances"}`.

    The answer comes by `lambda_src.resume_inference`, which finds the token under the id. A token is another one
    at each try, and so is the id: what lies there already is this task's own.
    Raises `EndpointUnavailable`, `storage.S3Unavailable` or botocore's `ClientError`.
    """
    identity = hashlib.sha256(event["token"].encode()).hexdigest()[:32]
    source = f"{contract.ASYNC_INPUTS}{identity}.json"
    storage.put_new(token_key(identity), json.dumps({"token": event["token"]}).encode(), "application/json")
    storage.put_new(source, json.dumps({"instances": event["instances"]}).encode(), "application/json")
    try:
        client().invoke_endpoint_async(
            EndpointName=os.environ["ENDPOINT"],
            ContentType="application/json",
            Accept="application/json",
            InferenceId=identity,
            InputLocation=f"s3://{storage.bucket()}/{source}",
            InvocationTimeoutSeconds=int(os.environ["MODEL_SECONDS"]),
        )
    except ClientError as error:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if storage.code_of(error) in TRANSIENT or status >= 500:
            raise EndpointUnavailable(str(error)) from error
        raise
    except storage.UNREACHABLE as error:
        raise EndpointUnavailable(str(error)) from error
    return {"id": identity}


def token_key(identity: str) -> str:
    """Where the token of a request lies."""
    return f"{contract.ASYNC_TOKENS}{identity}.json"
