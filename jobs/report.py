"""What a person reads of a job: its summary as lines, and the table of jobs."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table

from jobs.job import Counts, Job
from jobs.stack import Stack
from jobs.text import shortened
from lambda_src.contract import Json, job_prefix, visible


def job_lines(stack: Stack, job: Job, counts: Counts | None) -> list[str]:
    """The job in lines: status, records, what failed and why, where the results lie, what can be done next."""
    pairs = [("records", line) for line in _record_lines(job, counts)]
    if job.error:
        pairs.append(("why", shortened(f"{job.error}: {job.cause}" if job.cause else job.error)))
    if job.summary and (batches := job.summary.get("batches")):
        calls = f"{job.summary.get('modelCalls', 0)} model calls, {job.summary.get('retries', 0)} retries"
        pairs.append(("batches", f"{batches['total']}, {batches['failed']} failed; {calls}"))
    pairs.append(("time", _time(job)))
    if parent := job.input.get("parent"):
        pairs.append(("parent", shortened(str(parent))))
    pairs.append(("results", stack.uri(f"{job_prefix(job.id)}/")))
    pairs += [("next", command) for command in next_commands(job, counts)]
    label = ""
    lines = [f"{job.id}: {job.status}"]
    for name, line in pairs:
        lines.append(f"  {'' if name == label else name:<9}{line}")
        label = name
    return lines


def _record_lines(job: Job, counts: Counts | None) -> list[str]:
    if job.summary:
        records = job.summary["records"]
        line = (
            f"{records['in']} in: {records['predicted']} predicted, {records['rejected']} rejected, "
            f"{records['failed']} failed"
        )
        reasons = [_reasons(kind, job.summary.get(kind) or {}) for kind in ("rejected", "failed")]
        return [line, *(reason for reason in reasons if reason)]
    if counts is None:
        return ["none was run yet" if job.running else "none was run"]
    return [f"{counts.done} of {counts.total} done, {counts.failed} failed"]


def _reasons(kind: str, by_error: dict[str, int]) -> str:
    most_first = sorted(by_error.items(), key=lambda pair: (-pair[1], pair[0]))
    return f"{kind}: {', '.join(f'{visible(error)} {count}' for error, count in most_first)}" if by_error else ""


def next_commands(job: Job, counts: Counts | None) -> list[str]:
    """The commands that make sense now."""
    name = shlex.quote(job.id)
    if job.running:
        return [f"python -m jobs status {name}", f"python -m jobs stop {name}"]
    if job.error == "InvalidJob" or (job.summary is None and counts is None):
        return ["correct the data set or the options, and submit it again"]
    commands = [f"python -m jobs results {name}"]
    records = (job.summary or {}).get("records")
    if records is None or records["predicted"] < records["in"]:
        commands.append(f"python -m jobs retry {name}")
    return commands


def _time(job: Job) -> str:
    if job.started is None:
        return "unknown"
    since = f"started {job.started}"
    if job.ended is None:
        return f"{since}, {_seconds(job.started, None):.1f} s ago"
    return f"{since}, took {_seconds(job.started, job.ended):.1f} s"


def _seconds(start: str, end: str | None) -> float:
    ended = datetime.fromisoformat(end) if end else datetime.now(UTC)
    return (ended - datetime.fromisoformat(start)).total_seconds()


LIST_FIELDS = ("job", "status", "startedAt", "records", "rejected", "failed")
TABLE_WIDTH = 200


def show_list(console: Console, rows: Iterable[dict[str, Json]]) -> None:
    """Jobs as a table, one a line."""
    table = Table(box=None, pad_edge=False)
    for name in LIST_FIELDS:
        heading = "started" if name == "startedAt" else name
        table.add_column(heading, no_wrap=True, justify="left" if name in LIST_FIELDS[:3] else "right")
    for row in rows:
        shown = row | {"startedAt": f"{row['startedAt'][:19]}Z"}
        table.add_row(*("" if shown[name] is None else visible(str(shown[name])) for name in LIST_FIELDS))
    # A terminal folds a line that is too long for it; rich would cut the names, which people copy.
    console.print(table, width=TABLE_WIDTH, crop=False, soft_wrap=True)
