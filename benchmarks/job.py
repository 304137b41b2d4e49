"""A batch job on the embedded AWS beside the bare model server driven as hard as it goes: records a second of both."""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks import data
from lambda_src.contract import INCOMING
from local.cdk import Cdk
from local.embedded import embedded
from local.sagemaker import instance
from local.server import Ready
from local.workflows import JOB_STACK, Account
from stacks.constructs.model.model_build import model_archive

Json = Any

RECORDS = {1: 1_000, 10: 10_000, 100: 40_000, 1_000: 40_000}
"""Records of a job by its batch size: enough for some seconds each."""

DRIVEN = {1: 4_000, 10: 30_000, 100: 80_000, 1_000: 80_000}
"""Records that the bare server is sent: enough for a second or so."""

CONCURRENCIES = (1, 4, 16)


@dataclass(frozen=True)
class Measured:
    """One batch size and concurrency. `batch` is what a batch held on average: bytes bound it too."""

    batch_size: int
    batch: float
    concurrency: int
    job: float
    limit: float

    @property
    def ratio(self) -> float:
        """The job's records a second as a share of the bare server's."""
        return self.job / self.limit


class Deployed:
    """The app in an embedded AWS of its own, and its process."""

    def __init__(self, ready: Ready, process: int) -> None:
        self.ready = ready
        self.account = account = Account(ready)
        self._outputs = account.outputs(JOB_STACK)
        self.bucket = self._outputs["ResultsBucketUri"].removeprefix("s3://").partition("/")[0]
        self._states = account.client("stepfunctions")
        self._names = itertools.count()
        self.process = process

    def upload(self, file: Path) -> str:
        """The key of the uploaded data set."""
        key = f"{INCOMING}{file.name}"
        self.account.client("s3").upload_file(str(file), self.bucket, key)
        return key

    def run(self, key: str, **options: Json) -> tuple[float, Json]:
        """Seconds that a job took, and its summary."""
        job = {"dataset": {"key": key}, **options}
        execution = self._states.start_execution(
            stateMachineArn=self._outputs["BatchJobArn"], name=f"bench-{next(self._names)}", input=json.dumps(job)
        )["executionArn"]
        while (told := self._states.describe_execution(executionArn=execution))["status"] == "RUNNING":
            time.sleep(0.05)
        if told["status"] != "SUCCEEDED":
            raise RuntimeError(f"{execution}: {told.get('error')}: {told.get('cause')}")
        return (told["stopDate"] - told["startDate"]).total_seconds(), json.loads(told["output"])


@contextmanager
def deployed(folder: Path) -> Iterator[Deployed]:
    """Starts an embedded AWS and deploys the app."""
    with embedded(folder / "aws.log", folder / "data", 0) as ready:
        cdk = Cdk(ready, folder)
        cdk.prepare({"stage": "local"})
        cdk.deploy()
        yield Deployed(ready, _server_process(int(ready.endpoint.rpartition(":")[2])))


def _server_process(port: int) -> int:
    """The embedded AWS's process id, by the port it was given: Linux only, like the memory that is read by it."""
    wanted = f"{port:04X}"
    inodes = {
        line.split()[9]
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
        if line.split()[1].endswith(f":{wanted}") and line.split()[3] == "0A"
    }
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if str(link.readlink()).removeprefix("socket:[").rstrip("]") in inodes:
                return int(link.parts[2])
        except OSError:
            continue
    raise LookupError(f"no process listens on {port}")


def compare(on: Deployed, folder: Path) -> list[Measured]:
    """Every batch size with every concurrency; the bare server right after each job."""
    measured = []
    on.run(on.upload(data.write(folder / "warm.csv", 2_000)), maxConcurrency=16, batchSize=50)
    for size, records in RECORDS.items():
        key = on.upload(data.write(folder / f"{records}.csv", records))
        for concurrency in CONCURRENCIES:
            seconds, summary = on.run(key, batchSize=size, maxConcurrency=concurrency)
            assert summary["records"]["predicted"] == records, summary
            batch = records / summary["batches"]["total"]
            limit = asyncio.run(_limit(round(batch), concurrency, DRIVEN[size]))
            found = Measured(size, batch, concurrency, records / seconds, limit)
            print(
                f"batch {size:5} x{concurrency:3}: {found.job:9.0f} of {limit:9.0f}  {found.ratio:.2f}", file=sys.stderr
            )
            measured.append(found)
    return measured


async def _limit(batch: int, concurrency: int, records: int) -> float:
    """Records a second of one bare model server, from a client that keeps `concurrency` requests under way."""
    server = await instance.start(model_archive().read_bytes(), {}, "us-east-1", lambda _line: None)
    bodies = [json.dumps({"instances": made}).encode() for made in itertools.islice(data.instances(batch), 16)]
    try:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            await server.wait_until_ready(session, 30)
            await _drive(session, server.url, bodies, 20, concurrency)
            requests = max(records // batch, 4 * concurrency)
            start = time.perf_counter()
            await _drive(session, server.url, bodies, requests, concurrency)
            return requests * batch / (time.perf_counter() - start)
    finally:
        await server.stop()


async def _drive(
    session: aiohttp.ClientSession, url: str, bodies: list[bytes], requests: int, concurrency: int
) -> None:
    left = iter(range(requests))

    async def work() -> None:
        for number in left:
            async with session.post(
                f"{url}/invocations", data=bodies[number % 16], headers={"content-type": "application/json"}
            ) as response:
                response.raise_for_status()
                await response.read()

    await asyncio.gather(*(work() for _ in range(concurrency)))
