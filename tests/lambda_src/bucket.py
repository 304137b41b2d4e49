"""A bucket in memory that speaks S3's protocol to a real client, for the tests of what functions read and write."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

import boto3
from botocore.config import Config

from lambda_src import storage


@dataclass
class Bucket:
    """The objects by key, and what was asked for. A version of an object has its id behind an @: `a.csv@v1`."""

    objects: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)


def versions(bucket: Bucket, prefix: str) -> str:
    """The list of the versions under a prefix: the last one of a key is its newest, and `@deleted` a delete marker."""
    found = [name.rpartition("@") for name in bucket.objects if name.startswith(prefix) and "@" in name]
    newest = {key: version for key, _, version in found}
    rows = ""
    for key, _, version in found:
        kind = "DeleteMarker" if version == "deleted" else "Version"
        latest = str(newest[key] == version).lower()
        rows += f"<{kind}><Key>{quote(key)}</Key><VersionId>{version}</VersionId><IsLatest>{latest}</IsLatest></{kind}>"
    return f"<EncodingType>url</EncodingType>{rows}"


@contextmanager
def serving(bucket: Bucket) -> Iterator[Any]:
    """A client for the bucket, with the settings that functions have."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name for it
            pass

        def answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def error(self, status: int, code: str) -> None:
            self.answer(status, f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode())

        def key(self) -> str:
            parts = urlsplit(self.path)
            key = unquote(parts.path).split("/", 2)[2] if parts.path.count("/") > 1 else ""
            key += "".join(f"@{version}" for version in parse_qs(parts.query).get("versionId", []))
            bucket.asked.append((self.command, key))
            return key

        def do_HEAD(self) -> None:
            body = bucket.objects.get(key := self.key())
            version = {"x-amz-version-id": key.rpartition("@")[2]} if "@" in key else {}
            self.answer(404) if body is None else self.answer(200, body, version)

        def do_GET(self) -> None:
            key, query = self.key(), parse_qs(urlsplit(self.path).query, keep_blank_values=True)
            if "list-type" in query:
                after = query.get("continuation-token", [""])[0]
                found = [it for it in sorted(bucket.objects) if it.startswith(query["prefix"][0]) and it > after]
                page = found[: int(query.get("max-keys", ["1000"])[0])]
                rows = "".join(f"<Contents><Key>{name}</Key><Size>1</Size></Contents>" for name in page)
                if len(found) > len(page):
                    token = f"<NextContinuationToken>{page[-1]}</NextContinuationToken>"
                    rows = f"<IsTruncated>true</IsTruncated>{token}{rows}"
                count = f"<KeyCount>{len(page)}</KeyCount>"
                self.answer(200, f"<ListBucketResult>{count}{rows}</ListBucketResult>".encode())
            elif "versions" in query:
                self.answer(
                    200, f"<ListVersionsResult>{versions(bucket, query['prefix'][0])}</ListVersionsResult>".encode()
                )
            elif key not in bucket.objects:
                self.error(404, "NoSuchKey")
            elif "Range" in self.headers:
                first, last = map(int, self.headers["Range"].removeprefix("bytes=").split("-"))
                body = bucket.objects[key]
                if first >= len(body):
                    self.error(416, "InvalidRange")
                else:
                    self.answer(206, body[first : last + 1])
            else:
                self.answer(200, bucket.objects[key])

        def do_PUT(self) -> None:
            key, body = self.key(), self.rfile.read(int(self.headers["Content-Length"]))
            if key in bucket.objects and self.headers.get("If-None-Match") == "*":
                self.error(412, "PreconditionFailed")
            else:
                bucket.objects[key] = body
                self.answer(200, headers={"ETag": '"tag"'})

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    client = boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{server.server_port}",
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=storage.ONE_TRY.merge(
            Config(
                s3={"addressing_style": "path", "payload_signing_enabled": False},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            )
        ),
    )
    try:
        yield client
    finally:
        client.close()
        server.shutdown()
        server.server_close()
        thread.join()
