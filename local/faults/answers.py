"""What a rule makes of a call to an AWS service: an error in its own words, a cut connection, a wrong body."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar
from xml.sax.saxutils import escape

from local.faults import errors
from local.faults.calls import Call
from local.faults.plan import PLAN
from local.faults.rules import Rule

Response = tuple[int, dict[str, str], bytes]
Message = dict[str, Any]
Send = Callable[[Message], Awaitable[None]]


class CallFailed(Exception):
    """A call within the embedded AWS failed: the error's name, its message and the HTTP status, 0 without one."""

    def __init__(self, code: str, message: str, status: int) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


class Answer(Protocol):
    """What a function answered."""

    @property
    def payload(self) -> bytes: ...
    @property
    def error(self) -> str | None: ...


_Answer = TypeVar("_Answer", bound=Answer)


async def around_invoke(arn: str, caller: Callable[[], str], invoke: Callable[[], Awaitable[_Answer]]) -> _Answer:
    """Invokes a function in-process, unless a rule has it otherwise. Raises `CallFailed` and `TimeoutError`."""
    rule = await PLAN.meet("lambda", "Invoke", arn, caller)
    if rule is None or not _acts(rule):
        return await invoke()
    if rule.timeout:
        raise TimeoutError
    if rule.lost is not None:
        await invoke()
    raise _failed("lambda", rule)


async def around_request(
    call: Call, caller: Callable[[], str], serve: Callable[[Send], Awaitable[None]], send: Send
) -> None:
    """Has the request served and its answer sent, unless a rule has it otherwise.

    In-process, where there is no connection, it raises `CallFailed` instead of cutting one, and `TimeoutError`.
    """
    rule = await PLAN.meet(call.service, call.action, call.resource, caller)
    if rule is None or not _acts(rule):
        await serve(send)
        return
    if rule.lost is not None:
        await serve(_discard)
    failed = _failed(call.service, rule)
    if rule.body is not None:
        response = 200, {"content-type": "application/json", "etag": '"0"'}, rule.body
    elif rule.timeout and _transport(send) is None:
        raise TimeoutError
    elif rule.timeout or failed.code in errors.CALLERS:
        await _cut(send, failed)
        return
    else:
        response = error_response(call, failed)
    await _reply(send, response)


def _acts(rule: Rule) -> bool:
    """Whether something else is to happen than the call itself."""
    return bool(rule.cut or rule.lost or rule.timeout or rule.error is not None or rule.body is not None)


def _failed(service: str, rule: Rule) -> CallFailed:
    unanswered = _internal(service) if rule.lost == "error" else "SdkClientException"
    code = unanswered if rule.error is None else rule.error
    if code in errors.CALLERS:
        return CallFailed(code, rule.message or errors.CALLERS[code], 0)
    status, message = errors.errors_of(service).get(code, (400, ""))
    return CallFailed(code, message if rule.message is None else rule.message, rule.status or status)


def _internal(service: str) -> str:
    return {"s3": "InternalError", "lambda": "ServiceException"}.get(service, "InternalFailure")


def error_response(call: Call, failed: CallFailed) -> Response:
    """The error as the service writes it. With neither a name nor a message there is nothing but the status."""
    request_id = str(uuid.uuid4())
    if not failed.code and not failed.message:
        return failed.status, {"x-amzn-requestid": request_id}, b""
    if call.protocol == "rest-xml":
        # https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html; a HEAD's answer has no body.
        inner = f"<Code>{escape(failed.code)}</Code><Message>{escape(failed.message)}</Message>"
        body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{inner}<RequestId>{request_id}</RequestId></Error>'
        headers = {"content-type": "application/xml", "x-amz-request-id": request_id}
        return failed.status, headers, b"" if call.head else body.encode()
    if call.protocol in ("query", "ec2"):
        kind = "Sender" if failed.status < 500 else "Receiver"
        inner = f"<Type>{kind}</Type><Code>{escape(failed.code)}</Code><Message>{escape(failed.message)}</Message>"
        body = f"<ErrorResponse><Error>{inner}</Error><RequestId>{request_id}</RequestId></ErrorResponse>"
        return failed.status, {"content-type": "text/xml"}, body.encode()
    document = {"__type": failed.code, "message": failed.message, "Message": failed.message}
    headers = {
        "content-type": "application/x-amz-json-1.1",
        "x-amzn-errortype": failed.code,
        "x-amzn-requestid": request_id,
    }
    return failed.status, headers, json.dumps(document).encode()


async def _reply(send: Send, response: Response) -> None:
    status, headers, body = response
    raw = [(name.encode("latin-1"), value.encode("utf-8")) for name, value in headers.items()]
    raw.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})


async def _discard(message: Message) -> None:
    """An answer that nobody gets."""


def _transport(send: Send) -> asyncio.Transport | None:
    """The connection that uvicorn's `send` writes to; it has no public name. None for a call in-process."""
    found: asyncio.Transport | None = getattr(getattr(send, "__self__", None), "transport", None)
    return found


async def _cut(send: Send, failed: CallFailed) -> None:
    """Resets the caller's connection."""
    transport = _transport(send)
    if transport is None:
        raise failed
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
    await asyncio.sleep(0)  # uvicorn learns of it, and expects no answer any more
    await asyncio.sleep(0)
