"""Requests within the process, without a socket."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from local.ministack.requests import dispatch
from local.ministack.shapes import Message, Prepared, Response


async def send(request: Prepared) -> Response:
    """Answers a request in-process, without a socket: (status, headers with lower-case names, body).

    Its Authorization header names the caller, the region and the service; the signature in it is not checked,
    as whoever can call this is part of the embedded AWS. IAM is asked as for any other request.
    """
    url = urlsplit(request.url)
    content = request.body or b""
    body = content.encode() if isinstance(content, str) else bytes(content)
    headers = {str(name).lower(): _text(value) for name, value in request.headers.items()}
    headers.setdefault("host", url.netloc)
    headers["content-length"] = str(len(body))
    scope: Message = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "http",
        "method": request.method,
        "path": unquote(url.path) or "/",
        "raw_path": (url.path or "/").encode("ascii"),
        "query_string": url.query.encode(),
        "headers": [(name.encode("latin-1"), value.encode("utf-8")) for name, value in headers.items()],
        "client": ("127.0.0.1", 0),
        "server": ("127.0.0.1", 0),
    }
    query = parse_qs(url.query, keep_blank_values=True)
    started: Message = {}
    parts: list[bytes] = []

    async def collect(message: Message) -> None:
        if message["type"] == "http.response.start":
            started.update(message)
        else:
            parts.append(message.get("body", b""))

    # A task of its own: MiniStack notes account and region in context variables, which are not the caller's.
    await asyncio.create_task(dispatch(scope, headers, query, body, collect))
    names = {name.decode().lower(): value.decode("utf-8") for name, value in started["headers"]}
    return started["status"], names, b"".join(parts)


def _text(value: Any) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)
