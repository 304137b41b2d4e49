"""An embedded AWS for tests: `running` in a thread of the test's own process, `deployed` by the command line."""

import asyncio
import io
import json
import os
import signal
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from local.server import Ready, listen, serve

LAMBDA_TRUST = "lambda.amazonaws.com"


@dataclass(frozen=True)
class LocalAws:
    """A running embedded AWS."""

    ready: Ready

    def client(self, service: str, *, key: str = "", secret: str = "", token: str | None = None) -> Any:
        """A boto3 client, as the account's root unless another key is given."""
        make: Any = boto3.client  # its stub has an overload a service, and the name is not literal here
        return make(
            service,
            endpoint_url=self.ready.endpoint,
            region_name=self.ready.region,
            aws_access_key_id=key or self.ready.access_key,
            aws_secret_access_key=secret or self.ready.secret_key,
            aws_session_token=token,
            config=Config(retries={"total_max_attempts": 1}, read_timeout=30, s3={"addressing_style": "path"}),
        )

    def role(self, name: str, service: str, *statements: dict[str, Any]) -> str:
        """The ARN of a new role that the service may assume, with these statements."""
        iam = self.client("iam")
        trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
        document = {"Version": "2012-10-17", "Statement": [trust]}
        arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(document))["Role"]["Arn"]
        if statements:
            policy = {"Version": "2012-10-17", "Statement": list(statements)}
            iam.put_role_policy(RoleName=name, PolicyName="test", PolicyDocument=json.dumps(policy))
        return str(arn)


def zipped(**files: str) -> bytes:
    """A zip of Python modules by name: `zipped(handler="...")` holds handler.py."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in files.items():
            archive.writestr(f"{name}.py", text)
    return content.getvalue()


@contextmanager
def running(folder: Path) -> Iterator[LocalAws]:
    """Starts the embedded AWS in a thread and stops it at the end. Its state is the process's: one at a time."""
    started: list[Ready] = []
    loops: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []
    up = threading.Event()

    async def run() -> None:
        stop = asyncio.Event()
        loops.append((asyncio.get_running_loop(), stop))

        def announce(ready: Ready) -> None:
            started.append(ready)
            up.set()

        try:
            await serve(listen(0), folder, announce, stop)
        finally:
            up.set()

    thread = threading.Thread(target=lambda: asyncio.run(run()), name="embedded-aws")
    thread.start()
    up.wait(30)
    try:
        assert started, "the embedded AWS did not start"
        yield LocalAws(started[0])
    finally:
        loop, stop = loops[0]
        loop.call_soon_threadsafe(stop.set)
        thread.join(30)


ROOT = Path(__file__).resolve().parents[1]


def descendants(process: int) -> set[int]:
    """The ids of the process's children, and of theirs."""
    table = subprocess.run(["ps", "-e", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parents = {int(pid): int(parent) for pid, parent in (line.split() for line in table.splitlines())}
    found = {process}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {process}


def alive(processes: set[int]) -> set[int]:
    """Those that still run; a zombie does not."""
    table = subprocess.run(["ps", "-e", "-o", "pid=,stat="], capture_output=True, text=True, check=True).stdout
    running = {int(pid) for pid, state in (line.split() for line in table.splitlines()) if "Z" not in state}
    return processes & running


@contextmanager
def command(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`python -m local ...` with its output in pipes, from an environment that has AWS settings of its own."""
    environment = os.environ | {"AWS_PROFILE": "mine", "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}
    started = subprocess.Popen(
        [sys.executable, "-m", "local", *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield started
    finally:
        if started.poll() is None:
            started.terminate()
        started.communicate(timeout=30)


def exported(lines: list[str]) -> dict[str, str]:
    """The variables of `export NAME=value` lines."""
    pairs = [line.removeprefix("export ").partition("=") for line in lines if line.startswith("export ")]
    return {name: value for name, _, value in pairs}


@contextmanager
def deployed(stage: str = "local") -> Iterator[LocalAws]:
    """Both stacks, deployed by `python -m local up`; at the end, Ctrl-C has to leave no process running."""
    with command("up", "--stage", stage) as up:
        assert up.stdout is not None
        lines: list[str] = []
        while not lines or not lines[-1].startswith("unset"):
            line = up.stdout.readline()
            assert line, f"`up` ended: {up.communicate()[1]}"
            lines.append(line.rstrip("\n"))
        variables = exported(lines)
        yield LocalAws(
            Ready(
                endpoint=variables["AWS_ENDPOINT_URL"],
                region=variables["AWS_REGION"],
                account="000000000000",
                access_key=variables["AWS_ACCESS_KEY_ID"],
                secret_key=variables["AWS_SECRET_ACCESS_KEY"],
            )
        )
        started = descendants(up.pid)
        up.send_signal(signal.SIGINT)
        assert up.wait(30) == 0
        assert started
        assert alive(started) == set()
