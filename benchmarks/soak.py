"""A soak: a batch job of 100,000 records while two of a hundred calls fail at random, and the sums at its end.

A call is each that the deployed system makes with a role of its own: Step Functions calls Lambda, the endpoint, its
own API, and S3 for the Map's data set and result files; functions call S3. What fails is an error that passes, drawn
from the service's own; or, one time in four, the call is carried out and its answer lost.
"""

from __future__ import annotations

import secrets
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import data
from benchmarks.job import Deployed
from jobs.outcomes import outcomes, predictions
from jobs.stack import CONNECTIONS
from local.faults import client as faults

RECORDS = 100_000
SHARE = 0.02
LOST = 0.25
BATCH = 100
CONCURRENCY = 16


@dataclass(frozen=True)
class Soaked:
    """A job among failing calls: how many there were, how many of them failed, and what became of its records.

    `found` counts the records by what S3 holds of them; `lines` are all predictions that lie there.
    """

    seed: int
    seconds: float
    calls: int
    failed: int
    summary: dict[str, Any]
    found: Counter[str]
    lines: int

    @property
    def adds_up(self) -> bool:
        """Whether each record came out once, and the summary says what lies in S3."""
        told = self.summary["records"]
        return bool(
            told["in"] == RECORDS == sum(self.found.values())
            and told["predicted"] == self.lines
            and all(told[kind] == self.found.get(kind, 0) for kind in ("predicted", "rejected", "failed"))
        )


def run(on: Deployed, folder: Path, seed: int | None = None) -> Soaked:
    """Runs the job. Raises `ArithmeticError` when its records do not add up."""
    seed = secrets.randbelow(2**32) if seed is None else seed
    print(f"soak: seed {seed}", file=sys.stderr)
    key = on.upload(data.write(folder / "soak.csv", RECORDS))
    seen = faults.add(on.ready, list(rules(seed)), counting=False)
    try:
        seconds, summary = on.run(key, batchSize=BATCH, maxConcurrency=CONCURRENCY, tolerate=100)
    finally:
        seen.remove()
    place = on.account.client("s3", CONNECTIONS), on.bucket, summary["job"]
    found, lines = Counter[str](it.kind for it in outcomes(*place)), sum(1 for _ in predictions(*place))
    soaked = Soaked(seed, seconds, max(seen.matched), sum(seen.fired), summary, found, lines)
    print(f"soak: {soaked.failed} of {soaked.calls} calls failed, {seconds:.0f} s, {soaked.found}", file=sys.stderr)
    if not soaked.adds_up:
        raise ArithmeticError(f"the records of the soak do not add up: {soaked}")
    return soaked


def rules(seed: int) -> Iterator[dict[str, Any]]:
    """The share of the calls whose answer is lost, and that of those which are not carried out."""
    made = {"service": "*", "caller": "*:assumed-role/*"}
    yield {**made, "share": SHARE * LOST, "seed": seed, "lost": "cut"}
    yield {**made, "share": SHARE * (1 - LOST), "seed": seed + 1, "error": "transient"}
