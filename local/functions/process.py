"""One warm process of a function: starts `runtime.py`, gives it one invocation at a time, ends it."""

import asyncio
import importlib.util
import json
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from local.functions import runtime

# Where this project's packages are installed: `runtime.py` lets the function have some of them.
_BOTO3 = importlib.util.find_spec("boto3")
_PACKAGES = str(Path(str(_BOTO3.origin)).parent.parent) if _BOTO3 else ""


class EndedError(Exception):
    """The process ended in the middle of a call. `code` is its exit status, negative for a signal."""

    def __init__(self, code: int) -> None:
        super().__init__(f"exit status {code}")
        self.code = code


class Process(asyncio.Protocol):
    """A child process and the connection to it.

    `lines` collects (milliseconds since the epoch, text) of its log; `init_error` is the error document that
    says why the handler could not be loaded, if it could not; `stream` is its log stream's name.
    """

    def __init__(self, child: subprocess.Popen[bytes], stream: str) -> None:
        self.stream = stream
        self.loaded = False
        self.lines: list[tuple[int, str]] = []
        self.init_error: bytes | None = None
        self.idle_since = 0.0
        self._child = child
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._output: asyncio.BaseTransport | None = None
        self._answer: asyncio.Future[tuple[bytes, bytes]] = asyncio.get_running_loop().create_future()

    @property
    def alive(self) -> bool:
        return self._transport is not None and not self._transport.is_closing() and self._child.poll() is None

    async def load(self) -> None:
        """Waits until the handler is loaded, or not. Raises EndedError when the process ends over it."""
        if self._child.stdout is not None:
            loop = asyncio.get_running_loop()
            self._output, _ = await loop.connect_read_pipe(lambda: _Output(self), self._child.stdout)
        kind, body = await self._answer
        self.loaded = True
        if kind == runtime.INIT_FAILED:
            self.init_error = body

    async def call(self, header: runtime.Header, payload: bytes) -> tuple[bytes, bool]:
        """One invocation: the payload it answers, and whether that is an error document.

        Raises EndedError when the process ends before it answers.
        """
        head = json.dumps(header).encode()
        self._answer = asyncio.get_running_loop().create_future()
        if self._transport is None or self._transport.is_closing():
            self.connection_lost(None)
        else:
            self._transport.write(runtime.IN.pack(len(head), len(payload)) + head + payload)
        kind, body = await self._answer
        return body, kind == runtime.ERROR

    def close(self) -> None:
        """Ends the process now."""
        for transport in (self._transport, self._output):
            if transport is not None:
                transport.close()
        self._child.kill()
        self._child.wait()

    def kill(self) -> None:
        """Ends the process as one that is out of memory ends: whoever waits for its answer learns so."""
        self._child.kill()

    def log(self, text: str) -> None:
        self.lines.append((int(time.time() * 1000), text))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are of no class of asyncio's

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        size = runtime.OUT.size
        while len(self._buffer) >= size:
            kind, length = runtime.OUT.unpack_from(self._buffer)
            if len(self._buffer) < size + length:
                return
            body = bytes(self._buffer[size : size + length])
            del self._buffer[: size + length]
            if kind == runtime.LOG:
                self.log(body.decode("utf-8", "replace"))
            elif not self._answer.done():
                self._answer.set_result((kind, body))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer.done():
            return
        try:
            code = self._child.wait(timeout=1)
        except subprocess.TimeoutExpired:
            self._child.kill()
            code = self._child.wait()
        self._answer.set_exception(EndedError(code))


class _Output(asyncio.Protocol):
    """What native code writes to the process's own stdout and stderr, past Python's: log lines too."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def data_received(self, data: bytes) -> None:
        self._process.log(data.decode("utf-8", "replace").rstrip("\n"))


async def start(environment: Mapping[str, str], folder: Path) -> Process:
    """A process that begins to load the handler; see `Process.load`."""
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with theirs:
        # In a thread: starting a process from one as large as this one takes milliseconds.
        child = await loop.run_in_executor(None, _spawn, theirs, environment, folder)
    process = Process(child, environment["AWS_LAMBDA_LOG_STREAM_NAME"])
    await loop.connect_accepted_socket(lambda: process, ours)
    return process


def _spawn(connection: socket.socket, environment: Mapping[str, str], folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-I", "-S", str(Path(runtime.__file__).resolve()), _PACKAGES]
    return subprocess.Popen(  # noqa: S603 -- this project's own program, with no text from a caller
        command,
        stdin=connection.fileno(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=dict(environment),
        cwd=folder,
    )
