"""StorePart: stores what a transform job made of a batch, or sends the batch's records to another, one by one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from botocore.exceptions import ClientError

from lambda_src import contract, storage
from lambda_src.contract import AGAIN, FIRST, Item, Json, RejectedRecord
from lambda_src.pairing import paired
from lambda_src.prepare_part import write
from lambda_src.store_results import stored

NOT_JSON = "the model answered something else than JSON with a list of predictions"

MOST_UNPROVEN = 64
"""How many batches the model may refuse, when it has taken none, for it to be asked about their records."""


class TransformFailed(RuntimeError):
    """Nothing came out of a transform job: it did not run, or the model takes nothing. No record is to blame."""


def handler(event: Json, context: object) -> dict[str, Any]:
    """What `store_results` gives of the batch, once all is stored; or `{"first", "again": key}`.

    The event is `{"prefix", "key", "attempt", "reason", "job"}`: where the results go, the batch's object under
    `parts/` (see `prepare_part`), which of the two transform jobs has ended, why it failed (or nothing), and
    whether this is a batch of a job, or else a request. SageMaker leaves no answer to an object that the model did
    not take, and goes on with the others: https://docs.aws.amazon.com/sagemaker/latest/dg/batch-transform-errors.html
    Of a batch without an answer `again` says that its records lie ready for the second transform job, where each is
    an object. One without an answer there is rejected.
    Raises `TransformFailed`, `contract.PredictionCountMismatch`, `contract.ResultConflict`, `storage.S3Unavailable`,
    or botocore's `ClientError` for what no retry cures.
    """
    part = json.loads(storage.read(event["key"]))
    folder, name = event["key"].split("/parts/")
    rows: list[dict[str, Json]] = []
    refused: list[dict[str, Json]] = []
    calls = 0
    if event["attempt"] == FIRST and part["ids"]:
        calls = 1
        answer = answer_at(f"{folder}/out/{name}.out")
        if answer is None:
            return send_again(event, part, name)
        rows = paired(part["ids"], part["indexes"], answer)
    elif part["ids"]:
        calls = 1 + len(part["ids"])
        rows, refused = one_by_one(folder, name, part, event["reason"])
    rejected = sorted([*part["rejected"], *refused], key=lambda line: int(line["index"]))
    counts = {"calls": calls, "retries": []} if event["job"] else {}
    return stored({"prefix": event["prefix"], **counts}, rows, rejected)


def answer_at(key: str) -> dict[str, Json] | None:
    """The model's answer in an output object (see `lambda_src.pairing`); None where there is none that can be read."""
    try:
        body = storage.read(key)
    except ClientError as error:
        # To a role that may not list the whole bucket S3 says the same of an object that it may not read.
        if storage.code_of(error) not in storage.UNREADABLE or key in storage.listed(key, 1):
            raise
        return None
    try:
        said = json.loads(body, parse_constant=_not_json)
        return {"predictions": said["predictions"], "version": said.get("version"), "variant": contract.PRODUCTION}
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _not_json(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def send_again(event: dict[str, Json], part: dict[str, Json], name: str) -> dict[str, Json]:
    """Writes the batch's instances for the second transform job, each as an object of its own.

    With them goes an instance of a batch that the model took, where there is one: what shows that the job ran.
    """
    first, again = (contract.transform_folder(event["prefix"], attempt) for attempt in (FIRST, AGAIN))
    taken = next(iter(storage.listed(f"{first}/out/", 1)), None)
    if taken is None and len(storage.listed(f"{first}/in/", MOST_UNPROVEN + 1)) > MOST_UNPROVEN:
        raise TransformFailed(
            f"expected an answer to one batch at least, received none to more than {MOST_UNPROVEN}: "
            + (event["reason"] or NOT_JSON)
        )
    bodies = dict(zip(singles(again, name, len(part["ids"])), instances(f"{first}/in/{name}"), strict=True))
    if taken is not None:
        taken_name = taken.removeprefix(f"{first}/out/").removesuffix(".out")
        bodies[f"{again}/in/taken.json"] = instances(f"{first}/in/{taken_name}")[0]
    with ThreadPoolExecutor(max_workers=storage.THREADS) as threads:
        list(threads.map(lambda it: write(it[0], {"instances": [it[1]]}), bodies.items()))
    write(f"{again}/parts/{name}", part)  # last, as in `prepare_part`
    print(f"the model refused {len(part['ids'])} records together; they go to it one by one")
    return {"first": part["first"], "again": f"{again}/parts/{name}"}


def instances(key: str) -> list[Json]:
    """What the model was sent."""
    return list(json.loads(storage.read(key))["instances"])


def singles(folder: str, name: str, count: int) -> Iterator[str]:
    """The keys of a batch's instances, each by its position."""
    return (f"{folder}/in/{name.removesuffix('.json')}-{position:06d}.json" for position in range(count))


def one_by_one(
    folder: str, name: str, part: dict[str, Json], reason: str
) -> tuple[list[dict[str, Json]], list[dict[str, Json]]]:
    """The predictions of a batch's records, and the rejections of those that have no answer.

    Raises `TransformFailed` when nothing at all came out of the job.
    """
    out = f"{folder}/out/"
    there = set(storage.listed(f"{out}{name.removesuffix('.json')}-", len(part["ids"])))
    if not there and not storage.listed(out, 1):
        raise TransformFailed(f"expected an answer to one record at least, received none: {reason}")
    keys = [key.replace("/in/", "/out/") + ".out" for key in singles(folder, name, len(part["ids"]))]
    with ThreadPoolExecutor(max_workers=storage.THREADS) as threads:
        answers = list(threads.map(lambda key: answer_at(key) if key in there else None, keys))
    rows: list[dict[str, Json]] = []
    refused: list[dict[str, Json]] = []
    for position, (key, answer) in enumerate(zip(keys, answers, strict=True)):
        one = slice(position, position + 1)
        if answer is None:
            refused.append(refusal(part, position, NOT_JSON if key in there else reason or NOT_JSON))
        else:
            rows += paired(part["ids"][one], part["indexes"][one], answer)
    return rows, refused


def refusal(part: dict[str, Json], position: int, cause: str) -> dict[str, Json]:
    """The line of a record that the model refused twice: in its batch, and alone."""
    item = Item(part["indexes"][position], part["records"][position])
    reason = RejectedRecord("ModelRefused", cause)
    return contract.rejection(item, part["ids"][position], "predict", reason, attempts=2)
