"""The S3 objects a Map Run reads and writes, with the machine's own rights."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import unquote_plus

from local.clock import Clock
from local.states.aws_sdk import AwsSdkCall, Body
from local.states.calling import Caller
from local.states.failures import StateFailure

PART_BYTES = 8 * 1024 * 1024
"""How much is read or written at a time; S3 takes parts of at least 5 MiB."""


TRIES = 3
"""A Map Run's own calls are tried again after errors that pass, as AWS's SDKs do by themselves: three times in all.
That Step Functions leaves the SDK's default as it is, is unconfirmed.
https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html"""

_PASSING = re.compile(r"Status Code: 5\d\d|\.SdkClientException")
_NO_SUCH_RANGE = "Status Code: 416"


@lru_cache(maxsize=16)
def _operation(action: str) -> AwsSdkCall:
    return AwsSdkCall.find("s3", action, f"s3:{action}")


@dataclass
class StoredObject:
    """One object to read. Its ETag is noted at the first read, and every later one asks for that content."""

    bucket: str
    key: str
    version: str | None = None
    etag: str | None = None


class Objects:
    """Calls S3 for one machine. Everything here raises `StateFailure` with the error AWS would give."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._clock = Clock()

    async def _send(self, action: str, **parameters: Any) -> dict[str, Any]:
        for tried in range(1, TRIES):
            try:
                return await _operation(action).send(parameters, self._caller)
            except StateFailure as failure:
                if not _PASSING.search(f"{failure.error} {failure.cause}"):
                    raise
                await self._clock.sleep(tried)
        return await _operation(action).send(parameters, self._caller)

    async def chunks(self, wanted: StoredObject) -> AsyncIterator[bytes]:
        """The object's bytes, part by part. One that changed since it was first read is refused by S3 itself."""
        more = {"VersionId": wanted.version} if wanted.version else {}
        start, length = 0, None
        while length is None or start < length:
            if wanted.etag:
                more["IfMatch"] = wanted.etag
            part = f"bytes={start}-{start + PART_BYTES - 1}"
            try:
                answer = await self._send("getObject", Bucket=wanted.bucket, Key=wanted.key, Range=part, **more)
            except StateFailure as failure:
                if start == 0 and _NO_SUCH_RANGE in (failure.cause or ""):
                    return  # an empty object has no range at all
                raise
            wanted.etag = wanted.etag or answer["ETag"]
            body = answer["Body"]
            content = body.content if isinstance(body, Body) else bytes(body)
            length = int(answer["ContentRange"].rpartition("/")[2]) if "ContentRange" in answer else len(content)
            if content:
                yield content
            start += PART_BYTES

    async def listing(self, bucket: str, prefix: str) -> AsyncIterator[dict[str, Any]]:
        """The objects under a prefix, as S3 lists them.

        XML has no control characters, and keys may have any: they are asked for URL-encoded, as AWS's SDKs for
        Python and for Java 1 do. What Step Functions does is unconfirmed.
        https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
        """
        token: dict[str, str] = {}
        while True:
            page = await self._send("listObjectsV2", Bucket=bucket, Prefix=prefix, EncodingType="url", **token)
            for entry in page.get("Contents", []):
                yield {**entry, "Key": unquote_plus(entry["Key"])}
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    async def put(self, bucket: str, key: str, content: bytes) -> None:
        """Writes a whole object."""
        await self._send("putObject", Bucket=bucket, Key=key, Body=content)

    async def begin(self, bucket: str, key: str) -> str:
        """Begins an object that is written part by part, and gives the upload's id."""
        answer = await self._send("createMultipartUpload", Bucket=bucket, Key=key)
        return str(answer["UploadId"])

    async def part(self, bucket: str, key: str, upload: str, number: int, content: bytes) -> str:
        """Writes one part and gives its ETag."""
        answer = await self._send(
            "uploadPart", Bucket=bucket, Key=key, UploadId=upload, PartNumber=number, Body=content
        )
        return str(answer["ETag"])

    async def complete(self, bucket: str, key: str, upload: str, etags: list[str]) -> None:
        """Ends an object that was written part by part."""
        parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, start=1)]
        await self._send(
            "completeMultipartUpload", Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": parts}
        )
