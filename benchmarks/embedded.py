"""The embedded AWS on this machine: its start, a function call, a permission check and an S3 put."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from local import ministack
from local.embedded import embedded
from local.functions import current
from tests.local_aws import LAMBDA_TRUST, LocalAws, running, zipped

CALLS = 1_000
RESOURCE = "arn:aws:s3:::bucket/key"


async def _milliseconds(call: Callable[[], Awaitable[object]], at_once: int = 1) -> float:
    """What one of many calls takes, after a first one."""
    await call()
    slots = asyncio.Semaphore(at_once)

    async def one() -> None:
        async with slots:
            await call()

    start = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(CALLS)))
    return (time.perf_counter() - start) / CALLS * 1_000


Figures = list[tuple[str, float]]


def _calls(aws: LocalAws) -> Figures:
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    role = aws.role("bench", LAMBDA_TRUST, everything)
    client = aws.client("lambda")
    function = client.create_function(
        FunctionName="echo",
        Role=role,
        Runtime="python3.13",
        Handler="app.handler",
        Code={"ZipFile": zipped(app="def handler(event, context):\n    return event")},
    )
    source = function["FunctionArn"]
    key = ministack.role_session(role, "bench", service=LAMBDA_TRUST, source_arn=source).access_key

    async def invoke() -> None:
        await current().invoke("echo", b"{}")

    async def ask() -> None:
        ministack.authorize(key, "s3:GetObject", RESOURCE, region="us-east-1")

    figures = [
        ("a warm function call, in the process", ministack.run_on_loop(_milliseconds(invoke))),
        ("the same, four at once", ministack.run_on_loop(_milliseconds(invoke, at_once=4))),
        ("may this role do that?", ministack.run_on_loop(_milliseconds(ask))),
    ]
    s3 = aws.client("s3")
    s3.create_bucket(Bucket="bench")
    calls: list[tuple[str, Callable[[], object]]] = [
        ("lambda.invoke with boto3", lambda: client.invoke(FunctionName="echo", Payload=b"{}")),
        ("s3.put_object with boto3", lambda: s3.put_object(Bucket="bench", Key="key", Body=b"x")),
    ]
    for what, call in calls:
        start = time.perf_counter()
        for _ in range(CALLS // 5):
            call()
        figures.append((what, (time.perf_counter() - start) / (CALLS // 5) * 1_000))
    return figures


def measure(folder: Path) -> Figures:
    """What is measured, and its milliseconds."""
    start = time.perf_counter()
    with embedded(folder / "log", folder, 0):
        started = (time.perf_counter() - start) * 1_000
    with running(folder) as aws:
        return [("start in a process of its own, until it answers", started), *_calls(aws)]
