"""The child program that runs one Lambda function's handler, started by `process.py`.

It imports nothing of this project, and lets the handler import what it could import in AWS: its own folder,
the standard library, and the packages of Lambda's Python runtime. It speaks frames over the socket that is
its stdin: in, a length each for a JSON header and the payload, then both; out, a kind, a length and a body.
Documents are read and written with a fast library that the handler cannot see, wherever that gives the same.

Its errors are those of AWS's own client: https://github.com/aws/aws-lambda-python-runtime-interface-client
"""

import decimal
import importlib
import importlib.abc
import importlib.machinery
import io
import json
import logging
import os
import select
import socket
import struct
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, TypedDict

# boto3 and what it needs: https://docs.aws.amazon.com/lambda/latest/dg/lambda-python.html
RUNTIME_PACKAGES = ("boto3", "botocore", "dateutil", "jmespath", "s3transfer", "six", "urllib3")

IN = struct.Struct("!II")
OUT = struct.Struct("!cI")
READY, INIT_FAILED, RESULT, ERROR, LOG = b"I", b"X", b"R", b"E", b"L"


class Header(TypedDict):
    """What a call brings beside its payload. `deadline` is in seconds since the epoch.

    `compact_below`: an answer of fewer bytes may come without the blanks that Lambda writes, as its caller only
    reads it; 0 where the caller is to see Lambda's very text.
    """

    request_id: str
    arn: str
    deadline: float
    compact_below: int


Handler = Callable[[Any, "Context"], Any]

_ATOMS = frozenset({str, int, float, bool, type(None)})
_DIGITS = bytes(ord("0") if chr(byte).isdigit() else ord(" ") for byte in range(256))


class _RuntimePackages(importlib.abc.MetaPathFinder):
    """Finds the runtime's packages, and no others, where this project's own packages are installed."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if path is None and fullname in RUNTIME_PACKAGES:
            return importlib.machinery.PathFinder.find_spec(fullname, [self._folder], target)
        return None


class Context:
    """Lambda's context object: https://docs.aws.amazon.com/lambda/latest/dg/python-context.html"""

    identity = None
    client_context = None

    def __init__(self, header: Header) -> None:
        self.aws_request_id = header["request_id"]
        self.invoked_function_arn = header["arn"]
        self.function_name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
        self.function_version = os.environ["AWS_LAMBDA_FUNCTION_VERSION"]
        self.memory_limit_in_mb = os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]
        self.log_group_name = os.environ["AWS_LAMBDA_LOG_GROUP_NAME"]
        self.log_stream_name = os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]
        self._deadline = header["deadline"]

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self._deadline - time.time()) * 1000))


class _Channel:
    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._reader = connection.makefile("rb")
        self._sending = threading.Lock()

    def send(self, kind: bytes, body: bytes) -> None:
        with self._sending:
            self._connection.sendall(OUT.pack(kind, len(body)) + body)

    def receive(self) -> tuple[Header, bytes] | None:
        lengths = self._reader.read(IN.size)
        if len(lengths) < IN.size:
            return None
        header, payload = IN.unpack(lengths)
        return json.loads(self._reader.read(header)), self._reader.read(payload)


class _LogStream(io.TextIOBase):
    """stdout or stderr of the handler: each line goes out at once, so that a killed function's log is whole."""

    def __init__(self, channel: _Channel) -> None:
        self._channel = channel
        self._line = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, self._line = (self._line + text).split("\n")
        if lines:
            self._channel.send(LOG, "\n".join(lines).encode("utf-8", "backslashreplace"))
        return len(text)

    def finish(self) -> None:
        if self._line:
            self.write("\n")


class _LogHandler(logging.Handler):
    def __init__(self, channel: _Channel) -> None:
        super().__init__()
        self._channel = channel
        self.request_id = ""

    def emit(self, record: logging.LogRecord) -> None:
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = f"[{record.levelname}]\t{at}.{int(record.msecs):03d}Z\t{self.request_id}\t{self.format(record)}"
        self._channel.send(LOG, line.encode("utf-8", "backslashreplace"))


def _error(kind: str, message: str, request_id: str = "", trace: list[str] | None = None) -> bytes:
    document = {
        "errorMessage": message,
        "errorType": kind,
        "requestId": request_id,
        "stackTrace": trace or [],
    }
    return json.dumps(document).encode()


def _raised(error: BaseException, request_id: str) -> bytes:
    # The frames of this file and of the import system are not the function's.
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename != __file__ and not frame.filename.startswith("<frozen importlib")
    ]
    return _error(type(error).__name__, str(error), request_id, traceback.format_list(frames))


def _load(handler: str) -> tuple[Handler | None, bytes]:
    """The handler function, or None and the error document that AWS gives for why not."""
    module_name, dot, function_name = handler.rpartition(".")
    if not dot:
        message = f"Bad handler '{handler}': not enough values to unpack (expected 2, got 1)"
        return None, _error("Runtime.MalformedHandlerName", message)
    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as error:
        message = f"Unable to import module '{module_name}': {error}"
        return None, _error("Runtime.ImportModuleError", message)
    except SyntaxError as error:
        message = f"Syntax error in module '{module_name}': {error}"
        trace = [f'  File "{error.filename}" Line {error.lineno}\n    {error.text}']
        return None, _error("Runtime.UserCodeSyntaxError", message, trace=trace)
    except Exception as error:
        return None, _raised(error, "")
    found = getattr(module, function_name, None)
    if found is None:
        message = f"Handler '{function_name}' missing on module '{module_name}'"
        return None, _error("Runtime.HandlerNotFound", message)
    return found, b""


def _take_orjson(folder: str) -> ModuleType:
    """The library, imported from where this project's packages are, and forgotten: it is not in Lambda's runtime."""
    sys.path.append(folder)
    try:
        return importlib.import_module("orjson")
    finally:
        sys.path.remove(folder)
        for name in [name for name in sys.modules if name.partition(".")[0] == "orjson"]:
            del sys.modules[name]


class Codec:
    """Reads payloads and writes answers as Lambda's runtime does, which uses the standard library's `json`."""

    def __init__(self, orjson: ModuleType) -> None:
        self._orjson = orjson

    def loads(self, payload: bytes) -> Any:
        """`json.loads`, three times as fast. Raises ValueError."""
        # orjson would read a whole number beyond 64 bits as a float.
        if b"0" * 19 not in payload.translate(_DIGITS):
            try:
                return self._orjson.loads(payload)
            except ValueError:  # NaN, half a surrogate pair: the standard library takes them
                pass
        return json.loads(payload)

    def dumps(self, answer: Any, compact_below: int) -> bytes:
        """The answer as Lambda writes it, or, five times as fast, without its blanks: see `Header`.

        Raises TypeError and ValueError.
        """
        if compact_below and _only_json(answer):
            try:
                text: bytes = self._orjson.dumps(answer)
            except TypeError:  # a whole number beyond 64 bits, half a surrogate pair
                pass
            else:
                # Blanks never double a text. orjson writes null for NaN, which Lambda writes as it is.
                if 2 * len(text) < compact_below and b"null" not in text:
                    return text
        return json.dumps(answer, ensure_ascii=False, default=_plain).encode()


def _only_json(value: Any) -> bool:
    """Whether it is made of JSON's own types alone: orjson also writes some that the standard library refuses."""
    kind = type(value)
    try:
        if kind is list or kind is tuple:
            return _ATOMS.issuperset(map(type, value)) or all(map(_only_json, value))
        if kind is dict:
            return all(type(key) is str for key in value) and all(map(_only_json, value.values()))
    except RecursionError:
        return False
    return kind in _ATOMS


def _plain(value: Any) -> Any:
    if isinstance(value, decimal.Decimal):
        return float(value)
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def _run(handler: Handler, codec: Codec, header: Header, payload: bytes) -> tuple[bytes, bytes, str]:
    """(frame kind, body, text for the log) of one invocation."""
    request_id = header["request_id"]
    try:
        answer = handler(codec.loads(payload), Context(header))
    except Exception as error:
        return (
            ERROR,
            _raised(error, request_id),
            "[ERROR] " + "".join(traceback.format_exception(error)).rstrip(),
        )
    try:
        return RESULT, codec.dumps(answer, header["compact_below"]), ""
    except (TypeError, ValueError) as error:
        message = f"Unable to marshal response: {error}"
        return (
            ERROR,
            _error("Runtime.MarshalError", message, request_id),
            f"[ERROR] Runtime.MarshalError: {message}",
        )


def _end_with_parent(connection: socket.socket) -> None:
    """Ends this process when its parent is gone, also in the middle of a handler that never returns."""
    poll = select.poll()
    poll.register(connection, 0)
    poll.poll()
    os._exit(1)


def main() -> None:
    connection = socket.socket(fileno=os.dup(0))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    channel = _Channel(connection)
    threading.Thread(target=_end_with_parent, args=(connection,), daemon=True).start()
    streams = [_LogStream(channel), _LogStream(channel)]
    sys.stdout, sys.stderr = streams
    logs = _LogHandler(channel)
    logging.getLogger().addHandler(logs)
    codec = Codec(_take_orjson(sys.argv[1]))
    sys.path.insert(0, os.environ["LAMBDA_TASK_ROOT"])
    sys.meta_path.append(_RuntimePackages(sys.argv[1]))
    handler, problem = _load(os.environ["_HANDLER"])
    for stream in streams:
        stream.finish()
    if handler is None:
        channel.send(INIT_FAILED, problem)
        return
    channel.send(READY, b"")
    while (call := channel.receive()) is not None:
        header, payload = call
        logs.request_id = header["request_id"]
        kind, body, problem_text = _run(handler, codec, header, payload)
        for stream in streams:
            stream.finish()
        if problem_text:
            channel.send(LOG, problem_text.encode("utf-8", "backslashreplace"))
        channel.send(kind, body)


if __name__ == "__main__":
    main()
