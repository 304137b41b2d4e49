"""The options that the commands share, and what their help says at its end."""

from __future__ import annotations

from typing import Annotated

import typer

EXITS = """\b
exit status:
  0    success
  1    the job failed or was stopped
  2    wrong use: an option, a file or a job that cannot be
  3    AWS: no credentials, no permission, no such stack, no answer
  130  Ctrl-C: a job that was started goes on

\b
environment:
  AWS_PROFILE, AWS_REGION, AWS_ENDPOINT_URL and the like, as any AWS tool reads them
  SLUICE_STACK   the stack whose jobs these are, instead of InferenceStack"""

StackName = Annotated[str, typer.Option("--stack", envvar="SLUICE_STACK", help="The stack that runs the jobs.")]
Profile = Annotated[str | None, typer.Option(help="The AWS profile.", show_default=False)]
Region = Annotated[str | None, typer.Option(help="The AWS region.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout and nothing else.")]
JobId = Annotated[str, typer.Argument(metavar="JOB", help="The job's name.", show_default=False)]
Name = Annotated[str | None, typer.Option(help="The new job's name; made from the file's and the time if left out.")]
BatchSize = Annotated[int | None, typer.Option(help="Records a batch, at most.", show_default="the stack's")]
Concurrency = Annotated[int | None, typer.Option(help="Batches at once, at most.", show_default="the stack's")]
Tolerate = Annotated[
    float | None,
    typer.Option(
        metavar="PERCENT",
        help="How many percent of the records may fail before the job does; rejected ones do not count.",
        show_default="the stack's",
    ),
]
Wait = Annotated[
    bool | None,
    typer.Option("--wait/--no-wait", help="Watch the job until it ends.", show_default="wait on a terminal only"),
]
DEFAULT_STACK = "InferenceStack"
