"""Records that lie in S3 as one JSON object each."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

from botocore.exceptions import ClientError

from lambda_src import contract, storage
from lambda_src.contract import Json, RejectedRecord


def records(keys: list[str]) -> list[Json | RejectedRecord]:
    """The record in each object, or why there is none. Raises `storage.S3Unavailable` and `ClientError`."""
    with ThreadPoolExecutor(max_workers=storage.THREADS) as threads:
        return list(threads.map(record, keys))


def record(key: str) -> Json | RejectedRecord:
    """The JSON value in one object under `contract.INCOMING`, or why it is of no use.

    The reasons: `ObjectNotReadable`, `RecordTooLarge`, `NotJson`.
    """
    if not key.startswith(contract.INCOMING):
        return RejectedRecord(
            "ObjectNotReadable", f"expected a key under {contract.INCOMING}, received {contract.brief(key)}"
        )
    limit = contract.MAX_RECORD_BYTES
    try:
        body = storage.read(key, f"bytes=0-{limit}")  # one byte more than it may have
    except ClientError as error:
        if storage.code_of(error) in storage.UNREADABLE:
            return RejectedRecord(
                "ObjectNotReadable", f"expected an object at {contract.brief(key)}, found none to read"
            )
        if storage.code_of(error) != "InvalidRange":
            raise
        body = b""  # no range of an empty object can be had
    if len(body) > limit:
        return RejectedRecord("RecordTooLarge", f"expected at most {limit} bytes in {contract.brief(key)}, found more")
    try:
        return json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError) as problem:
        return RejectedRecord(
            "NotJson", f"expected JSON in {contract.brief(key)}, received {len(body)} bytes: {problem}"
        )
