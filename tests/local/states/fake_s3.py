"""An AWS with an S3 of its own, as far as a distributed Map calls it, and a way to run one Map state."""

from __future__ import annotations

import asyncio
import json
import re
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import escape

from botocore.awsrequest import AWSPreparedRequest

from local.clock import Clock
from local.states.executions import Execution
from local.states.machines import Engine
from local.states.map_run import MapRun
from tests.local.states.fake_aws import MACHINE, ROLE, FakeAws, Ran, machine

Json = Any
Response = tuple[int, Mapping[str, str], bytes]
BUCKET = "data"


@dataclass
class FakeS3(FakeAws):
    """Keeps objects of one bucket by key. `denied` IAM actions are refused, `before` runs ahead of each call."""

    objects: dict[str, bytes] = field(default_factory=dict)
    denied: set[str] = field(default_factory=set)
    before: Callable[[AWSPreparedRequest], None] | None = None
    uploads: dict[str, dict[int, bytes]] = field(default_factory=dict)
    page: int = 1000

    def authorize(
        self, access_key: str, action: str, resource: str, region: str, context: Mapping[str, str] | None = None
    ) -> str | None:
        """See `Aws`."""
        return f"not authorized to perform: {action} on resource: {resource}" if action in self.denied else None

    async def send(self, request: AWSPreparedRequest) -> Response:
        """See `Aws`."""
        self.sent.append(request)
        if self.before is not None:
            self.before(request)
        await asyncio.sleep(0)
        url = urlsplit(request.url)
        bucket, _, key = unquote(url.path)[1:].partition("/")
        query = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
        if bucket != BUCKET:
            return _refused(404, "NoSuchBucket", "The specified bucket does not exist")
        action = {"GET": "s3:GetObject" if key else "s3:ListBucket"}.get(request.method, "s3:PutObject")
        if action in self.denied:
            return _refused(403, "AccessDenied", f"not authorized to perform: {action}")
        if request.method == "GET":
            return self._get(key, dict(request.headers)) if key else self._list(query)
        body = request.body or b""
        assert isinstance(body, str | bytes | bytearray)
        return self._write(key, query, body.encode() if isinstance(body, str) else bytes(body))

    def _get(self, key: str, headers: Mapping[str, str]) -> Response:
        if key not in self.objects:
            return _refused(404, "NoSuchKey", "The specified key does not exist.")
        content = self.objects[key]
        etag = f'"{zlib.crc32(content)}"'
        if headers.get("If-Match", etag) not in (etag, etag.encode()):
            return _refused(412, "PreconditionFailed", "At least one of the preconditions did not hold")
        first, last = map(int, re.findall(r"\d+", str(headers["Range"])))
        if first >= len(content):
            return _refused(416, "InvalidRange", "The requested range is not satisfiable")
        part = content[first : last + 1]
        spoken = f"bytes {first}-{first + len(part) - 1}/{len(content)}"
        return 206, {"etag": etag, "content-range": spoken}, part

    def _list(self, query: Mapping[str, str]) -> Response:
        after = query.get("continuation-token", "")
        keys = sorted(key for key in self.objects if key.startswith(query.get("prefix", "")) and key > after)
        taken = keys[: self.page]
        spoken: Callable[[str], str] = quote if query.get("encoding-type") == "url" else escape
        more = f"<NextContinuationToken>{escape(taken[-1])}</NextContinuationToken>" if len(keys) > self.page else ""
        rows = "".join(
            f"<Contents><Key>{spoken(key)}</Key><LastModified>2024-01-02T03:04:05.000Z</LastModified>"
            f"<ETag>&quot;{spoken(key)}&quot;</ETag><Size>{len(self.objects[key])}</Size></Contents>"
            for key in taken
        )
        truncated = str(bool(more)).lower()
        body = f"<ListBucketResult><IsTruncated>{truncated}</IsTruncated>{more}{rows}</ListBucketResult>"
        return 200, {}, body.encode()

    def _write(self, key: str, query: Mapping[str, str], body: bytes) -> Response:
        if "uploads" in query:
            self.uploads[key] = {}
            return 200, {}, f"<R><UploadId>of {key}</UploadId></R>".encode()
        if "partNumber" in query:
            self.uploads[key][int(query["partNumber"])] = body
            return 200, {"etag": f'"{query["partNumber"]}"'}, b""
        if "uploadId" in query:
            parts = self.uploads.pop(key)
            self.objects[key] = b"".join(parts[number] for number in sorted(parts))
            return 200, {}, b"<R/>"
        self.objects[key] = body
        return 200, {"etag": '"e"'}, b""

    def results(self, kind: str, *, round_: int = 0, extension: str = "json") -> Json:
        """The rows of a result file, None where there is none."""
        name = f"/{kind}_{round_}.{extension}"
        content = next((content for key, content in self.objects.items() if key.endswith(name)), None)
        if content is None:
            return None
        return [json.loads(line) for line in content.splitlines()] if extension == "jsonl" else json.loads(content)

    @property
    def manifest(self) -> Json:
        """The one manifest."""
        (content,) = (content for key, content in self.objects.items() if key.endswith("/manifest.json"))
        return json.loads(content)


def _refused(status: int, code: str, message: str) -> Response:
    return status, {}, f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()


PASS: dict[str, Json] = {"P": {"Type": "Pass", "End": True}}


def distributed(states: Mapping[str, Json] = PASS, *, kind: str = "EXPRESS", **more: Json) -> dict[str, Json]:
    """A distributed Map over these states; it ends unless `Next` is given."""
    config = {"Mode": "DISTRIBUTED", "ExecutionType": kind}
    processor = {"ProcessorConfig": config, "StartAt": next(iter(states)), "States": dict(states)}
    return {"Type": "Map", "ItemProcessor": processor, **({} if "Next" in more else {"End": True}), **more}


def reader(input_type: str, key: str = "in", **config: Json) -> dict[str, Json]:
    """An ItemReader of one object."""
    return {
        "Resource": "arn:aws:states:::s3:getObject",
        "ReaderConfig": {"InputType": input_type, **config},
        "Arguments": {"Bucket": BUCKET, "Key": key},
    }


def writer(**config: Json) -> dict[str, Json]:
    """A ResultWriter to `out/`."""
    given = {"Resource": "arn:aws:states:::s3:putObject", "Arguments": {"Bucket": BUCKET, "Prefix": "out"}}
    return {**given, "WriterConfig": config} if config else given


class Running:
    """An engine with one machine of one execution, for what happens while it runs and after."""

    def __init__(self, states: Mapping[str, Json], value: Json = None, *, aws: FakeAws | None = None) -> None:
        self.aws = aws or FakeS3()
        self.engine = Engine(self.aws, Clock(0))
        self.engine.create(MACHINE, definition=machine(states), role_arn=ROLE)
        self.execution: Execution = self.engine.start(MACHINE, "run", {} if value is None else value)

    @property
    def map_run(self) -> MapRun:
        """Its last Map Run."""
        return self.execution.map_runs[-1]

    async def end(self) -> Ran:
        """Waits for its end."""
        assert self.execution.task is not None
        assert self.execution.history is not None
        await asyncio.wait([self.execution.task])
        done = self.execution
        assert done.history is not None
        return Ran(done.status, done.output, done.error, done.cause, list(done.history.events()))

    async def until(self, condition: Callable[[], bool]) -> None:
        """Lets everything run until the condition holds."""
        async with asyncio.timeout(5):
            while not condition():
                await asyncio.sleep(0)
