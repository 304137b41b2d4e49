"""The command line of the embedded AWS: `python -m local up` and `python -m local run`."""

import argparse
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from lambda_src.contract import visible
from local import interrupt
from local.cdk import Cdk, node
from local.embedded import ROOT, embedded
from local.failure import CommandError
from local.faults import client as faults
from local.faults.rules import RuleError
from local.report import document, show
from local.server import Ready
from local.workflows import STACKS, Account

BUILD = ROOT / "build" / "local"
EXAMPLES = (Path("examples/request.json"), Path("examples/request-with-bad-records.json"))
DATA_SET = Path("examples/records.csv")

_EXAMPLES = """examples:
  python -m local run                   deploy, run both workflows and a batch job on examples/, show the results
  python -m local run --json            the same as one JSON document on stdout
  python -m local up                    deploy and keep running until Ctrl-C
  python -m local up --port 4566        the same on a port of your choice
  python -m local up --faults examples/faults/busy-day.toml
                                        the same, and let calls fail as the file says, to rehearse an outage
  . build/local/env                     in another terminal: points any AWS tool at what `up` runs
  aws stepfunctions list-state-machines
"""


class _Progress:
    """Lines on stderr that say what is being done, and since when."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._start

    def __call__(self, text: str) -> None:
        print(f"{self.seconds:5.1f} s  {text}", file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit status: 0, 1 for a failure that it has named, 128 + n for signal n."""
    options = _parser().parse_args(arguments)
    interrupt.catch()
    try:
        given, rules = faults.load(options.faults) if options.faults else ([], [])
        kept = BUILD / "kept" if options.command == "up" and options.keep else None
        context = {"stage": options.stage, **dict(options.context)}
        with _deployed(options.port, context, progress := _Progress(), kept) as ready:
            if given:
                faults.add(ready, given, counting=False)
                for rule in rules:
                    progress(f"fault: {rule}")
            if options.command == "up":
                _up(ready)
            else:
                _run(ready, progress, as_json=options.json)
    except interrupt.InterruptError as interrupted:
        return 0 if options.command == "up" and interrupted.running else 128 + interrupted.number
    except (CommandError, RuleError, BotoCoreError, ClientError, OSError) as error:
        # Some of it is what a model, a function or the CDK wrote.
        print(f"error: {visible(' '.join(str(error).split()))}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m local",
        description="The embedded AWS: runs this project's workflows without an AWS account.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    for name, text in (
        ("up", "start it, deploy both stacks, print how to reach it, run until Ctrl-C"),
        (
            "run",
            "start it, deploy both stacks, run both workflows and a batch job on examples/, show the results, stop it",
        ),
    ):
        command = commands.add_parser(
            name,
            help=text,
            description=text,
            epilog=_EXAMPLES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_argument("--port", type=_port, default=0, help="the port on 127.0.0.1 (default: a free one)")
        command.add_argument("--stage", default="local", help="the stage to deploy (default: local)")
        command.add_argument(
            *("-c", "--context"),
            type=_context,
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help="a setting to turn on or off, as `cdk deploy` takes it: customer_key=true",
        )
        command.add_argument(
            "--faults",
            type=Path,
            metavar="FILE",
            help="once deployed, let calls fail by the rules of this TOML or JSON file (docs/reliability.md)",
        )
        if name == "up":
            command.add_argument(
                "--keep",
                action="store_true",
                help="keep all that is deployed and stored, in build/local/kept, for the next `up --keep`",
            )
        else:
            command.add_argument("--json", action="store_true", help="one JSON document on stdout")
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 65535, received {text!r}")
    return int(text)


def _context(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"expected a name and a value such as customer_key=true, received {text!r}")
    return name, value


@contextmanager
def _deployed(port: int, context: Mapping[str, str], progress: _Progress, kept: Path | None = None) -> Iterator[Ready]:
    """The embedded AWS with both stacks. The run's folder is kept when it fails: it holds the logs."""
    node()
    folder = _run_folder()
    progress("starting the embedded AWS")
    with embedded(folder / "aws.log", BUILD, port, keep=kept) as ready:
        cdk = Cdk(ready, folder)
        progress(f"{ready.endpoint} answers; bootstrapping the account and synthesizing the app")
        cdk.prepare(context)
        progress(f"deploying {' and '.join(STACKS)}")
        cdk.deploy()
        progress("deployed")
        try:
            yield ready
        except interrupt.InterruptError as interrupted:
            interrupted.running = True
            raise
    shutil.rmtree(folder, ignore_errors=True)


def _run_folder() -> Path:
    """A new folder for this run; those of runs that have ended are removed."""
    BUILD.mkdir(parents=True, exist_ok=True)
    for old in BUILD.glob("run-*"):
        if not _alive(int(old.name.removeprefix("run-"))):
            shutil.rmtree(old, ignore_errors=True)
    folder = BUILD / f"run-{os.getpid()}"
    folder.mkdir(mode=0o700)
    return folder


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return process != os.getpid()


def _up(ready: Ready) -> None:
    lines = _exports(ready)
    file = BUILD / "env"
    file.unlink(missing_ok=True)  # one that was left might be for others to read
    file.touch(mode=0o600, exist_ok=False)
    file.write_text(lines)
    try:
        print(lines, end="", flush=True)
        print(f"Ctrl-C ends it. In another terminal: . {file.relative_to(ROOT)}", file=sys.stderr, flush=True)
        while True:
            signal.pause()
    finally:
        file.unlink(missing_ok=True)


def _exports(ready: Ready) -> str:
    variables = {
        "AWS_ENDPOINT_URL": ready.endpoint,
        "AWS_ACCESS_KEY_ID": ready.access_key,
        "AWS_SECRET_ACCESS_KEY": ready.secret_key,
        "AWS_REGION": ready.region,
        "AWS_DEFAULT_REGION": ready.region,
    }
    # What a person's own account has set would be used beside these.
    return "".join(f"export {name}={value}\n" for name, value in variables.items()) + (
        "unset AWS_PROFILE AWS_SESSION_TOKEN\n"
    )


def _run(ready: Ready, progress: _Progress, *, as_json: bool) -> None:
    account = Account(ready)
    runs = {}
    for request in EXAMPLES:
        content = json.loads((ROOT / request).read_text())
        progress(f"running both workflows on {request}")
        runs[request] = [account.run(stack, content) for stack in STACKS]
    progress(f"running {DATA_SET} as a batch job")
    job = account.run_job(ROOT / DATA_SET)
    if as_json:
        print(json.dumps(document(runs, job, progress.seconds), indent=2))
    else:
        # Into a file or a pipe, rich would take 80 columns and fold what a line could hold.
        show(Console(width=None if sys.stdout.isatty() else 120), runs, job, progress.seconds)
