"""What a Map Run leaves in S3: a manifest, and files of its children's results by how they ended.

https://docs.aws.amazon.com/step-functions/latest/dg/input-output-resultwriter.html
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from local.states.documents import compact, text
from local.states.failures import RESULT_WRITER_FAILED, StateFailure
from local.states.objects import PART_BYTES, Objects

Json = Any

STATUSES = ("SUCCEEDED", "FAILED", "PENDING")
"""The kinds of result files. FAILED holds what failed, timed out and was aborted."""

TRANSFORMATIONS = ("NONE", "COMPACT", "FLATTEN")
OUTPUT_TYPES = ("JSON", "JSONL")


@dataclass(frozen=True)
class Child:
    """How one child execution ended; `error` and `cause` are of those that failed."""

    arn: str
    name: str
    machine_arn: str
    status: str
    input: Json
    output: Json = None
    error: str | None = None
    cause: str | None = None
    started: str | None = None
    stopped: str | None = None

    def described(self) -> dict[str, Json]:
        """The child with all that is known of it, as DescribeExecution would tell."""
        row: dict[str, Json] = {
            "ExecutionArn": self.arn,
            "Input": text(self.input),
            "InputDetails": {"Included": True},
            "Name": self.name,
            "StateMachineArn": self.machine_arn,
            "Status": self.status,
        }
        if self.status == "SUCCEEDED":
            row |= {"Output": text(self.output), "OutputDetails": {"Included": True}}
        known = {"Error": self.error, "Cause": self.cause, "StartDate": self.started, "StopDate": self.stopped}
        return row | {name: value for name, value in known.items() if value is not None}


def rows_of(child: Child, transformation: str) -> Iterable[Json]:
    """What a child adds to its file. One that did not succeed is described whole, whatever the transformation."""
    if transformation == "NONE" or child.status != "SUCCEEDED":
        return [child.described()]
    if transformation == "FLATTEN" and isinstance(child.output, list):
        return child.output
    return [child.output]


@dataclass
class _File:
    """One result file in the making: nothing but its unwritten part is kept in memory."""

    key: str
    json_array: bool
    unwritten: bytearray = field(default_factory=bytearray)
    rows: int = 0
    size: int = 0
    upload: str = ""
    etags: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.unwritten += b"[" if self.json_array else b""

    def add(self, row: Json) -> None:
        if self.json_array:
            self.unwritten += b"," if self.rows else b""
            self.unwritten += compact(row)
        else:
            self.unwritten += compact(row) + b"\n"
        self.rows += 1


class ResultFiles:
    """Writes the results of one Map Run under `prefix` as they come. Raises `States.ResultWriterFailed`."""

    def __init__(
        self,
        objects: Objects,
        bucket: str,
        prefix: str,
        map_run_arn: str,
        *,
        transformation: str = "NONE",
        output_type: str = "JSON",
    ) -> None:
        run = map_run_arn.rpartition(":")[2]
        self._objects = objects
        self._bucket = bucket
        self._folder = f"{prefix.rstrip('/')}/{run}" if prefix else run
        self._map_run_arn = map_run_arn
        self._transformation = transformation
        self._extension = output_type.lower()
        self._files: dict[str, _File] = {}
        self._round = 0
        self._writing = asyncio.Lock()
        self._listed: dict[str, list[dict[str, Json]]] = {status: [] for status in STATUSES}

    @property
    def details(self) -> dict[str, str]:
        """Where the manifest is, as the Map's output tells it."""
        return {"Bucket": self._bucket, "Key": f"{self._folder}/manifest.json"}

    def add(self, child: Child) -> None:
        """Adds one child to the file of its kind; `flush` is to follow."""
        kind = child.status if child.status in ("SUCCEEDED", "PENDING") else "FAILED"
        file = self._files.get(kind)
        if file is None:
            key = f"{self._folder}/{kind}_{self._round}.{self._extension}"
            file = self._files[kind] = _File(key, self._extension == "json")
        for row in rows_of(child, self._transformation):
            file.add(row)

    async def flush(self) -> None:
        """Writes what has gathered to a part. Whoever adds waits for it, so that no more gathers than a few parts."""
        if any(len(file.unwritten) >= PART_BYTES for file in self._files.values()):
            async with self._writing:
                for file in list(self._files.values()):
                    if len(file.unwritten) >= PART_BYTES:
                        await self._write_part(file)

    def restart(self) -> None:
        """To be called before a redrive: what failed, was aborted or left pending is no result any more."""
        for status in ("FAILED", "PENDING"):
            self._listed[status] = []
            self._files.pop(status, None)
        if not self._files:
            self._round += 1

    async def finish(self) -> None:
        """Ends the files and writes the manifest. After a redrive it lists the earlier files of successes too."""
        for kind, file in list(self._files.items()):
            await self._end(file)
            del self._files[kind]
            self._listed[kind].append({"Key": file.key, "Size": file.size})
        manifest = {
            "DestinationBucket": self._bucket,
            "MapRunArn": self._map_run_arn,
            "ResultFiles": {status: self._listed[status] for status in sorted(STATUSES)},
        }
        await self._guarded(self._objects.put(self._bucket, self.details["Key"], json.dumps(manifest).encode()))

    async def _write_part(self, file: _File, end: bytes = b"") -> None:
        """Writes what is gathered; it is kept until S3 has it, for a redrive after a refusal."""
        content = bytes(file.unwritten)
        if not file.upload:
            file.upload = await self._guarded(self._objects.begin(self._bucket, file.key))
        part = self._objects.part(self._bucket, file.key, file.upload, len(file.etags) + 1, content + end)
        file.etags.append(await self._guarded(part))
        del file.unwritten[: len(content)]
        file.size += len(content) + len(end)

    async def _end(self, file: _File) -> None:
        end = b"]" if file.json_array else b""
        if not file.upload:
            content = bytes(file.unwritten) + end
            file.size = len(content)
            await self._guarded(self._objects.put(self._bucket, file.key, content))
            return
        if file.unwritten or end:
            await self._write_part(file, end)
        await self._guarded(self._objects.complete(self._bucket, file.key, file.upload, file.etags))

    @staticmethod
    async def _guarded(call: Any) -> Any:
        try:
            return await call
        except StateFailure as failure:
            raise StateFailure(RESULT_WRITER_FAILED, failure.cause) from failure
