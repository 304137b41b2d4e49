"""An embedded AWS for tests, in a thread of the test's own process, with clients for it: no stacks, no CDK."""

import asyncio
import io
import json
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
