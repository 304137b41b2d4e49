"""InvokeEndpointAsync: requests that wait in a queue, answered into S3, with a notification for each."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import json
import time
import uuid
from collections import deque
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol
from urllib.parse import urlsplit

from local.sagemaker.aws import Aws, Document, Place, Request, Response
from local.sagemaker.errors import AwsError, unserved
from local.sagemaker.models import PRINCIPAL
from local.sagemaker.store import Endpoint

MAX_INPUT = 2**30
"""What an input object may weigh: https://docs.aws.amazon.com/sagemaker/latest/dg/async-inference.html"""

TTL_SECONDS, MAX_TTL = 21_600, 21_600
SECONDS, MAX_SECONDS = 900, 3_600
"""How long a request may wait, and be worked on, by default and at most.
https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpointAsync.html
"""

CONCURRENCY = 4
"""How many requests an instance gets at once where the configuration does not say: AWS chooses then."""

HEADER = "x-amzn-sagemaker-"
UNSERVED = {"s3outputpathextension": "S3OutputPathExtension", "filename": "Filename"}


class Ask(Protocol):
    """Sends a body with its headers to a server of the endpoint. Raises `AwsError`."""

    def __call__(
        self, place: Place, endpoint: Endpoint, body: bytes, headers: dict[str, str], *, seconds: float
    ) -> Awaitable[Response]: ...


@dataclass(frozen=True)
class Invocation:
    """One request in the queue; `received` and `expires` are seconds since 1970."""

    id: str
    input: str
    output: str
    failure: str | None
    headers: dict[str, str]
    received: float
    expires: float
    seconds: float


class Queue:
    """The requests of one endpoint: as many at work at once as its instances take."""

    def __init__(self, place: Place, endpoint: Endpoint, aws: Aws, ask: Ask) -> None:
        self._place, self._endpoint, self._aws, self._ask = place, endpoint, aws, ask
        self._busy = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._work: set[asyncio.Task[None]] = set()

    def add(self, request: Request) -> Response:
        """Takes the request in: 202 with its id and where its answer will lie. Raises `AwsError`."""
        invocation = _invocation(self._endpoint, request)
        task = asyncio.get_running_loop().create_task(self._carry_out(invocation), context=contextvars.copy_context())
        self._work.add(task)
        task.add_done_callback(self._work.discard)
        headers = {"content-type": "application/json", f"{HEADER}outputlocation": invocation.output}
        if invocation.failure is not None:
            headers[f"{HEADER}failurelocation"] = invocation.failure
        return 202, headers, json.dumps({"InferenceId": invocation.id}).encode()

    @property
    def capacity(self) -> int:
        """How many requests the endpoint takes at once, as it is configured now and with the instances it has."""
        client = self._endpoint.config["AsyncInferenceConfig"].get("ClientConfig") or {}
        instances = sum(variant.count for variant in self._endpoint.fleet.variants) if self._endpoint.fleet else 0
        return int(client.get("MaxConcurrentInvocationsPerInstance", CONCURRENCY) * instances)

    @property
    def backlog(self) -> int:
        """How many requests wait or are worked on."""
        return len(self._waiting) + self._busy

    def admit(self) -> None:
        """Lets requests begin, the oldest first, as many as the instances take."""
        while self._waiting and self._busy < self.capacity:
            self._busy += 1
            self._waiting.popleft().set_result(None)

    def close(self) -> list[asyncio.Task[None]]:
        """Forgets every request, those at work too; they are gone when the tasks have ended."""
        self._waiting.clear()
        for task in self._work:
            task.cancel()
        return list(self._work)

    async def _carry_out(self, invocation: Invocation) -> None:
        waits = True
        while waits:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            self.admit()
            await turn
            try:
                waits = not await self._answer(invocation)
            finally:
                self._busy -= 1
                self.admit()

    async def _answer(self, invocation: Invocation) -> bool:
        """Whether something has come of the request; not when the last instance went as it was about to begin."""
        key = self._access_key()
        try:
            content_type = await self._predict(key, invocation)
        except (AwsError, ValueError, LookupError) as problem:
            if isinstance(problem, AwsError) and problem.code == "ServiceUnavailable" and not self.capacity:
                return False
            reason = f"ClientError: {problem}"
            if invocation.failure is not None:
                with contextlib.suppress(ValueError):  # nobody else is there to be told
                    await self._aws.put_object(key, *_location(invocation.failure), reason.encode(), "text/plain")
            await self._notify(key, invocation, None, reason)
        else:
            await self._notify(key, invocation, {"contentType": content_type, "outputLocation": invocation.output})
        return True

    async def _predict(self, key: str, invocation: Invocation) -> str:
        """Stores the model's answer, and gives its content type."""
        if time.time() > invocation.expires:
            raise AwsError("RequestExpired", "The request was in the queue for longer than RequestTTLSeconds.")
        body = await self._aws.get_object(key, *_location(invocation.input))
        if len(body) > MAX_INPUT:
            raise AwsError("PayloadTooLarge", f"The input is larger than {MAX_INPUT} bytes.")
        _, headers, answer = await self._ask(
            self._place, self._endpoint, body, invocation.headers, seconds=invocation.seconds
        )
        await self._aws.put_object(key, *_location(invocation.output), answer, headers["content-type"])
        return headers["content-type"]

    def _access_key(self) -> str:
        """Of the role that the model runs as: AWS reads, writes and publishes with it."""
        fleet = self._endpoint.fleet
        role = fleet.variants[0].role if fleet is not None else None
        source = self._place.source_arn
        try:
            session = self._aws.role_session(role or "", "SageMaker", service=PRINCIPAL, source_arn=source)
            return session.access_key
        except ValueError:
            return ""  # what it asks for is refused

    async def _notify(
        self, key: str, invocation: Invocation, response: Document | None, reason: str | None = None
    ) -> None:
        """Publishes what became of the request, if there is a topic for it.

        https://docs.aws.amazon.com/sagemaker/latest/dg/async-inference-check-predictions.html
        """
        config = self._endpoint.config["AsyncInferenceConfig"]["OutputConfig"].get("NotificationConfig") or {}
        topic = config.get("ErrorTopic" if reason else "SuccessTopic")
        if topic is None:
            return
        given = {"contentType": "content-type", "accept": "accept"}
        message: Document = {
            "awsRegion": self._place.region,
            "eventTime": _stamp(time.time()),
            "receivedTime": _stamp(invocation.received),
            "invocationStatus": "Failed" if reason else "Completed",
            **({"failureReason": reason} if reason else {}),
            "requestParameters": {
                **{name: invocation.headers[header] for name, header in given.items() if header in invocation.headers},
                "endpointName": self._endpoint.name,
                "inputLocation": invocation.input,
            },
            **({"responseParameters": response} if response else {}),
            "inferenceId": invocation.id,
            "eventVersion": "1.0",
            "eventSource": "aws:sagemaker",
            "eventName": "InferenceResult",
        }
        with contextlib.suppress(ValueError):  # as in AWS, a role that may not publish leaves no notification
            await self._aws.publish(key, topic, json.dumps(message))


def _invocation(endpoint: Endpoint, request: Request) -> Invocation:
    if request.body:
        raise unserved("Body of InvokeEndpointAsync")
    for header, parameter in UNSERVED.items():
        if HEADER + header in request.headers:
            raise unserved(parameter)
    source = request.headers.get(f"{HEADER}inputlocation", "")
    _location(source)
    output = endpoint.config["AsyncInferenceConfig"]["OutputConfig"]
    identity = str(uuid.uuid4())
    failures = output.get("S3FailurePath")
    names = {"content-type": "content-type", "accept": "accept", "custom-attributes": f"{HEADER}custom-attributes"}
    now = time.time()
    return Invocation(
        id=request.headers.get(f"{HEADER}inference-id", identity),
        input=source,
        output=f"{output['S3OutputPath'].rstrip('/')}/{identity}.out",
        failure=f"{failures.rstrip('/')}/{identity}-error.out" if failures else None,
        headers={to: request.headers[HEADER + name] for name, to in names.items() if HEADER + name in request.headers},
        received=now,
        expires=now + _whole(request, "requestttlseconds", TTL_SECONDS, 60, MAX_TTL),
        seconds=_whole(request, "invocationtimeoutseconds", SECONDS, 1, MAX_SECONDS),
    )


def _whole(request: Request, name: str, usual: int, least: int, most: int) -> int:
    text = request.headers.get(HEADER + name, str(usual))
    if not text.isdecimal() or not least <= int(text) <= most:
        raise AwsError("ValidationError", f"{name} must be {least} to {most}, received {text}.")
    return int(text)


def _location(uri: str) -> tuple[str, str]:
    """(bucket, key) of an s3:// address."""
    parts = urlsplit(uri)
    if parts.scheme != "s3" or not parts.netloc or not parts.path.strip("/"):
        raise AwsError("ValidationError", f"InputLocation must be s3://bucket/key, received {uri!r}.")
    return parts.netloc, parts.path.lstrip("/")


def _stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
