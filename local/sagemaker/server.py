"""The model server: a process of its own that answers SageMaker's container contract for one model archive.

`GET /ping` is 200 once the model is loaded; `POST /invocations` runs it. Both lie below a key, the one line that
comes on stdin: who does not know it is not answered. The process serves a listening socket that it inherits, and
ends when its stdin closes: whoever started it holds the other end, so no server outlives its endpoint, however
the parent ends. It exits with status 1 and the reason on stderr when the model does not load.
https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import sys
import threading
import time
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import uvicorn
from starlette.requests import Request
from starlette.responses import Response

from local.sagemaker import script_mode

Scope = dict[str, Any]
App = Callable[[Scope, Callable[..., Any], Callable[..., Any]], Awaitable[None]]


def application(script: script_mode.Script, key: str) -> App:
    """The container contract as an ASGI application, at `/<key>/ping` and `/<key>/invocations`.

    The model runs on the event loop itself: one process serves one request at a time, as one worker of AWS's
    containers does, and a thread would only add its hand-over to each call.
    """

    async def app(scope: Scope, receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        route = scope["method"], scope["path"]
        if route == ("POST", f"/{key}/invocations"):
            request = Request(scope, receive)
            response = _invoke(script, await request.body(), request)
        elif route == ("GET", f"/{key}/ping"):
            response = Response(status_code=200)
        else:
            response = Response("nothing is here", status_code=404)
        await response(scope, receive, send)

    return app


def _invoke(script: script_mode.Script, body: bytes, request: Request) -> Response:
    headers = request.headers
    try:
        answer, content_type = script.answer(body, headers.get("content-type"), headers.get("accept"))
    except Exception as error:
        trace = traceback.format_exc()
        print(trace, file=sys.stderr, flush=True)
        status = getattr(error, "status_code", None)
        message = getattr(error, "message", None) if isinstance(status, int) else str(error)
        code = status if isinstance(status, int) else 500
        return Response(f"{message or 'Invalid Request'}\n{trace}", status_code=code, media_type="text/plain")
    return Response(answer, headers={"content-type": content_type})


GRACE_SECONDS = 3.0
_removing = threading.Lock()


def _remove(folder: Path) -> None:
    """Removes the instance's folder: one thread at a time, or the process ends while the other is half-way."""
    with _removing:
        shutil.rmtree(folder, ignore_errors=True)


def _end_with_parent(servers: list[uvicorn.Server], folder: Path) -> None:
    """Waits for stdin to close, then lets requests under way finish, but not for ever."""
    # The descriptor itself: a daemon thread that holds sys.stdin's lock would break the interpreter's exit.
    while os.read(0, 4096):
        pass
    if servers:
        servers[0].should_exit = True
        time.sleep(GRACE_SECONDS + 1)
    _remove(folder)
    os._exit(0)


def main(model_dir: str, descriptor: int) -> None:
    """Loads the model in `model_dir` and serves it on the inherited socket until stdin closes.

    The folder around `model_dir` is the instance's own and goes with it.
    """
    servers: list[uvicorn.Server] = []
    folder = Path(model_dir).parent
    key = os.read(0, 4096).decode().strip()
    threading.Thread(target=_end_with_parent, args=[servers, folder], daemon=True).start()
    try:
        script = script_mode.load(Path(model_dir))
    except BaseException:
        # Also a program that calls sys.exit(): its server cannot serve, and this says why.
        # Without a parent there is nobody to tell, and the pipe is broken.
        with contextlib.suppress(OSError):
            traceback.print_exc()
        _remove(folder)
        sys.exit(1)
    config = uvicorn.Config(
        application(script, key),
        log_level="warning",
        access_log=False,
        lifespan="off",
        ws="none",
        server_header=False,
        date_header=False,
        # The embedded AWS keeps its connections; a server that closed one first would lose a request.
        timeout_keep_alive=3600,
        timeout_graceful_shutdown=int(GRACE_SECONDS),
    )
    servers.append(uvicorn.Server(config))
    servers[0].run(sockets=[socket.socket(fileno=descriptor)])
    # The parent does so too, if it lives.
    _remove(folder)
