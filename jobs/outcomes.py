"""What became of each record of a job, read from what the job left in S3, in the order of the data set.

Memory stays the same for any number of records: parts are read one after the other, and the records of failed
batches, whose files are in the order in which they failed, are sorted in a temporary database.
"""

from __future__ import annotations

import heapq
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

from jobs.objects import ahead, keys, read, text_of
from jobs.records import READ_CHARACTERS, Record, json_array, json_lines
from jobs.text import parsed
from lambda_src.contract import Json, job_prefix, map_prefix, read_json_lines

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

Kind = Literal["predicted", "rejected", "failed"]
_RANK: dict[Kind, int] = {"predicted": 0, "rejected": 1, "failed": 2}


MAKER = ("variant", "modelVersion")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the record at `index`. `prediction` is of the predicted, `error` and `cause` of the others.

    `maker` says of a prediction which `variant` and `modelVersion` made it, where they are known.
    """

    index: int
    kind: Kind
    prediction: Json = None
    error: str = ""
    cause: str = ""
    maker: Mapping[str, str] | None = None


def outcomes(s3: S3Client, bucket: str, job: str) -> Iterator[Outcome]:
    """One outcome for each index that has any. A stored prediction counts, whatever its batch ended in."""
    rejected = (
        Outcome(row["index"], "rejected", None, row["error"], row["cause"])
        for row in in_order(_parts(s3, bucket, f"{job_prefix(job)}/rejected/"))
    )
    return merged(predictions(s3, bucket, job), rejected, sorted_on_disk(_failed(s3, bucket, job)))


def predictions(s3: S3Client, bucket: str, job: str) -> Iterator[Outcome]:
    """The outcomes of the records that were predicted."""
    for row in in_order(_parts(s3, bucket, f"{job_prefix(job)}/predictions/")):
        maker = {name: row[name] for name in MAKER if name in row}
        yield Outcome(row["index"], "predicted", row["prediction"], maker=maker)


def merged(*streams: Iterable[Outcome]) -> Iterator[Outcome]:
    """Streams that are each in order as one; of several outcomes of an index the best."""
    last = -1
    for outcome in heapq.merge(*streams, key=lambda found: (found.index, _RANK[found.kind])):
        if outcome.index != last:
            last = outcome.index
            yield outcome


def joined(records: Iterable[Record], found: Iterator[Outcome]) -> Iterator[tuple[Record, Outcome | None]]:
    """Each record with its outcome; None for those that have none yet."""
    outcome = next(found, None)
    for record in records:
        while outcome is not None and outcome.index < record.index:
            outcome = next(found, None)
        yield record, outcome if outcome is not None and outcome.index == record.index else None


def in_order(parts: Iterable[tuple[int, bytes]]) -> Iterator[dict[str, Json]]:
    """The rows of parts by index. A part comes with the smallest index it holds, and parts come by that index.

    Batches need not be neighbours in the data set: only rows that a later part may precede are kept back.
    """
    waiting: list[tuple[int, int, dict[str, Json]]] = []
    number = 0
    for first, body in parts:
        while waiting and waiting[0][0] < first:
            yield heapq.heappop(waiting)[2]
        for row in read_json_lines(body):
            number += 1
            heapq.heappush(waiting, (row["index"], number, row))
    while waiting:
        yield heapq.heappop(waiting)[2]


def _parts(s3: S3Client, bucket: str, prefix: str) -> Iterator[tuple[int, bytes]]:
    for key, body in ahead(lambda key: read(s3, bucket, key), keys(s3, bucket, prefix)):
        first = key.removeprefix(f"{prefix}part-").removesuffix(".jsonl")
        if first.isdecimal() and body is not None:
            yield int(first), body


@dataclass(frozen=True, slots=True)
class FailedBatch:
    """The records of one child execution that failed, and why."""

    indexes: list[int]
    error: str
    cause: str


def sorted_on_disk(batches: Iterable[FailedBatch]) -> Iterator[Outcome]:
    """The records of failed batches by index."""
    # An empty name is a database in a temporary file of SQLite's own: https://www.sqlite.org/inmemorydb.html
    database = sqlite3.connect("")
    try:
        database.execute("CREATE TABLE batch (number INTEGER PRIMARY KEY, error TEXT, cause TEXT)")
        database.execute("CREATE TABLE record (place INTEGER PRIMARY KEY, number INTEGER)")
        for number, batch in enumerate(batches):
            database.execute("INSERT INTO batch VALUES (?, ?, ?)", (number, batch.error, batch.cause))
            rows = ((index, number) for index in batch.indexes)
            database.executemany("INSERT OR REPLACE INTO record VALUES (?, ?)", rows)
        for index, error, cause in database.execute(
            "SELECT place, error, cause FROM record JOIN batch USING (number) ORDER BY place"
        ):
            yield Outcome(index, "failed", None, error, cause)
    finally:
        database.close()


def _failed(s3: S3Client, bucket: str, job: str) -> Iterator[FailedBatch]:
    """The batches in the FAILED files that the ResultWriter's manifests name."""
    for key in keys(s3, bucket, f"{map_prefix(job)}/"):
        if not key.endswith("/manifest.json"):
            continue
        manifest = json.loads(read(s3, bucket, key) or b"{}")
        for file in manifest.get("ResultFiles", {}).get("FAILED", []):
            text = text_of(s3, bucket, file["Key"])
            array = file["Key"].endswith(".json")
            rows = json_array(partial(text.read, READ_CHARACTERS)) if array else json_lines(text)
            yield from (failed_batch(row, lambda key: read(s3, bucket, key)) for _, row in rows)


def failed_batch(row: dict[str, Json], read_part: Callable[[str], bytes | None]) -> FailedBatch:
    """A line of a FAILED file: the child execution as DescribeExecution tells it, in PascalCase.

    In mode transform the child's input names the object that tells of the batch, which lasts for days.
    https://docs.aws.amazon.com/step-functions/latest/dg/input-output-resultwriter.html
    """
    try:
        given = parsed(row.get("Input") or "{}")
        items = given.get("Items", [])
        if "key" in given:
            part = parsed((read_part(given["key"]) or b"{}").decode())
            items = [*part.get("rejected", []), *({"index": index} for index in part.get("indexes", []))]
    except ValueError:
        items = []
    status = str(row.get("Status") or "FAILED")
    error = str(row.get("Error") or {"TIMED_OUT": "States.Timeout", "ABORTED": "Aborted"}.get(status, status))
    return FailedBatch([item["index"] for item in items], error, readable_cause(str(row.get("Cause") or "")))


def readable_cause(cause: str) -> str:
    """The sentence in a cause: of a failed Lambda function AWS gives a whole document."""
    try:
        document = parsed(cause)
    except ValueError:
        return cause
    return str(document["errorMessage"]) if isinstance(document, dict) and "errorMessage" in document else cause
