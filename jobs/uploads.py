"""Puts data sets into the data bucket, and never over anything that lies there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import ClientError

from jobs.errors import CommandError, code_of
from jobs.objects import ahead, keys
from jobs.stack import Stack
from lambda_src.contract import SUBMITTED

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

Advance = Callable[[int], None]
"""Told the bytes that have been sent since it was told last."""


def incoming_prefix(job: str) -> str:
    """Where a job's data set is uploaded to."""
    return f"{SUBMITTED}{job}/"


def upload_file(stack: Stack, path: Path, key: str, advance: Advance) -> None:
    """Uploads a file, in parts when it is large. Raises `CommandError` when the key is taken."""
    try:
        with _new_objects_only(stack.s3):
            stack.s3.upload_file(str(path), stack.bucket, key, Callback=advance)
    except S3UploadFailedError as error:
        # The transfer manager says it in a sentence; what S3 said is behind it.
        cause = error.__cause__ or error.__context__
        if isinstance(cause, ClientError) and code_of(cause) in ("PreconditionFailed", "412"):
            raise taken(stack, key) from error
        raise (cause if isinstance(cause, ClientError) else CommandError(str(error))) from error


def put(stack: Stack, key: str, body: bytes) -> None:
    """Writes one small object. Raises `CommandError` when the key is taken."""
    try:
        stack.s3.put_object(Bucket=stack.bucket, Key=key, Body=body, IfNoneMatch="*")
    except ClientError as error:
        if code_of(error) in ("PreconditionFailed", "412"):
            raise taken(stack, key) from error
        raise


def copy(stack: Stack, bucket: str, key: str, target: str) -> None:
    """Copies one object inside S3, in parts when it is large."""
    stack.s3.copy({"Bucket": bucket, "Key": key}, stack.bucket, target)


def copy_prefix(stack: Stack, bucket: str, prefix: str, target: str) -> int:
    """Copies every object under a prefix; the names behind it, and so the order, stay. Returns how many."""
    found = 0
    for _ in ahead(
        lambda key: copy(stack, bucket, key, target + key.removeprefix(prefix)), keys(stack.s3, bucket, prefix)
    ):
        found += 1
    return found


def taken(stack: Stack, key: str) -> CommandError:
    """What is said of a key that holds something."""
    return CommandError(f"{stack.uri(key)} exists already and was left as it is: give another --name")


@contextmanager
def _new_objects_only(s3: S3Client) -> Iterator[None]:
    """Inside it, what the client writes must be new: the transfer manager passes no IfNoneMatch on.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
    """
    events: Any = s3.meta.events
    names = [f"provide-client-params.s3.{operation}" for operation in ("PutObject", "CompleteMultipartUpload")]
    for name in names:
        events.register(name, _if_none_match)
    try:
        yield
    finally:
        for name in names:
            events.unregister(name, _if_none_match)


def _if_none_match(params: dict[str, Any], **_: Any) -> dict[str, Any]:
    return {**params, "IfNoneMatch": "*"}
