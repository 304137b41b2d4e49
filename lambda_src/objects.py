"""Records that lie in S3 as one JSON object each."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor

from botocore.exceptions import ClientError

from lambda_src import contract, storage
from lambda_src.contract import InvalidRequest, Json, RejectedRecord


class Together:
    """How much the records of one batch weigh, and may weigh."""

    def __init__(self, most: int) -> None:
        self._most, self._left, self._lock = most, most, threading.Lock()

    def add(self, count: int) -> None:
        """Takes bytes down. Raises `InvalidRequest` when they are too many."""
        with self._lock:
            self._left -= count
            if self._left < 0:
                raise InvalidRequest(
                    f"expected at most {self._most} bytes in the objects of one batch, received more: submit the job "
                    "with a smaller batch size"
                )


def records(keys: list[str], mode: str = contract.DEFAULT_MODE) -> list[Json | RejectedRecord]:
    """The record in each object, or why there is none, within the mode's limit.

    Raises `contract.InvalidRequest` for a batch too large for it, `storage.S3Unavailable` and `ClientError`.
    """
    together = None if contract.RECORD_BYTES[mode] <= contract.MAX_RECORD_BYTES else Together(contract.TOGETHER_BYTES)
    with ThreadPoolExecutor(max_workers=storage.THREADS) as threads:
        return list(threads.map(lambda key: record(key, mode, together), keys))


def record(key: str, mode: str, together: Together | None) -> Json | RejectedRecord:
    """The JSON value in one object under `contract.INCOMING`, or why it is of no use.

    The reasons: `ObjectNotReadable`, `RecordTooLarge`, `NotJson`.
    """
    if not key.startswith(contract.INCOMING):
        return RejectedRecord(
            "ObjectNotReadable", f"expected a key under {contract.INCOMING}, received {contract.brief(key)}"
        )
    limit = contract.RECORD_BYTES[mode]
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
        return RejectedRecord(
            "RecordTooLarge", f"expected at most {limit} bytes in {contract.brief(key)}, found more{elsewhere(limit)}"
        )
    if together is not None:
        together.add(len(body))
    try:
        return json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError) as problem:
        return RejectedRecord(
            "NotJson", f"expected JSON in {contract.brief(key)}, received {len(body)} bytes: {problem}"
        )


def elsewhere(limit: int) -> str:
    """Which modes take a larger record than `limit` bytes."""
    larger = {mode: most for mode, most in contract.RECORD_BYTES.items() if most > limit}
    if not larger:
        return "; no mode takes a larger one: keep what is large in S3, and its address in the record"
    return f"; mode {' and '.join(larger)} takes up to {min(larger.values())} bytes"
