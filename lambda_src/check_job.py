"""CheckJob: refuses a job that cannot begin, before anything is called, and settles what its input leaves open."""

from __future__ import annotations

import os
from typing import Any

from botocore.exceptions import ClientError

from lambda_src import contract, storage
from lambda_src.contract import InvalidJob, Json, brief
from lambda_src.sniffing import Ends, check

OPTIONS = ("dataset", "format", "batchSize", "maxConcurrency", "tolerate", "parent")

UNVERSIONED = "null"
"""What S3 calls the version of an object that was written without versioning.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/versioning-workflows.html
"""

CHUNK_BYTES = 65_536
"""How much of each end of a data set is looked at."""


def handler(event: Json, context: object) -> dict[str, Any]:
    """The job with every option settled, from `{"job": the execution's input, "id": the execution's name}`.

    `{"id", "bucket", "dataset", "source", "version", "format", "bytes", "batchSize", "batchBytes", "maxConcurrency",
    "tolerate", "parent", "prefix", "mapPrefix"}`: `source` is the data set's key or prefix, `version` the object's
    and `bytes` its size (null for a prefix). `batchSize` is lowered where results of so many records might not fit
    one state.
    Raises `contract.InvalidJob` and `storage.S3Unavailable`.
    """
    job, job_id = event["job"], event["id"]
    if not isinstance(job, dict):
        raise InvalidJob(f'expected {{"dataset": {{"key": "{contract.INCOMING}..."}}}}, received {brief(job)}')
    if not job_id.strip("."):  # tools that make a path of a key would go up with `..`
        raise InvalidJob(f"expected a job's name to be more than dots, received {brief(job_id)}")
    for name in job:
        if name not in OPTIONS:
            raise InvalidJob(f"expected the options {', '.join(OPTIONS)}, received {brief(name)}")
    kind, source, version = dataset_of(job.get("dataset"))
    format_ = format_of(job.get("format"), kind, source)
    batch_bytes = setting("BATCH_BYTES")
    size = whole(job, "batchSize", setting("BATCH_SIZE"), 1, None)
    resolved = {
        "id": job_id,
        "bucket": storage.bucket(),
        "dataset": {kind: source, **({"version": version} if version else {})},
        "source": source,
        "format": format_,
        "batchSize": min(size, contract.most_records(batch_bytes)),
        "batchBytes": batch_bytes,
        "maxConcurrency": whole(job, "maxConcurrency", setting("MAX_CONCURRENCY"), 1, contract.MAX_CONCURRENCY),
        "tolerate": percentage(job, float(os.environ["TOLERATED_PERCENTAGE"])),
        "parent": parent_of(job),
        "prefix": contract.job_prefix(job_id),
        "mapPrefix": contract.map_prefix(job_id),
    }
    if kind == "prefix":
        check_listing(source)
        return {**resolved, "version": None, "bytes": None}
    ends, version = ends_of(source, version)
    check(ends, format_, f"s3://{storage.bucket()}/{source}")
    return {**resolved, "version": version, "bytes": ends.size}


def setting(name: str) -> int:
    """A default of the deployment, from the environment."""
    return int(os.environ[name])


def dataset_of(dataset: Json) -> tuple[str, str, str | None]:
    """`("key" or "prefix", its value, the version of the key's object)`. Raises `InvalidJob`."""
    if not isinstance(dataset, dict) or dataset.keys() not in ({"key"}, {"key", "version"}, {"prefix"}):
        raise InvalidJob(
            'expected "dataset" to be {"key": ...}, {"key": ..., "version": ...} or {"prefix": ...}, '
            f"received {brief(dataset)}"
        )
    version = dataset.get("version")
    if "version" in dataset and not (isinstance(version, str) and version):
        raise InvalidJob(f'expected "version" to be the id of a version of the object, received {brief(version)}')
    kind = "key" if "key" in dataset else "prefix"
    source = dataset[kind]
    if not isinstance(source, str) or not source.startswith(contract.INCOMING) or source == contract.INCOMING:
        raise InvalidJob(f"expected the data set's {kind} under {contract.INCOMING}, received {brief(source)}")
    if (kind == "prefix") != source.endswith("/"):
        ending = "to end with /" if kind == "prefix" else "of an object, so without / at its end"
        raise InvalidJob(f"expected the data set's {kind} {ending}, received {brief(source)}")
    return kind, source, version


def format_of(given: Json, kind: str, source: str) -> str:
    """The data set's format. Raises `InvalidJob`."""
    allowed = ("objects",) if kind == "prefix" else tuple(name for name in contract.FORMATS if name != "objects")
    usual = "objects" if kind == "prefix" else contract.format_of(source)
    if given is None and usual is None:
        raise InvalidJob(
            f'expected a "format" of {", ".join(allowed)}, or a key that ends in .csv, .jsonl or .json; '
            f"received {brief(source)}"
        )
    found = usual if given is None else given
    if found not in allowed:
        raise InvalidJob(f'expected a "format" of {", ".join(allowed)} for a {kind}, received {brief(given)}')
    return str(found)


def whole(job: dict[str, Json], name: str, usual: int, least: int, most: int | None) -> int:
    """A whole number among the options. Raises `InvalidJob`."""
    value = job.get(name)
    if value is None:
        return usual
    if isinstance(value, bool) or not isinstance(value, int) or value < least or (most is not None and value > most):
        allowed = f"{least} or more" if most is None else f"{least} to {most}"
        raise InvalidJob(f'expected "{name}" to be a whole number, {allowed}, received {brief(value)}')
    return value


def percentage(job: dict[str, Json], usual: float) -> float:
    """The tolerance. Raises `InvalidJob`."""
    value = job.get("tolerate")
    if value is None:
        return usual
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:
        raise InvalidJob(f'expected "tolerate" to be a percentage, 0 to 100, received {brief(value)}')
    return value


def parent_of(job: dict[str, Json]) -> str | None:
    """The job that this one goes on with. Raises `InvalidJob`."""
    parent = job.get("parent")
    if parent is not None and not (isinstance(parent, str) and parent):
        raise InvalidJob(f'expected "parent" to be the id of a job, received {brief(parent)}')
    return parent


def check_listing(prefix: str) -> None:
    """Raises `InvalidJob` when no object lies under the prefix."""
    if not storage.listed(prefix, 1):
        raise InvalidJob(f"expected objects under s3://{storage.bucket()}/{prefix}, found none")


def ends_of(key: str, version: str | None) -> tuple[Ends, str]:
    """The first and the last of an object's bytes, and its version: the newest where none is given.

    Raises `InvalidJob` when it does not exist.
    """
    wanted = {"VersionId": version} if version else {}
    try:
        head = storage.client().head_object(Bucket=storage.bucket(), Key=key, **wanted)  # type: ignore[arg-type]  # the stub cannot follow **
    except ClientError as error:
        if storage.code_of(error) in storage.UNREADABLE:
            place = f"s3://{storage.bucket()}/{key}" + (f" in version {brief(version)}" if version else "")
            raise InvalidJob(f"expected a data set at {place}, found none that can be read") from error
        raise storage.explained(error) from error
    except storage.UNREACHABLE as error:
        raise storage.S3Unavailable(str(error)) from error
    size, found = head["ContentLength"], head.get("VersionId", UNVERSIONED)
    if size == 0:
        return Ends(0, b"", b""), found
    first = storage.read(key, f"bytes=0-{CHUNK_BYTES - 1}", version)
    if size <= CHUNK_BYTES:
        return Ends(size, first, first), found
    return Ends(size, first, storage.read(key, f"bytes={size - CHUNK_BYTES}-{size - 1}", version)), found
