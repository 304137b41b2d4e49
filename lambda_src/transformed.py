"""What the Map Runs of a job in mode transform add up to: one prepares batches, two store what became of them."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any

from lambda_src import storage
from lambda_src.contract import PARTS_STORED, REFUSED_STORED, Json, SummaryMismatch, run_label
from lambda_src.tally import (
    NOT_STARTED,
    Counted,
    Stored,
    Tally,
    error_of,
    manifest_of,
    no_manifest,
    rows,
    stored_of,
)


@dataclass
class _Count:
    """Of batches that were not prepared, the error and the number of records, by the first one's index."""

    tally: Tally = field(default_factory=Tally)
    lost: dict[int, tuple[str, int]] = field(default_factory=dict)
    sent_again: int = 0

    def prepared(self, files: dict[str, Json]) -> int:
        """How many batches were prepared."""
        for child in rows(files.get("FAILED", [])):
            items = json.loads(child["Input"])["Items"]
            self.lost[items[0]["index"]] = error_of(child), len(items)
        return sum(1 for _ in rows(files.get("SUCCEEDED", [])))

    def add(self, files: dict[str, Json], prefix: str) -> int:
        """Adds what a run stored; returns how many batches it did that for."""
        done = 0
        for child in rows(files.get("SUCCEEDED", [])):
            done += 1
            # A batch whose preparation succeeded, and only its answer was lost, is stored all the same.
            self.lost.pop(child["first"], None)
            if "again" in child:
                self.sent_again += 1
            else:
                self.tally.add_child(child)
        with ThreadPoolExecutor(max_workers=storage.THREADS) as threads:
            unsuccessful = rows(files.get("FAILED", []))
            while children := list(islice(unsuccessful, storage.THREADS)):
                found = threads.map(partial(_part_of, prefix), children)
                for child, (first, received, stored) in zip(children, found, strict=True):
                    self.lost.pop(first, None)
                    self.tally.add_unsuccessful(error_of(child), received, stored)
        return done


def counted(job: dict[str, Json], runs: list[dict[str, Json]], *, failed: bool) -> Counted:
    """What all Map Runs of the job add up to; `failed` is whether the job has, so that records may be left over.

    Raises `SummaryMismatch` when a run's results are not as many as it counted, or an outcome is missing.
    """
    by_label = {run_label(run["MapRunArn"]): run for run in runs}
    storing = [by_label.pop(label) for label in (PARTS_STORED, REFUSED_STORED) if label in by_label]
    if not by_label:
        return {}, {}, Tally()
    (records,) = by_label.values()
    count = _Count()
    for run in (records, *storing):
        manifest = manifest_of(job, run)
        files = manifest.get("ResultFiles", {})
        found = count.prepared(files) if run is records else count.add(files, job["prefix"])
        succeeded = run["ExecutionCounts"]["Succeeded"]
        if found != succeeded:
            why = "" if manifest else f"; {no_manifest(job, run)}"
            label = run_label(run["MapRunArn"])
            raise SummaryMismatch(f"expected the results of {succeeded} batches of {label}, found {found}{why}")
    tally = count.tally
    for error, number in count.lost.values():
        tally.failed[error] += number
    total = records["ItemCounts"]["Total"]
    missing = total - tally.predicted - tally.rejected.total() - tally.failed.total()
    if missing < 0 or (missing and not failed):
        raise SummaryMismatch(
            f"expected one outcome of each of {total} records, counted {tally}; {count.sent_again} batches went to "
            "the model again"
        )
    tally.failed[NOT_STARTED] += missing
    return records, manifest_of(job, records), tally


def _part_of(prefix: str, child: dict[str, Json]) -> tuple[int, int, Stored]:
    """Of a batch that could not be stored the first index, the number of its records, and what of them was stored."""
    part: dict[str, Any] = json.loads(storage.read(json.loads(child["Input"])["key"]))
    received = len(part["ids"]) + len(part["rejected"])
    return part["first"], received, stored_of(prefix, part["first"])
