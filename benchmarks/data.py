"""Data sets of any size, made from the example records: the same values over and over, each record with its own id."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterator
from pathlib import Path

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "records.csv"


def write(path: Path, records: int) -> Path:
    """A CSV file of that many records."""
    with EXAMPLE.open(newline="") as source, path.open("w", newline="") as target:
        header, *rows = csv.reader(source)
        writer = csv.writer(target, lineterminator="\n")
        writer.writerow(header)
        for number, row in enumerate(itertools.islice(itertools.cycle(rows), records)):
            writer.writerow([f"record-{number:09d}", *row[1:]])
    return path


def instances(size: int) -> Iterator[list[list[float]]]:
    """Batches of instances as the model takes them, without end."""
    with EXAMPLE.open(newline="") as source:
        _, *rows = csv.reader(source)
    endless = itertools.cycle([[float(value) for value in row[1:]] for row in rows])
    while True:
        yield list(itertools.islice(endless, size))
