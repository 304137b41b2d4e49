"""Objects in S3 read as streams: nothing here holds a whole data set."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import ClientError

from jobs.errors import CommandError, code_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

RANGE_BYTES = 8 * 1024 * 1024
AHEAD = 24
"""Small objects that are fetched while earlier ones are worked on."""

_T = TypeVar("_T")
_R = TypeVar("_R")


class ObjectStream(io.RawIOBase):
    """An object's bytes, a range at a time, so that a slow reader holds no connection open.

    Raises `CommandError` when the object is not there or changes on the way.
    """

    def __init__(self, s3: S3Client, bucket: str, key: str, version: str | None = None) -> None:
        super().__init__()
        self._s3, self._bucket, self._key = s3, bucket, key
        self._version = {"VersionId": version} if version else {}
        head = found(s3, bucket, key, version)
        if head is None:
            raise CommandError(f"there is no object s3://{bucket}/{key}: check the bucket and the key")
        self.size: int = head["ContentLength"]
        self._etag: str = head["ETag"]
        self._next = 0
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        if not self._rest and self._next < self.size:
            self._rest = memoryview(self._fetch())
        taken = min(len(buffer), len(self._rest))
        buffer[:taken] = self._rest[:taken]
        self._rest = self._rest[taken:]
        return taken

    def _fetch(self) -> bytes:
        last = min(self._next + RANGE_BYTES, self.size) - 1
        try:
            answer = self._s3.get_object(
                Bucket=self._bucket,
                Key=self._key,
                Range=f"bytes={self._next}-{last}",
                IfMatch=self._etag,
                **self._version,  # type: ignore[arg-type]  # the stub cannot follow **
            )
        except ClientError as error:
            if code_of(error) in ("PreconditionFailed", "412"):
                raise CommandError(f"s3://{self._bucket}/{self._key} changed while it was read: try again") from error
            raise
        self._next = last + 1
        return answer["Body"].read()


def text_of(s3: S3Client, bucket: str, key: str, version: str | None = None) -> io.TextIOWrapper:
    """The object as UTF-8 text whose lines end at a line feed and nowhere else."""
    stream = io.BufferedReader(ObjectStream(s3, bucket, key, version), 1024 * 1024)
    return io.TextIOWrapper(stream, "utf-8", newline="\n")


def found(s3: S3Client, bucket: str, key: str, version: str | None = None) -> dict[str, Any] | None:
    """What HeadObject tells of an object, or of a version of it; None where there is none."""
    wanted = {"VersionId": version} if version else {}
    try:
        return dict(s3.head_object(Bucket=bucket, Key=key, **wanted))  # type: ignore[arg-type]  # the stub cannot follow **
    except ClientError as error:
        if code_of(error) in ("404", "NoSuchKey", "NotFound"):
            return None
        raise


def read(s3: S3Client, bucket: str, key: str, most: int | None = None) -> bytes | None:
    """A small object's bytes, or its first `most`; None where there is none."""
    try:
        with closing(s3.get_object(Bucket=bucket, Key=key)["Body"]) as body:
            return body.read(most)
    except ClientError as error:
        if code_of(error) in ("404", "NoSuchKey"):
            return None
        raise


def keys(s3: S3Client, bucket: str, prefix: str) -> Iterator[str]:
    """The keys under a prefix in S3's order, all pages of them."""
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for entry in page.get("Contents", []):
            yield entry["Key"]


def ahead(work: Callable[[_T], _R], given: Iterable[_T]) -> Iterator[tuple[_T, _R]]:
    """Each given thing with its result, in order; a bounded number are worked on at once."""
    waiting: deque[tuple[_T, Future[_R]]] = deque()
    with ThreadPoolExecutor(AHEAD, thread_name_prefix="jobs") as pool:
        try:
            for thing in given:
                waiting.append((thing, pool.submit(work, thing)))
                if len(waiting) == AHEAD:
                    first, future = waiting.popleft()
                    yield first, future.result()
            while waiting:
                first, future = waiting.popleft()
                yield first, future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
