"""The command line: `python -m jobs submit | list | status | results | retry | stop`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from botocore.exceptions import BotoCoreError, ClientError

from jobs import commands, names
from jobs.errors import DETACHED, WRONG_USE, CommandError, explained
from jobs.options import (
    DEFAULT_STACK,
    EXITS,
    AsJson,
    BatchSize,
    Concurrency,
    JobId,
    Name,
    Profile,
    Region,
    StackName,
    Tolerate,
    Wait,
)
from jobs.output import Output, error
from jobs.stack import connect
from jobs.submit import Options, source_of
from jobs.text import json_text

app = typer.Typer(
    name="python -m jobs",
    help="Batch jobs: submits a data set, watches it being predicted, reads the results.",
    epilog=EXITS,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


@app.command(
    epilog="""\b
examples:
  python -m jobs submit examples/records.csv
  python -m jobs submit records.jsonl --batch-size 500 --tolerate 1 --name march --no-wait
  python -m jobs submit s3://my-bucket/records.csv
  python -m jobs submit s3://my-bucket/one-object-a-record/"""
)
def submit(
    source: Annotated[
        str,
        typer.Argument(metavar="FILE|s3://BUCKET/KEY|s3://BUCKET/PREFIX/", show_default=False, help="The data set."),
    ],
    form: Annotated[
        str | None, typer.Option("--format", help="csv, jsonl, json or objects.", show_default="by the name's ending")
    ] = None,
    batch_size: BatchSize = None,
    max_concurrency: Concurrency = None,
    tolerate: Tolerate = None,
    name: Name = None,
    wait: Wait = None,
    stack: StackName = DEFAULT_STACK,
    profile: Profile = None,
    region: Region = None,
    as_json: AsJson = False,
) -> int:
    """Upload a data set and have every record predicted."""
    options = Options(batch_size, max_concurrency, tolerate)
    given = source_of(source, form)
    job = names.generated(given.stem) if name is None else names.checked(name)
    connected = connect(stack, profile=profile, region=region)
    return commands.submit_job(connected, Output(as_json=as_json), given, options, job, wait=_waits(wait))


@app.command(
    name="list",
    epilog="""\b
examples:
  python -m jobs list
  python -m jobs list --limit 100 --json""",
)
def list_(
    limit: Annotated[int, typer.Option(min=1, help="How many, the latest first.")] = 20,
    stack: StackName = DEFAULT_STACK,
    profile: Profile = None,
    region: Region = None,
    as_json: AsJson = False,
) -> int:
    """List the jobs, the latest first."""
    return commands.list_jobs(connect(stack, profile=profile, region=region), Output(as_json=as_json), limit)


@app.command(
    epilog="""\b
examples:
  python -m jobs status march
  python -m jobs status march --json"""
)
def status(
    job: JobId,
    stack: StackName = DEFAULT_STACK,
    profile: Profile = None,
    region: Region = None,
    as_json: AsJson = False,
) -> int:
    """Show how a job stands, or what became of it.

    What failed and why, where the results lie, and what can be done next. Exit status 1 tells that the job
    failed or was stopped.
    """
    return commands.show_job(connect(stack, profile=profile, region=region), Output(as_json=as_json), job)


@app.command(
    epilog="""\b
A record without a prediction has its error and cause instead. In CSV, a cell that a spreadsheet
would run as a formula begins with an apostrophe.

\b
examples:
  python -m jobs results march --output march.csv
  python -m jobs results march --format jsonl | head"""
)
def results(
    job: JobId,
    output: Annotated[Path | None, typer.Option(help="The file to write.", show_default="stdout")] = None,
    form: Annotated[
        str | None, typer.Option("--format", help="csv or jsonl.", show_default="csv for a CSV data set, else jsonl")
    ] = None,
    stack: StackName = DEFAULT_STACK,
    profile: Profile = None,
    region: Region = None,
    as_json: AsJson = False,
) -> int:
    """Write each record with its prediction.

    In the order and columns of the data set; also while the job runs, and after it was stopped.
    """
    connected = connect(stack, profile=profile, region=region)
    return commands.write_results(connected, Output(as_json=as_json), job, form, output)


@app.command(
    epilog="""\b
examples:
  python -m jobs retry march
  python -m jobs retry march --name march-2 --batch-size 10 --wait"""
)
def retry(
    job: JobId,
    batch_size: BatchSize = None,
    max_concurrency: Concurrency = None,
    tolerate: Tolerate = None,
    name: Name = None,
    wait: Wait = None,
    stack: StackName = DEFAULT_STACK,
    profile: Profile = None,
    region: Region = None,
    as_json: AsJson = False,
) -> int:
    """Run what was not predicted as a new job.

    That is what failed, what was never run and what was rejected. Records keep their ids, the new job names the
    one it came from, and its options are that one's unless given.
    """
    options = Options(batch_size, max_concurrency, tolerate)
    new = None if name is None else names.checked(name)
    connected = connect(stack, profile=profile, region=region)
    return commands.retry_job(connected, Output(as_json=as_json), job, options, new, wait=_waits(wait))


@app.command(
    epilog="""\b
examples:
  python -m jobs stop march
  python -m jobs retry march"""
)
def stop(
    job: JobId,
    stack: StackName = DEFAULT_STACK,
    profile: Profile = None,
    region: Region = None,
    as_json: AsJson = False,
) -> int:
    """Stop a job.

    What it predicted stays, and retry runs the rest.
    """
    return commands.stop_job(connect(stack, profile=profile, region=region), Output(as_json=as_json), job)


def _waits(given: bool | None) -> bool:
    return sys.stdout.isatty() if given is None else given


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return int(app(given or ["--help"], prog_name="python -m jobs", standalone_mode=False) or 0)
    except CommandError as problem:
        failed = problem
    except typer.TyperException as problem:
        failed = CommandError(f"{_message(problem)}: see python -m jobs {' '.join(given[:1])} --help", WRONG_USE)
    except (BotoCoreError, ClientError) as problem:
        failed = explained(problem)
    except RecursionError:
        failed = CommandError("what was read is nested deeper than Python can follow")
    except (KeyboardInterrupt, typer.Abort):
        failed = CommandError("interrupted", DETACHED)
    except BrokenPipeError:
        # Whoever read the results has had enough; what Python flushes at its end must go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    error(str(failed))
    if "--json" in given:
        print(json_text({"error": str(failed), "exitStatus": failed.status}, indent=2), flush=True)
    return failed.status


def _message(problem: typer.TyperException) -> str:
    format_message = getattr(problem, "format_message", None)
    return str(format_message() if format_message else problem).rstrip(".")
