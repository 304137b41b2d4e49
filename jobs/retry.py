"""Retry: the records of a job that were not predicted, as the data set of a new job.

Records keep their ids: one that has none gets the id that the first job derived from its place and content.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from jobs import names, uploads
from jobs.errors import CommandError
from jobs.job import Job
from jobs.outcomes import Outcome, joined, outcomes
from jobs.records import Record
from jobs.results import check_unchanged
from jobs.stack import Stack
from lambda_src.contract import Item, Json, derived_id


@dataclass
class Choice:
    """Records by whether they are run again, and why."""

    predicted: int = 0
    rejected: int = 0
    failed: int = 0
    missing: int = 0

    @property
    def again(self) -> int:
        return self.rejected + self.failed + self.missing

    def document(self) -> dict[str, int]:
        return {"predicted": self.predicted, "again": self.again, "rejected": self.rejected} | {
            "failed": self.failed,
            "missing": self.missing,
        }


def check_may_retry(job: Job) -> None:
    """Raises `CommandError` when there can be nothing to run again, or not yet."""
    if job.running:
        raise CommandError(f"job {job.id} is still running: wait for it, or python -m jobs stop {job.id}")
    if job.error == "InvalidJob":
        raise CommandError(f"job {job.id} never began: {job.cause}; correct that and submit the data set again")


def not_predicted(pairs: Iterable[tuple[Record, Outcome | None]], choice: Choice) -> Iterator[Record]:
    """The records without a prediction, in order; `choice` counts all that pass."""
    for record, outcome in pairs:
        kind = outcome.kind if outcome else "missing"
        setattr(choice, kind, getattr(choice, kind) + 1)
        if kind != "predicted":
            yield record


def write(stack: Stack, job: Job, new: str, folder: Path, advance: uploads.Advance) -> tuple[dict[str, Json], Choice]:
    """Uploads what was not predicted as the new job's data set; returns the input's `dataset`, and the counts.

    Nothing is uploaded when all was predicted. `folder` is a local one for a file in the making.
    """
    data_set, choice = job.data_set(stack), Choice()
    check_unchanged(job, data_set)
    columns, records = data_set.read()
    chosen = not_predicted(joined(records, outcomes(stack.s3, stack.bucket, job.id)), choice)
    prefix = uploads.incoming_prefix(new)
    if data_set.format == "objects":
        for record in chosen:
            key = f"{prefix}{record.index:012d}-{names.file_name(record.key.rpartition('/')[2])}"
            if (text := with_id(record)) is record.text:
                uploads.copy(stack, stack.bucket, record.key, key)
            else:
                uploads.put(stack, key, text.encode())
        return {"prefix": prefix}, choice
    writers: dict[str, Callable[[TextIO, Iterable[Record]], None]] = {
        "csv": lambda file, rows: write_csv(file, columns, rows),
        "jsonl": write_json_lines,
        "json": write_json_array,
    }
    path = folder / "data-set"  # a key may end in what is no file's name here
    with path.open("w", encoding="utf-8", newline="") as file:
        writers[data_set.format](file, chosen)
    key = prefix + names.file_name(data_set.place.rpartition("/")[2])
    if choice.again:
        uploads.upload_file(stack, path, key, advance)
    return {"key": key}, choice


def write_csv(file: TextIO, columns: list[str], records: Iterable[Record]) -> None:
    """Records as the job's CSV reader takes them, every cell quoted and backslashes escaped."""
    names = columns if "id" in columns else [*columns, "id"]
    writer = csv.writer(file, quoting=csv.QUOTE_ALL, escapechar="\\", lineterminator="\n")
    writer.writerow(names)
    for record in records:
        value = {**record.value, "id": record.value.get("id") or derived_id(Item(record.index, record.value))}
        writer.writerow([value[name] for name in names])


def write_json_lines(file: TextIO, records: Iterable[Record]) -> None:
    """Records as JSON Lines, byte for byte as they were where they have an id."""
    for record in records:
        file.write(with_id(record) + "\n")


def write_json_array(file: TextIO, records: Iterable[Record]) -> None:
    """Records as one JSON array."""
    before = "[\n"
    for record in records:
        file.write(before + with_id(record))
        before = ",\n"
    file.write("[]" if before == "[\n" else "\n]")


def with_id(record: Record) -> str:
    """The record's own JSON text, with an `id` where it has none. What is no object can carry none."""
    value = record.value
    if not isinstance(value, dict) or value.get("id") not in (None, ""):
        return record.text
    identity = derived_id(Item(record.index, value))
    if "id" in value:  # null or empty
        try:
            return json.dumps({**value, "id": identity}, allow_nan=False)
        except (ValueError, RecursionError):  # 1e999 reads as an infinity, which has no JSON: kept as it was written
            return record.text
    body = record.text.strip().removesuffix("}").rstrip()
    return f'{body}{"," if value else ""}"id":"{identity}"}}'
