"""Calls that SageMaker itself makes to other services of the embedded AWS, each as a model's execution role."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, urlencode
from xml.etree import ElementTree

from local import ministack


class CallRefused(ValueError):
    """Another service refused a call; the text is its answer."""


@dataclass
class _Signed:
    """What `ministack.send` sends."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes = b""


class Calls:
    """S3 and SNS, here (`ministack.here`), for whoever holds the access key. Every method raises `CallRefused`."""

    async def get_object(self, access_key: str, bucket: str, key: str) -> bytes:
        return await self._s3(access_key, "GET", bucket, key)

    async def put_object(self, access_key: str, bucket: str, key: str, body: bytes, content_type: str) -> None:
        await self._s3(access_key, "PUT", bucket, key, {"content-type": content_type}, body)

    async def list_objects(self, access_key: str, bucket: str, prefix: str) -> list[str]:
        """The keys under a prefix, in their order."""
        keys: list[str] = []
        more = {"list-type": "2", "prefix": prefix}
        while True:
            page = ElementTree.fromstring(await self._s3(access_key, "GET", bucket, query=more))  # noqa: S314 - our own
            space = page.tag.removesuffix("ListBucketResult")
            keys += [str(key.text) for key in page.iterfind(f"{space}Contents/{space}Key")]
            token = page.findtext(f"{space}NextContinuationToken")
            if not token:
                return keys
            more["continuation-token"] = token

    async def publish(self, access_key: str, topic: str, message: str) -> None:
        form = urlencode({"Action": "Publish", "Version": "2010-03-31", "TopicArn": topic, "Message": message})
        headers = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
        await self._send(access_key, "sns", "POST", "/", headers, form.encode())

    async def _s3(
        self,
        access_key: str,
        method: str,
        bucket: str,
        key: str = "",
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        *,
        query: Mapping[str, str] | None = None,
    ) -> bytes:
        path = f"/{bucket}/{quote(key)}" if key else f"/{bucket}?{urlencode(query or {})}"
        return await self._send(access_key, "s3", method, path, headers or {}, body)

    async def _send(
        self, access_key: str, service: str, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> bytes:
        _, region = ministack.here()
        scope = f"{access_key}/{datetime.now(UTC):%Y%m%d}/{region}/{service}/aws4_request"
        signed = {
            **headers,
            "authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=none",
        }
        url = f"http://{service}.{region}.amazonaws.com{path}"
        status, _, answer = await ministack.send(_Signed(method, url, signed, body))
        if status >= 300:
            raise CallRefused(f"{method} {path.partition('?')[0]}: {answer.decode('utf-8', 'replace')}")
        return answer
