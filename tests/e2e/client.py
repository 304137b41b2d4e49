"""The jobs client as the end-to-end tests use it: as a program of its own, and what its jobs left in S3."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs import job as jobs
from jobs import progress, submit, uploads
from jobs.objects import ahead, keys, read
from jobs.stack import Stack
from lambda_src.contract import INCOMING, Json, format_of, job_prefix, read_json_lines
from local.embedded import clean_environment
from tests.e2e.deployment import SECONDS, Deployment
from tests.synthesis import ROOT, STACKS

Line = dict[str, Any]


@dataclass(frozen=True)
class Ran:
    """A command that has ended."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> Json:
        """What it told with --json."""
        return json.loads(self.out)


@dataclass(frozen=True)
class Results:
    """What a job left of its records, by index. Each index is there once."""

    predictions: dict[int, Line]
    rejected: dict[int, Line]


@dataclass(frozen=True)
class Client:
    """The client for one deployment; `folder` takes its files."""

    deployment: Deployment
    folder: Path

    def run(self, *arguments: str | Path) -> Ran:
        """Runs `python -m jobs` with the run's exports, and not on a terminal."""
        ready = self.deployment.ready
        environment = clean_environment(
            self.folder,
            AWS_ENDPOINT_URL=ready.endpoint,
            AWS_REGION=ready.region,
            AWS_ACCESS_KEY_ID=ready.access_key,
            AWS_SECRET_ACCESS_KEY=ready.secret_key,
        )
        done = subprocess.run(
            [sys.executable, "-m", "jobs", *map(str, arguments)],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
        # Decoded as they are: what universal newlines would change may be a part of a cell.
        return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())

    def write(self, name: str, body: bytes | str) -> Path:
        """A data set on this machine."""
        path = self.folder / name
        path.write_bytes(body if isinstance(body, bytes) else body.encode())
        return path

    def stack(self, name: str = "InferenceStack") -> Stack:
        """What the client's functions take for the deployed stack."""
        outputs = self.deployment.outputs[name]
        client = self.deployment.client
        bucket = outputs["ResultsBucketUri"].removeprefix("s3://")
        return Stack(name, outputs["BatchJobArn"], bucket, client("s3"), client("stepfunctions"))

    def put(self, job: str, name: str, body: bytes, stack: Stack | None = None) -> str:
        """Uploads a data set for the job as it is; returns its key."""
        key = f"{uploads.incoming_prefix(job)}{name}"
        uploads.put(stack or self.stack(), key, body)
        return key

    def start(self, job: str, key: str, stack: Stack | None = None, **options: Any) -> None:
        """Starts a job with none of the client's checks before it."""
        form = format_of(key) or "objects"
        dataset = {"prefix" if form == "objects" else "key": key}
        submit.start(stack or self.stack(), job, dataset, form, submit.Options(**options))

    def ended(self, job: str, stack: Stack | None = None) -> jobs.Job:
        """The job once it has ended."""
        return progress.watch(stack or self.stack(), job, lambda counts: None)

    def parts(self, job: str, stack: Stack | None = None) -> dict[str, bytes]:
        """The objects that hold what became of the job's records, by their keys inside the job's prefix."""
        return self.parts_under(job_prefix(job), stack)

    def parts_under(self, prefix: str, stack: Stack | None = None) -> dict[str, bytes]:
        """The same of a job or a request that keeps its results there."""
        at = stack or self.stack()
        found = (key for kind in ("predictions", "rejected") for key in keys(at.s3, at.bucket, f"{prefix}/{kind}/"))
        bodies = ahead(lambda key: read(at.s3, at.bucket, key), found)
        return {key.removeprefix(f"{prefix}/"): body or b"" for key, body in bodies}

    def results(self, job: str, stack: Stack | None = None) -> Results:
        """What the parts hold. Raises `AssertionError` where two hold the same index."""
        return self.results_under(job_prefix(job), stack)

    def results_under(self, prefix: str, stack: Stack | None = None) -> Results:
        """The same of a job or a request that keeps its results there."""
        results = Results({}, {})
        for key, body in self.parts_under(prefix, stack).items():
            kind = results.predictions if key.startswith("predictions/") else results.rejected
            for line in read_json_lines(body):
                assert line["index"] not in kind, f"{prefix} has index {line['index']} twice"
                kind[line["index"]] = line
        assert not results.predictions.keys() & results.rejected.keys()
        return results


@contextmanager
def client_of(deployment: Deployment, folder: Path) -> Iterator[Client]:
    """The client. In the end nothing that its jobs left in the buckets is there any more."""
    client = Client(deployment, folder)
    yield client
    for name in STACKS:
        s3: Any = client.deployment.client("s3")
        bucket = client.stack(name).bucket
        for prefix in (INCOMING, job_prefix("")):
            for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
                found = [it["Key"] for it in page.get("Contents", [])]
                if plain := [{"Key": key} for key in found if key.isprintable()]:
                    s3.delete_objects(Bucket=bucket, Delete={"Objects": plain, "Quiet": True})
                for key in found:
                    if not key.isprintable():  # XML, which the other call speaks, has no control characters
                        s3.delete_object(Bucket=bucket, Key=key)
