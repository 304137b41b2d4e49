"""Submits a job: checks everything first, uploads the data set, starts the execution under the job's id."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from jobs import job as jobs
from jobs import names, uploads
from jobs.errors import CommandError, code_of
from jobs.objects import found, keys
from jobs.stack import Stack
from lambda_src.contract import FORMATS, INCOMING, Json, format_of, job_prefix

MAX_CONCURRENCY = 10_000
"""Children at once: https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html"""


@dataclass(frozen=True)
class Options:
    """How a job runs; what is None is left to the stack's settings. Refuses what cannot work with `CommandError`."""

    batch_size: int | None = None
    max_concurrency: int | None = None
    tolerate: float | None = None

    def __post_init__(self) -> None:
        for option, value in (("--batch-size", self.batch_size), ("--max-concurrency", self.max_concurrency)):
            if value is not None and value < 1:
                raise CommandError(f"{option}: expected 1 or more, received {value}")
        if self.max_concurrency is not None and self.max_concurrency > MAX_CONCURRENCY:
            raise CommandError(
                f"--max-concurrency: expected at most {MAX_CONCURRENCY}, received {self.max_concurrency}"
            )
        if self.tolerate is not None and not (math.isfinite(self.tolerate) and 0 <= self.tolerate <= 100):
            raise CommandError(f"--tolerate: expected a percentage from 0 to 100, received {self.tolerate:g}")

    def document(self) -> dict[str, Json]:
        """As the job's input has them."""
        tolerate = self.tolerate
        if tolerate is not None and float(tolerate).is_integer():
            tolerate = int(tolerate)
        given = {"batchSize": self.batch_size, "maxConcurrency": self.max_concurrency, "tolerate": tolerate}
        return {name: value for name, value in given.items() if value is not None}

    def or_those_of(self, given: dict[str, Json]) -> Options:
        """These, and where they say nothing those of another job's input."""
        return Options(
            self.batch_size or given.get("batchSize"),
            self.max_concurrency or given.get("maxConcurrency"),
            given.get("tolerate") if self.tolerate is None else self.tolerate,
        )


@dataclass(frozen=True)
class LocalFile:
    """A data set on this machine."""

    path: Path
    format: str

    @property
    def stem(self) -> str:
        return self.path.stem


@dataclass(frozen=True)
class InS3:
    """A data set in S3: an object, or where `key` ends with a slash all objects under it."""

    bucket: str
    key: str
    format: str

    @property
    def stem(self) -> str:
        return Path(self.key).stem


def source_of(given: str, form: str | None) -> LocalFile | InS3:
    """What a person names, as far as it can be checked without AWS. Raises `CommandError`."""
    if form is not None and form not in FORMATS:
        raise CommandError(f"--format: expected {', '.join(FORMATS)}, received {form!r}")
    if given.startswith("s3://"):
        bucket, _, key = given.removeprefix("s3://").partition("/")
        if not bucket or not key:
            raise CommandError(f"expected s3://bucket/key or s3://bucket/prefix/, received {given}")
        if key.endswith("/"):
            if form not in (None, "objects"):
                raise CommandError(f"--format {form}: a prefix holds one object a record, so leave --format out")
            return InS3(bucket, key, "objects")
        if form == "objects":
            raise CommandError(f"--format objects: expected a prefix, s3://bucket/prefix/, received {given}")
        return InS3(bucket, key, form or _format_by_name(given))
    if form == "objects":
        raise CommandError("--format objects: expected a prefix, s3://bucket/prefix/, received a file")
    path = Path(given)
    try:
        if path.is_dir():
            raise CommandError(f"{given} is a folder: give a file, or upload it and give s3://bucket/prefix/")
        if not path.is_file():
            raise CommandError(f"{given} is no file here: check its name")
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as problem:
        raise CommandError(f"{given} cannot be read: {problem.strerror}") from problem
    if empty:
        raise CommandError(f"{given} is empty: give a file with at least one record")
    return LocalFile(path, form or _format_by_name(given))


def _format_by_name(name: str) -> str:
    if form := format_of(name):
        return form
    raise CommandError(f"the name {name} does not tell the format: add --format csv, jsonl or json")


def check_in_s3(stack: Stack, source: InS3) -> None:
    """Raises `CommandError` when there is nothing there."""
    place = f"s3://{source.bucket}/{source.key}"
    if source.format == "objects":
        if next(keys(stack.s3, source.bucket, source.key), None) is None:
            raise CommandError(f"there are no objects under {place}: check the bucket and the prefix")
        return
    head = found(stack.s3, source.bucket, source.key)
    if head is None:
        raise CommandError(f"there is no object {place}: check the bucket and the key")
    if not head["ContentLength"]:
        raise CommandError(f"{place} is empty: give a data set with at least one record")


def check_free(stack: Stack, job: str) -> None:
    """Raises `CommandError` when the id was used before. Nothing is changed."""
    used = jobs.exists(stack, job) or any(
        next(keys(stack.s3, stack.bucket, prefix), None) is not None
        for prefix in (f"{job_prefix(job)}/", uploads.incoming_prefix(job))
    )
    if used:
        raise CommandError(
            f"the name {job} was used before, and nothing was changed: give another --name, "
            f"or look at it with python -m jobs status {job}"
        )


def bring(stack: Stack, source: LocalFile | InS3, job: str, advance: uploads.Advance) -> dict[str, Json]:
    """Brings the data set to where jobs read it, and returns the job input's `dataset`."""
    folder = uploads.incoming_prefix(job)
    if isinstance(source, LocalFile):
        key = folder + names.file_name(source.path.name)
        uploads.upload_file(stack, source.path, key, advance)
        return {"key": key}
    in_place = source.bucket == stack.bucket and source.key.startswith(INCOMING)
    if source.format == "objects":
        if not in_place:
            uploads.copy_prefix(stack, source.bucket, source.key, folder)
        return {"prefix": source.key if in_place else folder}
    if in_place:
        return {"key": source.key}
    key = folder + names.file_name(source.key.rpartition("/")[2])
    uploads.copy(stack, source.bucket, source.key, key)
    return {"key": key}


def start(
    stack: Stack, job: str, dataset: dict[str, Json], form: str, options: Options, parent: str | None = None
) -> str:
    """Starts the job and returns its execution's ARN. Raises `CommandError` when the name is used."""
    document: dict[str, Any] = {"dataset": dataset, "format": form, **options.document()}
    if parent is not None:
        document["parent"] = parent
    try:
        answer = stack.states.start_execution(
            stateMachineArn=stack.machine_arn, name=job, input=json.dumps(document, ensure_ascii=False)
        )
    except ClientError as error:
        if code_of(error) == "ExecutionAlreadyExists":
            raise CommandError(f"the name {job} was used before: give another --name") from error
        raise
    return str(answer["executionArn"])
