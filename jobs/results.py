"""Results: the data set of a job with what became of each record, in the data set's order and columns."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from jobs.errors import CommandError
from jobs.job import Job
from jobs.outcomes import Outcome, joined, outcomes, predictions
from jobs.records import DataSet, Record
from jobs.rows import CsvTable, columns_of, fields_of, json_row, without_surrogates
from jobs.stack import Stack

FORMATS = ("csv", "jsonl")
FIRST_PREDICTIONS = 1_000
"""How many predictions are looked at for the columns of a CSV file."""


@dataclass
class Tally:
    """Records by what became of them. `missing` have no outcome: they were not run, or not yet."""

    records: int = 0
    predicted: int = 0
    rejected: int = 0
    failed: int = 0
    missing: int = 0

    def count(self, outcome: Outcome | None) -> None:
        self.records += 1
        kind = outcome.kind if outcome else "missing"
        setattr(self, kind, getattr(self, kind) + 1)

    def document(self) -> dict[str, int]:
        return asdict(self)

    def sentence(self) -> str:
        text = f"{self.records} records: {self.predicted} predicted, {self.rejected} rejected, {self.failed} failed"
        return f"{text}, {self.missing} missing" if self.missing else text


def checked_format(given: str | None, data_set: DataSet) -> str:
    """The format to write: CSV for CSV, JSON Lines for the others, unless one is given."""
    form = given or ("csv" if data_set.format == "csv" else "jsonl")
    if form not in FORMATS:
        raise CommandError(f"--format: expected {' or '.join(FORMATS)}, received {form!r}")
    return form


def lines(stack: Stack, job: Job, form: str, tally: Tally) -> Iterator[str]:
    """The lines of the results with their ends; `tally` counts the records as they pass."""
    data_set = job.data_set(stack)
    check_unchanged(job, data_set)
    columns, records = data_set.read()
    waiting = why_missing(job)
    if form == "jsonl":
        for record, outcome in _pairs(stack, job, records, tally):
            yield json_row(record, outcome, waiting) + "\n"
        return
    if data_set.format != "csv":
        columns = columns_of(records)
        records = data_set.read()[1]
    first = islice(predictions(stack.s3, stack.bucket, job.id), FIRST_PREDICTIONS)
    table = CsvTable(columns, fields_of(first), waiting)
    yield table.header()
    for record, outcome in _pairs(stack, job, records, tally):
        yield without_surrogates(table.row(record, outcome))


def why_missing(job: Job) -> str:
    """Why a record has no outcome."""
    if job.running:
        return "not yet: the job is still running"
    return "not run: the job ended before this record"


def check_unchanged(job: Job, data_set: DataSet) -> None:
    """Raises `CommandError` when the data set is not as large as the job found it."""
    told = (job.summary or {}).get("dataset", {}).get("bytes")
    if data_set.format == "objects" or told is None:
        return
    size = data_set.size()
    if size != told:
        raise CommandError(
            f"{data_set.uri} has {size} bytes and had {told} when the job ran: "
            f"the predictions, in the job's own folder, cannot be joined to it"
        )


def _pairs(stack: Stack, job: Job, records: Iterator[Record], tally: Tally) -> Iterator[tuple[Record, Outcome | None]]:
    for record, outcome in joined(records, outcomes(stack.s3, stack.bucket, job.id)):
        tally.count(outcome)
        yield record, outcome


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[BinaryIO]:
    """A file that appears under its name when all of it is written, and not before.

    Raises `CommandError` when it cannot be written.
    """
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as problem:
        raise CommandError(f"cannot write {path}: {problem.strerror}; give another --output") from problem
    unfinished = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        unfinished.chmod(0o666 & ~_umask())
        unfinished.replace(path)
    except OSError as problem:
        raise CommandError(f"cannot write {path}: {problem.strerror}; give another --output") from problem
    finally:
        unfinished.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def document(job: Job, tally: Tally, output: Path) -> dict[str, Any]:
    """What `results --json --output FILE` tells."""
    return {"job": job.id, "status": job.status, "records": tally.document(), "output": str(output)}
