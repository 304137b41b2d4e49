"""PreparePart: Preprocess for a transform job, which finds in S3 what the model is to be sent."""

from __future__ import annotations

import json
from typing import Any

from lambda_src import contract, preprocess, storage
from lambda_src.contract import FIRST, Json


def handler(event: Json, context: object) -> dict[str, Any]:
    """`{"key", "any"}` once the request or batch is prepared, and lies in S3 in two objects of one name.

    The event is `{"request", "prefix"}`: what Preprocess takes, and where the results will lie. Under `in/` is the
    body that the model is sent, where there are any instances; under `parts/`, at `key`, what puts its answer to the
    records again: `{"first", "ids", "indexes", "records", "rejected"}`, the first four of the prepared ones.
    Raises what Preprocess raises, and `storage.S3Unavailable`.
    """
    items = contract.items_of(event["request"])
    prepared = preprocess.prepared_in("transform", event["request"])
    values = {item.index: item.value for item in items}
    part = {
        "first": items[0].index,
        "ids": prepared["ids"],
        "indexes": prepared["indexes"],
        "records": [values[index] for index in prepared["indexes"]],
        "rejected": prepared["rejected"],
    }
    folder, name = contract.transform_folder(event["prefix"], FIRST), f"part-{items[0].index:012d}.json"
    # The second comes last: a batch that has none is not stored, and its records have failed.
    if prepared["ids"]:
        write(f"{folder}/in/{name}", {"instances": prepared["instances"]}, contract.TOGETHER_BYTES)
    write(f"{folder}/parts/{name}", part)
    return {"key": f"{folder}/parts/{name}", "any": bool(prepared["ids"])}


def write(key: str, document: Json, most: int | None = None) -> None:
    """The document as JSON, in the place of what an earlier try left: all that a batch has is of one try.

    Raises `contract.InvalidRequest` where it is more than `most` bytes.
    """
    body = json.dumps(document, separators=(",", ":")).encode()
    if most is not None and len(body) > most:
        raise contract.InvalidRequest(
            f"expected instances of at most {most} bytes in one batch, received {len(body)}: submit the job with a "
            "smaller batch size"
        )
    storage.put(key, body, "application/json")
