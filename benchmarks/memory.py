"""The embedded AWS's memory during a job of 100,000 records and one of 1,000,000, without what S3 itself holds."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from benchmarks import data
from benchmarks.job import Deployed, deployed

SIZES = (100_000, 1_000_000)
BATCH = 100
CONCURRENCY = 8
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Measured:
    """One job: bytes of memory at its highest, of all processes, and of the objects in the data bucket after it."""

    records: int
    seconds: float
    peak: int
    objects: int
    summary: dict[str, int]

    @property
    def own(self) -> int:
        """The memory without the objects."""
        return self.peak - self.objects


def compare(folder: Path) -> list[Measured]:
    """Each size in an embedded AWS of its own."""
    return [_measure(records, folder / str(records)) for records in SIZES]


def _measure(records: int, folder: Path) -> Measured:
    folder.mkdir()
    with deployed(folder) as on:
        on.run(on.upload(data.write(folder / "warm.csv", 2_000)), batchSize=BATCH, maxConcurrency=CONCURRENCY)
        file = data.write(folder / "data.csv", records)
        key = on.upload(file)
        file.unlink()
        with _Peak(on.process) as peak:
            seconds, summary = on.run(key, batchSize=BATCH, maxConcurrency=CONCURRENCY)
        found = Measured(records, seconds, peak.bytes, _objects(on), summary["records"])
    print(
        f"{records:9} records: {found.peak >> 20} MiB, S3 {found.objects >> 20} MiB, {seconds:.0f} s", file=sys.stderr
    )
    return found


def _objects(on: Deployed) -> int:
    """Bytes in the data bucket."""
    pages = on.account.client("s3").get_paginator("list_objects_v2").paginate(Bucket=on.bucket)
    return sum(entry["Size"] for page in pages for entry in page.get("Contents", []))


class _Peak:
    """The highest resident memory of a process and its descendants, looked at five times a second."""

    def __init__(self, process: int) -> None:
        self.bytes = 0
        self._process = process
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> _Peak:
        self._thread.start()
        return self

    def __exit__(self, *_problem: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(0.2):
            self.bytes = max(self.bytes, sum(_resident(process) for process in _family(self._process)))


def _family(process: int) -> list[int]:
    children = defaultdict(list)
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(file.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children[parent].append(int(file.parts[2]))
    family, ahead = [], [process]
    while ahead:
        family.append(ahead.pop())
        ahead.extend(children[family[-1]])
    return family


def _resident(process: int) -> int:
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * _PAGE
    except OSError:
        return 0


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        rows = compare(Path(name))
    print(json.dumps([{**row.__dict__, "own": row.own} for row in rows], indent=2))
