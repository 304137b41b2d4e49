"""What the result files of a Map Run add up to."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import islice

from lambda_src import contract, storage
from lambda_src.contract import Json, SummaryMismatch, brief

NOT_STARTED = "NotStarted"
"""The error that counts the records of batches that failed without one: never started, or stopped."""


COUNTED = frozenset({"first", "received", "predicted", "rejected", "calls", "retries"})
"""What StoreResults tells of a batch."""


@dataclass
class Stored:
    """What lies in S3 of one batch: predicted records, and rejected ones by error."""

    predicted: int
    rejected: Counter[str]


@dataclass
class Tally:
    """What the result files of a Map Run add up to; records, batches, model calls and retries."""

    predicted: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    kept: int = 0
    """Records of batches that failed, and whose outcome was stored before: they have not failed."""
    batches: int = 0
    calls: int = 0
    retries: int = 0

    def add_unsuccessful(self, error: str, received: int, stored: Stored) -> None:
        """Adds one batch of so many records that failed, and what it had stored of them before."""
        kept = stored.predicted + stored.rejected.total()
        self.predicted += stored.predicted
        self.rejected.update(stored.rejected)
        self.failed[error] += received - kept
        self.kept += kept

    def add_child(self, child: dict[str, Json]) -> None:
        """Adds one batch that succeeded. Raises `SummaryMismatch` when it does not add up by itself."""
        if not isinstance(child, dict) or not child.keys() >= COUNTED:
            raise SummaryMismatch(f"expected {', '.join(sorted(COUNTED))} of each batch, received {brief(child)}")
        if child["received"] != child["predicted"] + sum(child["rejected"].values()):
            raise SummaryMismatch(
                f"the batch at index {child['first']} received other records than it tells of: {child}"
            )
        self.batches += 1
        self.predicted += child["predicted"]
        self.rejected.update(child["rejected"])
        self.calls += child["calls"]
        self.retries += child["retries"]


Counted = tuple[dict[str, Json], dict[str, Json], Tally]
"""The Map Run over a job's records and its manifest, each empty where there is none, and what became of the records."""


def counted(job: dict[str, Json], map_run: dict[str, Json]) -> Counted:
    """What the job's one Map Run adds up to. Raises `SummaryMismatch`."""
    if not map_run:
        return {}, {}, Tally()
    counts = map_run["ItemCounts"]
    manifest = manifest_of(job, map_run)
    tally = tally_of(manifest, job["prefix"])
    unsuccessful = sum(counts.get(kind, 0) for kind in ("Failed", "TimedOut", "Aborted", "Pending", "Running"))
    records = {
        "in": counts.get("Total", 0),
        "predicted": tally.predicted,
        "rejected": tally.rejected.total(),
        "failed": unsuccessful - tally.kept,
    }
    try:
        _check(records, tally, map_run["ExecutionCounts"].get("Succeeded", 0))
    except SummaryMismatch as problem:
        if manifest:
            raise
        raise SummaryMismatch(f"{problem}; {no_manifest(job, map_run)}") from problem
    tally.failed[NOT_STARTED] += records["failed"] - tally.failed.total()
    return map_run, manifest, tally


def _check(records: dict[str, int], tally: Tally, succeeded: int) -> None:
    """Raises `SummaryMismatch` unless each record is predicted, rejected or failed, once."""
    if records["in"] != records["predicted"] + records["rejected"] + records["failed"]:
        raise SummaryMismatch(f"expected records in = predicted + rejected + failed, counted {records}")
    if tally.batches != succeeded:
        raise SummaryMismatch(f"expected the results of {succeeded} batches that succeeded, found {tally.batches}")
    if tally.failed.total() > records["failed"]:
        raise SummaryMismatch(f"expected {records['failed']} failed records, found {dict(tally.failed)}")


def no_manifest(job: dict[str, Json], map_run: dict[str, Json]) -> str:
    """What to say of a run that left none."""
    return f"found no manifest that can be read at s3://{job['bucket']}/{manifest_key(job, map_run)}"


def manifest_key(job: dict[str, Json], map_run: dict[str, Json]) -> str:
    """Where the ResultWriter left its manifest: in a folder named after the run.

    https://docs.aws.amazon.com/step-functions/latest/dg/input-output-resultwriter.html
    """
    return f"{job['mapPrefix']}/{map_run['MapRunArn'].rpartition(':')[2]}/manifest.json"


def manifest_of(job: dict[str, Json], map_run: dict[str, Json]) -> dict[str, Json]:
    """The manifest; empty when the run ended before it could write one."""
    body = storage.found(manifest_key(job, map_run))
    return {} if body is None else dict(json.loads(body))


def tally_of(manifest: dict[str, Json], prefix: str) -> Tally:
    """What the run's result files add up to, read line by line, with what its failed batches left under `prefix`."""
    tally = Tally()
    files = manifest.get("ResultFiles", {})
    for child in rows(files.get("SUCCEEDED", [])):
        tally.add_child(child)
    with ThreadPoolExecutor(max_workers=storage.THREADS) as threads:
        unsuccessful = rows(files.get("FAILED", []))
        while children := list(islice(unsuccessful, storage.THREADS)):
            for child, stored in zip(children, threads.map(partial(_stored_by, prefix), children), strict=True):
                tally.add_unsuccessful(error_of(child), len(json.loads(child["Input"])["Items"]), stored)
    return tally


def error_of(child: dict[str, Json]) -> str:
    """Why a child failed. One that was stopped with the others has no error of its own."""
    return str(child.get("Error") or NOT_STARTED)


def _stored_by(prefix: str, child: dict[str, Json]) -> Stored:
    return stored_of(prefix, json.loads(child["Input"])["Items"][0]["index"])


def stored_of(prefix: str, first: int) -> Stored:
    """What a batch that failed has stored all the same: its last step writes two objects, one after the other."""
    predicted = part(contract.part_key(prefix, "predictions", first))
    rejected = part(contract.part_key(prefix, "rejected", first))
    return Stored(len(predicted), Counter(row["error"] for row in rejected))


def part(key: str) -> list[dict[str, Json]]:
    """The lines of a part; none where there is none."""
    return list(contract.read_json_lines(storage.found(key) or b""))


def rows(files: list[dict[str, Json]]) -> Iterator[dict[str, Json]]:
    """The children in these files of JSON Lines."""
    for file in files:
        for line in storage.lines(file["Key"]):
            if line.strip():
                yield json.loads(line)
