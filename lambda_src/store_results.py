"""StoreResults: writes one batch's predictions and rejected records to S3, each exactly once."""

from __future__ import annotations

from collections import Counter
from typing import Any, Literal

from lambda_src import contract, earlier, metrics, storage
from lambda_src.contract import Json
from lambda_src.pairing import paired
from lambda_src.splitting import joined


def handler(event: Json, context: object) -> dict[str, Any]:
    """`{"results": "s3://bucket/key" or null, "predicted": count, "rejected": [...]}` once all is stored.

    The event is `{"prefix", "ids", "indexes", "answer", "split", "rejected"}`; `answer` is the model's (see
    `lambda_src.pairing`); `split` is false, or, when the model refused the batch, its parts (see
    `lambda_src.splitting`), and `answer` has no predictions then. In a job it has `calls` and `retries` too, and the
    answer is small, as the Map Run keeps it for the summary:
    `{"first", "received", "predicted", "rejected": {error: count}, "calls", "retries"}`.
    The key comes from the prefix and the batch's first index, so that a second run of the same batch finds its
    own results and leaves them.
    Raises `contract.PredictionCountMismatch`, `contract.ResultConflict`, `storage.S3Unavailable`, or botocore's
    `ClientError` for what no retry cures.
    """
    rejected = event["rejected"]
    if event.get("split"):
        rows, refused = joined(event["split"], event["ids"], event["indexes"])
        rejected = sorted([*rejected, *refused], key=lambda line: int(line["index"]))
    else:
        rows = paired(event["ids"], event["indexes"], event["answer"])
    return stored(event, rows, rejected)


def stored(event: dict[str, Json], rows: list[dict[str, Json]], rejected: list[dict[str, Json]]) -> dict[str, Any]:
    """What `handler` gives, once these are stored; of the event are its `prefix`, and `calls` and `retries` if any.

    Where an earlier run has stored what another model made of them, that stands, and is what is told.
    """
    prefix, first = event["prefix"], min(row["index"] for row in [*rows, *rejected])
    try:
        uri = store(prefix, "predictions", first, rows)
        store(prefix, "rejected", first, rejected)
    except contract.ResultConflict:
        if (found := earlier.results(prefix, first, rows, rejected)) is None:
            raise
        rows, rejected = found
        uri = address(prefix, "predictions", first) if rows else None
    print(f"stored {len(rows)} predictions and {len(rejected)} rejected records")
    if "calls" not in event:
        metrics.publish_request(len(rows), len(rejected))
        return {"results": uri, "predicted": len(rows), "rejected": rejected}
    return {
        "first": first,
        "received": len(rows) + len(rejected),
        "predicted": len(rows),
        "rejected": dict(Counter(line["error"] for line in rejected)),
        "calls": event["calls"],
        "retries": sum(event["retries"]),
    }


def store(prefix: str, kind: Literal["predictions", "rejected"], first: int, rows: list[dict[str, Json]]) -> str | None:
    """The rows as JSON Lines at their key, whose `s3://` URI is returned; no rows leave no object."""
    if not rows:
        return None
    storage.put_once(contract.part_key(prefix, kind, first), contract.json_lines(rows))
    return address(prefix, kind, first)


def address(prefix: str, kind: Literal["predictions", "rejected"], first: int) -> str:
    """The `s3://` URI of a batch's results."""
    return f"s3://{storage.bucket()}/{contract.part_key(prefix, kind, first)}"
