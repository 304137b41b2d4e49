"""How requests are answered: refusals in each protocol's shape, and the sending of an answer."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from xml.sax.saxutils import escape

from local.ministack.privates import iam_actions
from local.ministack.shapes import Response, Send


def error_body(message: str, code: str = "UnknownOperationException") -> bytes:
    """An error as AWS's JSON protocols write it."""
    return json.dumps({"__type": code, "message": message}).encode()


def refusal(service: str, headers: dict[str, str], code: str, message: str) -> Response:
    """An error in the shape that the service's protocol has for it."""
    request_id = str(uuid.uuid4())
    status, names, body = iam_actions.access_denied_response(
        service, "", "", request_id, error_code=code, message=message, headers=headers
    )
    return status, dict(names), body


def unknown_service(service: str, headers: Mapping[str, str]) -> Response:
    """The answer for a service that the embedded AWS does not have."""
    message = f"The embedded AWS has no service {service!r}"
    if headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        error = f"<Type>Sender</Type><Code>InvalidAction</Code><Message>{escape(message)}</Message>"
        body = f"<ErrorResponse><Error>{error}</Error></ErrorResponse>"
        return 400, {"content-type": "text/xml"}, body.encode()
    return 400, {"content-type": "application/json"}, error_body(message)


async def reply(send: Send, response: Response) -> None:
    """Sends a whole answer."""
    status, headers, body = response
    names = {**{name.lower(): value for name, value in headers.items()}, "content-length": str(len(body))}
    raw = [(name.encode("latin-1"), str(value).encode("utf-8")) for name, value in names.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
