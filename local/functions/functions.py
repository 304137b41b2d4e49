"""Invokes functions: finds a version's processes, keeps its limits, answers with AWS's errors."""

import asyncio
import json
import math
import signal
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local import faults, ministack
from local.functions import process, runtime
from local.functions.code import PackageError, unpack
from local.functions.environment import environment
from local.functions.logs import Log
from local.functions.pool import Pool
from local.functions.process import EndedError, Process

# Lambda's limit on an answer: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
MAX_ANSWER = 6_291_556
# The Init phase has its own: https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
INIT_SECONDS = 10.0
TAIL = 4096


class FunctionNotFoundError(LookupError):
    """No such function, version or alias."""


@dataclass(frozen=True)
class Invocation:
    """An invocation's answer. `error` is "Unhandled" when the payload is AWS's error document.

    {"errorMessage", "errorType", "requestId", "stackTrace"}; `tail` is the end of its log.
    """

    payload: bytes
    error: str | None
    tail: str = ""


@dataclass(frozen=True)
class _Version:
    """What makes another process necessary: the code or anything of the configuration that it sees."""

    code: str
    settings: str
    access_key: str


@dataclass(frozen=True)
class _Warm:
    """A version's processes and its log."""

    version: _Version
    pool: Pool
    log: Log


class Functions:
    """The functions of one embedded AWS, in the event loop that this is made in."""

    def __init__(self, endpoint: str, folder: Path) -> None:
        self._endpoint = endpoint
        self._folder = folder
        self._warm: dict[str, _Warm] = {}
        self._running: set[asyncio.Task[Invocation]] = set()

    def attach(self) -> None:
        """Makes the Invoke API use these functions."""

        def execute(function: ministack.Function, payload: bytes, request_id: str) -> tuple[bytes, str | None, str]:
            done = ministack.run_on_loop(self._invoke(function, payload, request_id))
            return done.payload, done.error, done.tail

        ministack.replace_executor(execute)

    async def invoke(self, function_arn_or_name: str, payload: bytes, *, compact_below: int = 0) -> Invocation:
        """Runs the function, version or alias on a JSON payload. Who may do so is the caller's to ask.

        It runs to its end also when the caller is cancelled, as in AWS. `compact_below`: see `runtime.Header`.
        Raises FunctionNotFoundError, and ministack.RoleError when Lambda cannot assume the function's role.
        """
        function = ministack.find_function(function_arn_or_name)
        if function is None:
            raise FunctionNotFoundError(f"Function not found: {function_arn_or_name}")
        return await self._invoke(function, payload, str(uuid.uuid4()), compact_below)

    async def close(self) -> None:
        """Ends every process."""
        for warm in self._warm.values():
            warm.pool.close()
            warm.log.write()
        self._warm.clear()
        if self._running:
            await asyncio.wait(self._running)

    async def _invoke(
        self, function: ministack.Function, payload: bytes, request_id: str, compact_below: int = 0
    ) -> Invocation:
        running = asyncio.create_task(self._run(function, payload, request_id, compact_below))
        self._running.add(running)
        running.add_done_callback(self._running.discard)
        return await asyncio.shield(running)

    def _processes(self, function: ministack.Function) -> _Warm:
        """The version's processes; new ones when its code or configuration has changed since the last call."""
        config = function.config
        version = str(config.get("Version", "$LATEST"))
        unqualified = ":".join(str(config["FunctionArn"]).split(":")[:7])
        arn = f"{unqualified}:{version}"
        role, name = str(config.get("Role", "")), str(config["FunctionName"])
        credentials = ministack.role_session(role, name, service="lambda.amazonaws.com", source_arn=unqualified)
        seen = ("Handler", "Runtime", "MemorySize", "Environment", "LoggingConfig")
        settings = repr([config.get(name) for name in seen])
        wanted = _Version(str(config.get("CodeSha256")), settings, credentials.access_key)
        known = self._warm.get(arn)
        if known is not None:
            if known.version == wanted:
                return known
            known.pool.retire()

        async def start() -> Process:
            loop = asyncio.get_running_loop()
            folder = await loop.run_in_executor(None, unpack, function.code, self._folder)
            variables = environment(config, credentials, self._endpoint, folder)
            return await process.start(variables, folder)

        self._warm[arn] = _Warm(wanted, Pool(start), Log(config, credentials.access_key))
        return self._warm[arn]

    async def _run(
        self, function: ministack.Function, payload: bytes, request_id: str, compact_below: int
    ) -> Invocation:
        config = function.config
        try:
            warm = self._processes(function)
            async with warm.pool.process() as worker:
                started = time.perf_counter()
                version = config.get("Version", "$LATEST")
                worker.log(f"START RequestId: {request_id} Version: {version}")
                rule = await faults.meet("function", "Run", str(config["FunctionArn"])) if faults.watching() else None
                body, failed = await _answer(worker, config, payload, request_id, compact_below, rule)
                worker.log(f"END RequestId: {request_id}")
                worker.log(_report(config, request_id, time.perf_counter() - started))
                lines, worker.lines = worker.lines, []
        except PackageError as error:
            return Invocation(_document("InvalidZipFileException", str(error), request_id), "Unhandled")
        warm.log.add(worker.stream, lines)
        return Invocation(body, "Unhandled" if failed else None, "\n".join(text for _, text in lines)[-TAIL:])


async def _answer(
    worker: Process,
    config: Mapping[str, Any],
    payload: bytes,
    request_id: str,
    compact_below: int,
    rule: faults.Rule | None,
) -> tuple[bytes, bool]:
    """The payload and whether it is an error document. A process that must not be used again is closed."""
    timeout = float(config.get("Timeout", 3))
    try:
        if not worker.loaded:
            async with asyncio.timeout(INIT_SECONDS + timeout):
                await worker.load()
        if worker.init_error is not None:
            return json.dumps(json.loads(worker.init_error) | {"requestId": request_id}).encode(), True
        async with asyncio.timeout(timeout):
            if rule is not None:
                if rule.error is not None:
                    return _document(rule.error, rule.message or "", request_id), True
                if rule.timeout:
                    raise TimeoutError
                if rule.kill:
                    worker.kill()
            header = runtime.Header(
                request_id=request_id,
                arn=str(config["FunctionArn"]),
                deadline=time.time() + timeout,
                compact_below=compact_below,
            )
            body, failed = await worker.call(header, payload)
    except TimeoutError:
        worker.close()
        worker.log(f"{_now()} {request_id} Task timed out after {timeout:.2f} seconds")
        message = f"RequestId: {request_id} Error: Task timed out after {timeout:.2f} seconds"
        return _document("Sandbox.Timedout", message, request_id), True
    except EndedError as ended:
        message = f"RequestId: {request_id} Error: {_ending(ended.code)}"
        worker.log(message)
        return _document("Runtime.ExitError", message, request_id), True
    if rule is not None and rule.body is not None:
        body, failed = rule.body, False
    if len(body) > MAX_ANSWER:
        message = f"Response payload size exceeded maximum allowed payload size ({MAX_ANSWER} bytes)."
        return _document("Function.ResponseSizeTooLarge", message, request_id), True
    return body, failed


def _ending(code: int) -> str:
    if code == 0:
        return "Runtime exited without providing a reason"
    if code < 0:
        name = (signal.strsignal(-code) or str(-code)).lower()
        return f"Runtime exited with error: signal: {name}"
    return f"Runtime exited with error: exit status {code}"


def _document(kind: str, message: str, request_id: str) -> bytes:
    return json.dumps({"errorMessage": message, "errorType": kind, "requestId": request_id}).encode()


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()) + f".{time.time_ns() // 1_000_000 % 1000:03d}Z"


def _report(config: Mapping[str, Any], request_id: str, seconds: float) -> str:
    duration = seconds * 1000
    return (
        f"REPORT RequestId: {request_id}\tDuration: {duration:.2f} ms\t"
        f"Billed Duration: {math.ceil(duration)} ms\tMemory Size: {config.get('MemorySize', 128)} MB"
    )
