"""StartJob: starts a job for each version of a data set, when it lands or when a schedule finds it; never a second."""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import ClientError

from lambda_src import contract, storage
from lambda_src.contract import Json

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient


class NotStarted(RuntimeError):
    """Some jobs could not be started. Lambda runs the function twice more; those that were started are known then."""


@dataclass(frozen=True)
class Version:
    """One version of an object in the data bucket: an object that is written again is another one."""

    key: str
    id: str

    @property
    def job(self) -> str:
        """The job's id: readable, and for the same version always the same, so that no two jobs can have it."""
        digest = hashlib.sha256(f"{self.key}\n{self.id}".encode("utf-8", "surrogatepass")).hexdigest()[:24]
        return contract.execution_name(self.key.rpartition("/")[2].rpartition(".")[0], digest)

    @property
    def starts_a_job(self) -> bool:
        """Whether it lies where this deployment looks, is no data set of a job already, and a data set by its name."""
        looked_at = self.key.startswith(os.environ["TRIGGER_PREFIX"]) and not self.key.startswith(contract.SUBMITTED)
        return looked_at and contract.format_of(self.key) is not None


@functools.cache
def client() -> SFNClient:
    """One client for the life of the process."""
    return boto3.client("stepfunctions", config=storage.ONE_TRY)


def handler(event: Json, context: object) -> dict[str, list[str]]:
    """`{"started": jobs, "known": jobs}`, from an event of S3 or of a schedule.

    Raises `NotStarted` when a job could not be started and all others have been tried; `ValueError` for an event
    without the object's version, and botocore's `ClientError` when the bucket cannot be listed.
    """
    versions = iter([landed(event["detail"]["object"])]) if event["source"] == "aws.s3" else newest()
    told: dict[str, list[str]] = {"started": [], "known": []}
    failed: list[str] = []
    for version in versions:
        if not version.starts_a_job:
            continue
        try:
            told["started" if start(version) else "known"].append(version.job)
        except (ClientError, storage.S3Unavailable, *storage.UNREACHABLE) as error:
            failed.append(f"{contract.brief(version.key)} in version {version.id}: {error}")
    if told["started"]:
        print(json.dumps({"started": told["started"]}))
    if failed:
        raise NotStarted(f"{len(failed)} jobs could not be started, the first for {failed[0]}")
    return told


def landed(created: dict[str, Any]) -> Version:
    """What an event of S3 tells of the object.

    S3's own notifications have its key URL-encoded; events have it as it is, which AWS does not say in words and is
    not confirmed from here. https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
    """
    if not (version := created.get("version-id")):
        raise ValueError(
            f"expected the version of {contract.brief(created['key'])}, received none: a job could not be told from "
            "the next one; turn the bucket's versioning on again"
        )
    return Version(created["key"], version)


def newest() -> Iterator[Version]:
    """The newest version of each object under the prefix; of one that was deleted there is none."""
    pages: Any = storage.client().get_paginator("list_object_versions")
    for page in pages.paginate(Bucket=storage.bucket(), Prefix=os.environ["TRIGGER_PREFIX"]):
        for found in page.get("Versions", []):
            if found["IsLatest"]:
                yield Version(found["Key"], found["VersionId"])


def start(version: Version) -> bool:
    """Starts the version's job; False when there is or was one.

    Step Functions forgets a name 90 days after its execution has ended; the job's summary stays.
    https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
    """
    if summarized(version.job):
        return False
    job = {"dataset": {"key": version.key, "version": version.id}}
    try:
        client().start_execution(
            stateMachineArn=os.environ["BATCH_JOB"], name=version.job, input=json.dumps(job, sort_keys=True)
        )
    except ClientError as error:
        if storage.code_of(error) != "ExecutionAlreadyExists":
            raise
        return False
    return True


def summarized(job: str) -> bool:
    """Whether the job has left its summary."""
    return storage.found(contract.summary_key(job)) is not None
