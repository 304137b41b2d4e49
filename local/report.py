"""Shows finished runs to a person: predictions and rejected records as tables, on a terminal or in plain text."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lambda_src.contract import visible
from local.workflows import Job, Json, Run


def show(console: Console, runs: Mapping[Path, Sequence[Run]], job: Job, seconds: float) -> None:
    """One table a request, a column a workflow, with what was rejected; then the batch job's counts."""
    for request, finished in runs.items():
        _heading(console, f"{request}: how likely each record is malignant, by workflow")
        console.print(_predictions(finished))
        if finished[0].rejected:
            _heading(console, "rejected, with the reason")
            console.print(_rejected(finished[0]))
        for run in finished:
            lie = f"results in {run.results}" if run.results else "results in the execution's output"
            _line(console, f"{run.workflow}: {run.seconds:.2f} s, {lie}")
        console.print()
    _show_job(console, job)
    _line(console, f"All of it ran in the embedded AWS and took {seconds:.1f} s.")


def _show_job(console: Console, job: Job) -> None:
    records, batches = job.summary["records"], job.summary["batches"]
    counts = ", ".join(f"{records[kind]} {kind}" for kind in ("predicted", "rejected", "failed"))
    _heading(console, f"{job.dataset} as a batch job")
    for line in (
        f"{records['in']} records in {batches['total']} batches: {counts}",
        f"{job.seconds:.2f} s, results in {job.summary['outputs']['predictions']}",
        "",
    ):
        _line(console, line)


def document(runs: Mapping[Path, Sequence[Run]], job: Job, seconds: float) -> Json:
    """The same as one JSON document."""
    requests = [
        {"request": str(request), "runs": [run.document() for run in finished]} for request, finished in runs.items()
    ]
    return {"requests": requests, "job": job.document(), "seconds": round(seconds, 3)}


def _heading(console: Console, text: str) -> None:
    # A table's own title would be folded to the table's width.
    _line(console, text, style="bold")


def _line(console: Console, text: str, style: str = "") -> None:
    """What comes from records and results is text: rich must not read its own markup in it."""
    console.print(Text(visible(text)), style=style, soft_wrap=True)


def _row(table: Table, *cells: str) -> None:
    table.add_row(*(Text(visible(cell)) for cell in cells))


def _table() -> Table:
    return Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)


def _predictions(runs: Sequence[Run]) -> Table:
    table = _table()
    table.add_column("record", no_wrap=True)
    table.add_column("label")
    for run in runs:
        table.add_column(run.workflow, justify="right")
    by_run = [{row["index"]: row for row in run.predictions} for run in runs]
    for index in sorted(set().union(*by_run)):
        rows = [rows[index] for rows in by_run if index in rows]
        labels = sorted({row["prediction"]["label"] for row in rows})
        cells = [f"{found[index]['prediction']['p_malignant']:.6f}" if index in found else "none" for found in by_run]
        _row(table, rows[0]["id"], " or ".join(labels), *cells)
    return table


def _rejected(run: Run) -> Table:
    table = _table()
    table.add_column("no.", justify="right")
    table.add_column("record", no_wrap=True, overflow="ellipsis", max_width=16)
    table.add_column("error", no_wrap=True)
    table.add_column("cause", overflow="fold")
    for line in sorted(run.rejected, key=lambda line: int(line["index"])):
        _row(table, str(line["index"]), line["id"], line["error"], line["cause"])
    return table
