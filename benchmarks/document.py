"""docs/performance.md: the measured figures with what they are measured on, and what they mean."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import cost as costs
from benchmarks import engine as engines
from benchmarks import job as jobs
from benchmarks import memory as memories
from benchmarks import soak as soaks
from benchmarks import synth as synths
from benchmarks.embedded import Figures

NOTES = Path(__file__).with_name("notes.md")
"""Where the time goes, in words: kept by hand beside the figures they explain."""


def page(sections: Sequence[str]) -> str:
    """The whole document."""
    head = (
        "# Performance\n\n"
        "Made by `make bench`. The figures compare things measured in one run on one machine: read the ratios, "
        "as another machine, or another hour, gives other seconds.\n\n"
        f"Measured {datetime.now(UTC):%Y-%m-%d} on {_machine()}.\n"
    )
    return "\n".join([head, *sections, NOTES.read_text()])


def job(rows: Sequence[jobs.Measured]) -> str:
    """A job beside the bare model server."""
    lines = [
        "## A batch job\n",
        "Records a second of a whole job (CSV in S3, check, preprocess, endpoint, store, summary) on the embedded "
        "AWS, beside the bare model server driven by a fast HTTP client with the same batches and as many requests at "
        "once. *batch* is what a batch held: 256 KiB bound it where the asked size would not fit.\n",
        _row("batch size", "batch", "at once", "job, records/s", "bare server, records/s", "ratio"),
        _row(*["---:"] * 6),
    ]
    lines += [
        _row(
            row.batch_size, f"{row.batch:.0f}", row.concurrency, _whole(row.job), _whole(row.limit), f"{row.ratio:.2f}"
        )
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def memory(rows: Sequence[memories.Measured]) -> str:
    """Memory by the size of the data set."""
    lines = [
        "## Memory\n",
        f"All processes of the embedded AWS at their highest during a job (batches of {memories.BATCH}, "
        f"{memories.CONCURRENCY} at once), and the same without the bytes of the objects that S3 holds at the end.\n",
        _row("records", "seconds", "peak, MiB", "objects, MiB", "own, MiB", "in = predicted + rejected + failed"),
        _row(*["---:"] * 5, "---"),
    ]
    for row in rows:
        told = row.summary
        sums = f"{told['in']} = {told['predicted']} + {told['rejected']} + {told['failed']}"
        mib = (f"{value / 2**20:.0f}" for value in (row.peak, row.objects, row.own))
        lines.append(_row(_whole(row.records), f"{row.seconds:.0f}", *mib, sums))
    more = rows[-1].own / rows[0].own - 1
    lines.append(f"\n{rows[-1].records // rows[0].records} times the records need {more:+.0%} memory.")
    return "\n".join(lines) + "\n"


def soak(found: soaks.Soaked) -> str:
    """A job among failing calls."""
    told = found.summary["records"]
    return (
        "## A soak\n\n"
        f"A job of {_whole(told['in'])} records (batches of {soaks.BATCH}, {soaks.CONCURRENCY} at once) while "
        f"{soaks.SHARE:.0%} of all calls between the deployed parts fail at random, seed {found.seed}: "
        f"{_whole(found.failed)} of {_whole(found.calls)} calls failed, and the job took {found.seconds:.0f} s with "
        f"{_whole(found.summary['retries'])} retries in its batches. Its records: {_whole(told['in'])} = "
        f"{_whole(told['predicted'])} predicted + {told['rejected']} rejected + {told['failed']} failed, and S3 holds "
        "each of them once.\n"
    )


def engine(ours: engines.Measured, theirs: engines.Measured) -> str:
    """The states engine beside MiniStack's own."""
    lines = [
        "## The states engine\n",
        "The same machines over the same Python functions, ours beside MiniStack's own Step Functions; milliseconds "
        "from start to stop as the service tells them, medians.\n",
        _row("machine", "ours", "MiniStack's", "times faster"),
        _row("---", "---:", "---:", "---:"),
    ]
    for what, mine, other in (
        ("three functions, one after the other", ours.three_functions, theirs.three_functions),
        (f"a Map of {engines.CALLS:,} function calls", ours.map_of_calls, theirs.map_of_calls),
    ):
        lines.append(_row(what, f"{mine * 1e3:.1f}", f"{other * 1e3:.0f}", f"{other / mine:.0f}"))
    return "\n".join(lines) + "\n"


def synth(found: synths.Measured) -> str:
    """Synth beside an empty app's."""
    return (
        "## Synth\n\n"
        f"The whole app takes {found.whole:.1f} s, an app with one empty resource {found.empty:.1f} s, both with "
        f"validation on: {found.whole / found.empty:.2f} times as long.\n"
    )


def embedded(figures: Figures) -> str:
    """The embedded AWS's own calls."""
    lines = ["## The embedded AWS\n", _row("what", "ms"), _row("---", "---:")]
    lines += [_row(what, f"{milliseconds:.2f}") for what, milliseconds in figures]
    return "\n".join(lines) + "\n"


def cost(rows: Sequence[costs.Cost], assumed: costs.Assumptions) -> str:
    """A million records on AWS."""
    lines = [
        "## What a million records cost on AWS\n",
        "Dollars, from the small calculator `benchmarks/cost.py`, with its prices (us-east-1, no free tier) and "
        f"assumptions beside it: functions of {assumed.function_gb:g} GB, {assumed.concurrency} children at once, "
        "an ml.m5.large for as long as the job runs.\n",
        _row("design", "batch", "orchestration", "functions", "S3", "endpoint", "all"),
        _row("---", *["---:"] * 6),
    ]
    for row in rows:
        prices = (row.orchestration, row.functions, row.storage, row.endpoint, row.total)
        lines.append(_row(row.design, row.batch, *(f"{price:.2f}" for price in prices)))
    return "\n".join(lines) + "\n"


def _machine() -> str:
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        named = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = named[0].partition(":")[2].strip() if named else model
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    python = platform.python_version()
    return f"{os.cpu_count()} cores of {model}, {memory:.0f} GiB, {platform.system()}, Python {python}"


def _row(*cells: object) -> str:
    return f"| {' | '.join(str(cell) for cell in cells)} |"


def _whole(value: float) -> str:
    return f"{value:,.0f}"
