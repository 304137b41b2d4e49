"""S3 as the functions use it: read, and write once; what passes has one error name that the state machine retries."""

from __future__ import annotations

import functools
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError, IncompleteReadError
from botocore.exceptions import ConnectionError as BotoConnectionError

from lambda_src.contract import ResultConflict

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from mypy_boto3_s3 import S3Client

BUCKET_VARIABLE = "DATA_BUCKET"
"""The environment variable that names the data bucket."""

TRANSIENT = frozenset({"SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "500", "502", "503", "504"})
"""S3's errors that pass. https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html"""

CONFLICTING = frozenset({"ConditionalRequestConflict", "OperationAborted"})
"""Another writer was at the same key at the same moment: the next try finds out what it wrote."""

UNREADABLE = frozenset({"NoSuchKey", "404", "AccessDenied", "403"})
"""There is no such object, or it may not be read: to a role that may not list the whole bucket S3 says no more.
https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
"""

THREADS = 16
"""How many objects a function reads at once; the client has as many connections."""

PAGE = 1_000
"""How many keys S3 lists at once. https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html"""

PART_BYTES = 2**20
"""How much of an object is read at a time where it is read line by line."""

ONE_TRY = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=10, max_pool_connections=THREADS)
"""The state machine counts the tries; retries under retries multiply."""

UNREACHABLE = (BotoConnectionError, HTTPClientError, IncompleteReadError)
"""What botocore raises when no answer, or half of one, came."""


class S3Unavailable(RuntimeError):
    """S3 could not answer now. The state machine retries it; nothing underneath does."""


@functools.cache
def client() -> S3Client:
    """One client for the life of the process."""
    return boto3.client("s3", config=ONE_TRY)


def bucket() -> str:
    """The data bucket's name."""
    return os.environ[BUCKET_VARIABLE]


def read(key: str, byte_range: str | None = None, version: str | None = None) -> bytes:
    """The bytes of an object or of a version of it, or those of an HTTP range such as `bytes=0-99`.

    Raises `S3Unavailable` or botocore's `ClientError`.
    """
    more = {name: value for name, value in (("Range", byte_range), ("VersionId", version)) if value}
    with _explaining():
        return client().get_object(Bucket=bucket(), Key=key, **more)["Body"].read()  # type: ignore[arg-type]  # the stub cannot follow **


def found(key: str) -> bytes | None:
    """The bytes of an object; None where there is none that can be read. Raises as `read` does otherwise."""
    try:
        return read(key)
    except ClientError as error:
        if code_of(error) in UNREADABLE:
            return None
        raise


def lines(key: str) -> Iterator[bytes]:
    """An object's lines, one after the other; no more than one of them is in memory. Raises as `read` does.

    botocore's `iter_lines` looks at all of a line again with each kilobyte: one of 6 MB took it 40 seconds.
    """
    rest = b""
    with _explaining():
        for part in client().get_object(Bucket=bucket(), Key=key)["Body"].iter_chunks(PART_BYTES):
            *whole, rest = (rest + part).split(b"\n")
            yield from whole
    if rest:
        yield rest


def listed(prefix: str, most: int) -> list[str]:
    """The first keys that begin with a prefix, at most so many. Raises as `read` does."""
    pages = (
        client()
        .get_paginator("list_objects_v2")
        .paginate(Bucket=bucket(), Prefix=prefix, PaginationConfig={"MaxItems": most, "PageSize": min(most, PAGE)})
    )
    with _explaining():
        return [it["Key"] for page in pages for it in page.get("Contents", [])]


def put(key: str, body: bytes, content_type: str) -> None:
    """Writes the object, whatever was there. Raises `S3Unavailable` or `ClientError`."""
    with _explaining():
        client().put_object(Bucket=bucket(), Key=key, Body=body, ContentType=content_type)


def put_once(key: str, body: bytes, content_type: str = "application/x-ndjson") -> None:
    """Writes the object if there is none. The same bytes are the same result; others are a conflict.

    Raises `contract.ResultConflict`, `S3Unavailable` or botocore's `ClientError`.
    """
    if not put_new(key, body, content_type) and read(key) != body:
        raise ResultConflict(f"expected no object or the same one at s3://{bucket()}/{key}, found other bytes")


def put_new(key: str, body: bytes, content_type: str) -> bool:
    """Writes the object if there is none; whether there was none. Raises `S3Unavailable` or `ClientError`.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
    """
    with _explaining():
        try:
            client().put_object(Bucket=bucket(), Key=key, Body=body, ContentType=content_type, IfNoneMatch="*")
        except ClientError as error:
            if code_of(error) != "PreconditionFailed":
                raise
            return False
    return True


@contextmanager
def _explaining() -> Generator[None, None, None]:
    """Gives what S3 answers, or fails to, the names that this module has for it."""
    try:
        yield
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
