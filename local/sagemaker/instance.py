"""One instance behind an endpoint: a model-server process with its own copy of the model."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shutil
import socket
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

import aiohttp

from local.sagemaker import archive, requirements

ROOT = Path(__file__).resolve().parents[2]
STOP_SECONDS = 5.0
LAST_LINES = 50

# -I: no site of the user, no PYTHON* variables, and the working directory is not on the path. -B: nothing is
# written beside the model. -u: what it prints is in the log at once. The project is on the path only to find the
# server, so that the model's code sees what it would see in its container.
PROGRAM = (
    "import sys; root, model, socket = sys.argv[1:]; sys.path.insert(0, root); "
    "from local.sagemaker.server import main; sys.path.remove(root); main(model, int(socket))"
)

OnLine = Callable[[str], None]


class ServerFailed(Exception):
    """The model server did not come up, or is gone; the text is its own last error."""


class Instance:
    """A running model server on 127.0.0.1. `busy` counts the requests it has not answered yet.

    `url` holds a key: whoever else finds the port, another user or a web page in a browser, gets no answer.
    """

    def __init__(self, folder: Path, url: str, process: asyncio.subprocess.Process, log: OnLine) -> None:
        self.url = url
        self.busy = 0
        self.process = process
        self._folder = folder
        self._lines: deque[str] = deque(maxlen=LAST_LINES)
        self._log = log
        self._reading = asyncio.create_task(self._read())

    @property
    def alive(self) -> bool:
        return self.process.returncode is None

    async def wait_until_ready(self, session: aiohttp.ClientSession, seconds: float) -> None:
        """Returns at the first 200 of `GET /ping`. Raises `ServerFailed` when the process ends or time runs out."""
        ended = asyncio.create_task(self.process.wait())
        ready = asyncio.create_task(self._ping(session))
        try:
            await asyncio.wait({ended, ready}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if ready.done() and not ready.cancelled() and ready.exception() is None:
                return
            if self.process.returncode is None and not ended.done():
                raise ServerFailed(f"no answer to /ping within {seconds:g} seconds")
            await self._reading
            raise ServerFailed(self.last_error() or f"it ended with status {self.process.returncode}")
        finally:
            for task in (ended, ready):
                task.cancel()
            await asyncio.gather(ended, ready, return_exceptions=True)

    async def _ping(self, session: aiohttp.ClientSession) -> None:
        # The socket listens before the server runs, so the first ping waits there and is answered as soon as
        # the model is loaded.
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                async with session.get(f"{self.url}/ping") as response:
                    if response.status == 200:
                        return
            await asyncio.sleep(0.05)

    def last_error(self) -> str:
        """The last line that the server wrote."""
        return next((line for line in reversed(self._lines) if line.strip()), "")

    async def stop(self) -> None:
        """Ends the process, if need be by force, and removes its files."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        try:
            await asyncio.wait_for(self.process.wait(), STOP_SECONDS)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            await self.process.wait()
        # A process that the model's code has started may hold the other end of the log for ever.
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    async def _read(self) -> None:
        assert self.process.stdout is not None
        rest = b""
        while chunk := await self.process.stdout.read(65536):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._note(line)
            if len(rest) > 65536:
                self._note(rest)
                rest = b""
        if rest:
            self._note(rest)

    def _note(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace")
        self._lines.append(text)
        self._log(text)


async def start(data: bytes | None, environment: Mapping[str, str], region: str, log: OnLine) -> Instance:
    """Unpacks the model and starts its server, without waiting until it answers.

    Raises `UnsafeArchive` for an archive that cannot be unpacked, and `UnmetRequirement`.
    """
    folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="sluice-instance-"))
    try:
        model = folder / "model"
        model.mkdir()
        if data is not None:
            await asyncio.to_thread(archive.extract, data, model)
            requirements.check(model)
        return await _start_process(folder, model, environment, region, log)
    except BaseException:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        raise


async def _start_process(
    folder: Path, model: Path, environment: Mapping[str, str], region: str, log: OnLine
) -> Instance:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(1024)
        port: int = listening.getsockname()[1]
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-IBu",
            "-c",
            PROGRAM,
            str(ROOT),
            str(model),
            str(listening.fileno()),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            pass_fds=[listening.fileno()],
            cwd=folder,
            env={
                # Nothing of the person's environment: no credentials, no settings.
                "PATH": "/usr/local/bin:/usr/bin:/bin",
                "LANG": "C.UTF-8",
                "HOME": str(folder),
                "TMPDIR": str(folder),
                "AWS_REGION": region,
                # Several instances share this machine: one thread each, unless the model's own setting says more.
                "OMP_NUM_THREADS": "1",
                "OPENBLAS_NUM_THREADS": "1",
                "SAGEMAKER_PROGRAM": "inference.py",
                **environment,
                # In the container these are /opt/ml and /opt/ml/model.
                "SAGEMAKER_BASE_DIR": str(folder),
                "SM_MODEL_DIR": str(model),
            },
        )
        # Through the pipe: other users can read the arguments, and the model's code the environment.
        key = secrets.token_hex(16)
        assert process.stdin is not None
        process.stdin.write(f"{key}\n".encode())
        return Instance(folder, f"http://127.0.0.1:{port}/{key}", process, log)
