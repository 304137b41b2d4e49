"""Data capture: a share of an endpoint's requests and answers, written to S3 as its model's execution role.

https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-data-capture-endpoint.html
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlsplit

from local.sagemaker.aws import Aws, Document, Place
from local.sagemaker.fleet import Variant
from local.sagemaker.models import PRINCIPAL
from local.sagemaker.store import Endpoint

SECONDS = 1.0
"""How long captured lines are held back, to go into one object."""

JSON_TYPES, CSV_TYPES = "application/json", "text/csv"


@dataclass
class _Lines:
    """What is to be written of one variant."""

    place: Place
    endpoint: Endpoint
    variant: Variant
    lines: list[str] = field(default_factory=list)


class Capture:
    """Captures what the endpoints' configurations ask for."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        self._credit: dict[tuple[Endpoint, str], float] = {}
        self._held: dict[tuple[Endpoint, str], _Lines] = {}
        self._work: set[asyncio.Task[None]] = set()

    def note(
        self,
        place: Place,
        endpoint: Endpoint,
        variant: Variant,
        given: tuple[Mapping[str, str], bytes],
        answered: tuple[Mapping[str, str], bytes],
    ) -> None:
        """Takes in a request and its answer, each as (headers, body), if it is their turn."""
        config = endpoint.config.get("DataCaptureConfig")
        if not config or not config.get("EnableCapture", True):
            return
        of = (endpoint, variant.name)
        credit = self._credit.get(of, 0.0) + config["InitialSamplingPercentage"] / 100
        self._credit[of] = credit - 1 if (due := credit > 1 - 1e-9) else credit
        if not due:
            return
        held = self._held.get(of)
        if held is None:
            held = self._held[of] = _Lines(place, endpoint, variant)
            task = asyncio.create_task(self._write_later(held))
            self._work.add(task)
            task.add_done_callback(self._work.discard)
        held.lines.append(_line(config, given, answered))

    async def close(self) -> None:
        """Writes what is held back."""
        for task in self._work:
            task.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)

    async def _write_later(self, held: _Lines) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(SECONDS)
        del self._held[held.endpoint, held.variant.name]
        now, config = datetime.now(UTC), held.endpoint.config["DataCaptureConfig"]
        target = urlsplit(config["DestinationS3Uri"])
        folder = f"{target.path.strip('/')}/{held.endpoint.name}/{held.variant.name}/{now:%Y/%m/%d/%H}"
        key = f"{folder}/{now:%M-%S}-{now.microsecond // 1000:03d}-{uuid.uuid4()}.jsonl".lstrip("/")
        source = held.place.source_arn
        with contextlib.suppress(ValueError):  # as in AWS, a role that may not write leaves nothing
            session = self._aws.role_session(held.variant.role or "", "SageMaker", service=PRINCIPAL, source_arn=source)
            body = "".join(held.lines).encode()
            await self._aws.put_object(session.access_key, target.netloc, key, body, "application/jsonlines")


def _line(config: Document, given: tuple[Mapping[str, str], bytes], answered: tuple[Mapping[str, str], bytes]) -> str:
    modes = {option["CaptureMode"] for option in config["CaptureOptions"]}
    data = {}
    if modes & {"Input", "InputAndOutput"}:
        data["endpointInput"] = _captured(config, "INPUT", *given)
    if modes & {"Output", "InputAndOutput"}:
        data["endpointOutput"] = _captured(config, "OUTPUT", *answered)
    metadata = {"eventId": str(uuid.uuid4()), "inferenceTime": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"}
    return json.dumps({"captureData": data, "eventMetadata": metadata, "eventVersion": "0"}) + "\n"


def _captured(config: Document, mode: str, headers: Mapping[str, str], body: bytes) -> Document:
    """Text of the types that are JSON or CSV; everything else in base64."""
    kind = headers.get("content-type", "")
    named = config.get("CaptureContentTypeHeader") or {}
    plain = kind.partition(";")[0]
    for encoding, types in (
        ("JSON", named.get("JsonContentTypes") or [JSON_TYPES]),
        ("CSV", named.get("CsvContentTypes") or [CSV_TYPES]),
    ):
        if plain in types:
            text = body.decode("utf-8", "replace")
            return {"observedContentType": kind, "mode": mode, "data": text, "encoding": encoding}
    data = base64.b64encode(body).decode()
    return {"observedContentType": kind, "mode": mode, "data": data, "encoding": "BASE64"}
