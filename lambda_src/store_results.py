"""StoreResults: writes one batch's predictions and rejected records to S3, each exactly once."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Any, Literal

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError, IncompleteReadError
from botocore.exceptions import ConnectionError as BotoConnectionError

from lambda_src import contract
from lambda_src.contract import Json, ResultConflict
from lambda_src.pairing import paired

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BUCKET_VARIABLE = "RESULTS_BUCKET"
"""The environment variable that names the data bucket."""

TRANSIENT = frozenset({"SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "500", "502", "503", "504"})
"""S3's errors that pass. https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html"""

CONFLICTING = frozenset({"ConditionalRequestConflict", "OperationAborted"})
"""Another writer was at the same key at the same moment: the next try finds out what it wrote."""

ONE_TRY = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=10)
"""The state machine counts the tries; retries under retries multiply."""

UNREACHABLE = (BotoConnectionError, HTTPClientError, IncompleteReadError)
"""What botocore raises when no answer, or half of one, came."""


class S3Unavailable(RuntimeError):
    """S3 could not answer now. The state machine retries it; nothing underneath does."""


def handler(event: Json, context: object) -> dict[str, Any]:
    """`{"results": "s3://bucket/key" or null, "predicted": count, "rejected": [...]}` once all is stored.

    The event is `{"prefix", "ids", "indexes", "predictions", "rejected"}`. The key comes from the prefix
    and the batch's first index, so that a second run of the same batch finds its own results and leaves them.
    Raises `contract.PredictionCountMismatch`, `contract.ResultConflict`, `S3Unavailable`, or botocore's
    `ClientError` for what no retry cures.
    """
    bucket = os.environ[BUCKET_VARIABLE]
    rows = paired(event["ids"], event["indexes"], event["predictions"])
    rejected = event["rejected"]
    first = min(row["index"] for row in [*rows, *rejected])
    stored = store(bucket, event["prefix"], "predictions", first, rows)
    store(bucket, event["prefix"], "rejected", first, rejected)
    print(f"stored {len(rows)} predictions and {len(rejected)} rejected records")
    return {"results": stored, "predicted": len(rows), "rejected": rejected}


def store(
    bucket: str,
    prefix: str,
    kind: Literal["predictions", "rejected"],
    first: int,
    rows: list[dict[str, Json]],
) -> str | None:
    """The rows as JSON Lines at their key, whose `s3://` URI is returned; no rows leave no object."""
    if not rows:
        return None
    key = contract.part_key(prefix, kind, first)
    put_once(s3(), bucket, key, contract.json_lines(rows))
    return f"s3://{bucket}/{key}"


def put_once(client: S3Client, bucket: str, key: str, body: bytes) -> None:
    """Writes the object if there is none. The same bytes are the same result; others are a conflict.

    Raises `contract.ResultConflict`, `S3Unavailable` or botocore's `ClientError`.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
    """
    try:
        client.put_object(Bucket=bucket, Key=key, Body=body, ContentType="application/x-ndjson", IfNoneMatch="*")
    except ClientError as error:
        if code_of(error) != "PreconditionFailed":
            raise explained(error) from error
    except UNREACHABLE as error:
        raise S3Unavailable(str(error)) from error
    else:
        return
    if read(client, bucket, key) != body:
        raise ResultConflict(f"expected no object or the same one at s3://{bucket}/{key}, found other bytes")


def read(client: S3Client, bucket: str, key: str) -> bytes:
    """The bytes of an object. Raises `S3Unavailable` or botocore's `ClientError`."""
    try:
        return client.get_object(Bucket=bucket, Key=key)["Body"].read()
    except ClientError as error:
        raise explained(error) from error
    except UNREACHABLE as error:
        raise S3Unavailable(str(error)) from error


def code_of(error: ClientError) -> str:
    """S3's name for the error."""
    return str(error.response.get("Error", {}).get("Code", ""))


def explained(error: ClientError) -> Exception:
    """The error under a name of its own: a Retry cannot look inside a `ClientError`."""
    return S3Unavailable(str(error)) if code_of(error) in TRANSIENT | CONFLICTING else error


@functools.cache
def s3() -> S3Client:
    """One client for the life of the process."""
    return boto3.client("s3", config=ONE_TRY)
