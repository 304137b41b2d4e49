"""The embedded AWS as a process of its own: `python -m local.server`, started by `local.process`.

Its one line on stdout is a JSON object with the endpoint and the run's credentials, once it answers. It ends
on SIGTERM, and when its stdin closes: whoever started it holds the other end, however it ends itself.
"""

import argparse
import asyncio
import gc
import importlib
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import uvicorn

from local import keep, permissions


@dataclass(frozen=True)
class Ready:
    """How to reach an embedded AWS that runs."""

    endpoint: str
    region: str
    account: str
    access_key: str
    secret_key: str


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: stopping is this module's decision."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listen(port: int) -> socket.socket:
    """A listening socket on 127.0.0.1; port 0 is any free one. Raises OSError when the port is taken."""
    # asyncio sends at once (TCP_NODELAY) only on sockets that name TCP; without it each answer in two parts would
    # wait 40 ms for the client's delayed acknowledgement.
    server = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        server.bind(("127.0.0.1", port))
        server.listen(512)
    except OSError:
        server.close()
        raise
    return server


async def serve(
    server: socket.socket,
    folder: Path,
    announce: Callable[[Ready], None],
    stop: asyncio.Event,
    allowed: Path | None = None,
    kept: Path | None = None,
) -> None:
    """Serves the embedded AWS on the socket until `stop` is set, then ends every process it has started.

    `allowed` is a file for what IAM allows meanwhile, see `local.permissions`; `kept` is a folder, see `local.keep`.
    """
    port = server.getsockname()[1]
    # MiniStack reads the port when it is imported: it makes addresses for callbacks from it.
    os.environ["GATEWAY_PORT"] = str(port)
    if kept is not None:
        os.environ[keep.VARIABLE] = str(kept)
    ministack = importlib.import_module("local.ministack")
    functions = importlib.import_module("local.functions")
    endpoint = f"http://127.0.0.1:{port}"
    ministack.attach()
    if allowed is not None:
        ministack.note_allowed(permissions.notes(allowed))
    closers: list[Callable[[], Awaitable[None]]] = [functions.install(endpoint, folder / "functions")]
    for name in ("local.states", "local.sagemaker"):
        room = importlib.import_module(name)
        if hasattr(room, "install"):
            room.install()
            if hasattr(room, "close"):
                closers.append(room.close)
    closers.append(importlib.import_module("local.schedules").install(ministack))
    importlib.import_module("local.faults.service").install()
    if kept is not None:
        closers.append(await _keep(kept))
    web = _Server(
        uvicorn.Config(
            ministack.app,
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=1,
        )
    )
    serving = asyncio.create_task(web.serve([server]))
    while not web.started and not serving.done():
        await asyncio.sleep(0.005)
    # What is imported stays: the collector need not look at it again with each batch of a job.
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
    root = ministack.ROOT
    announce(Ready(endpoint, ministack.REGION, ministack.ACCOUNT, root.access_key, root.secret_key))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    web.should_exit = True
    for close in reversed(closers):
        await close()
    await serving


async def _keep(folder: Path) -> Callable[[], Awaitable[None]]:
    """Puts back what was kept in the folder, and keeps what changes from now on."""
    ministack, sagemaker = importlib.import_module("local.ministack"), importlib.import_module("local.sagemaker")
    await sagemaker.restore(keep.read(folder / "sagemaker.json") or [])

    def save() -> None:
        ministack.save_kept()
        keep.write(folder / "sagemaker.json", sagemaker.snapshot())

    keeper = keep.Keeper(save)
    ministack.note_changes(keeper.changed)
    return keeper.close


async def _main(port: int, folder: Path, allowed: Path | None, kept: Path | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, stop.set)
    loop.add_reader(sys.stdin.fileno(), stop.set)

    def announce(ready: Ready) -> None:
        print(json.dumps(asdict(ready)), flush=True)

    await serve(listen(port), folder, announce, stop, allowed, kept)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m local.server", description=__doc__.partition("\n")[0])
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=Path("build/local"))
    parser.add_argument("--allowed", type=Path, help="a file for what IAM allows")
    parser.add_argument("--keep", type=Path, help="a folder for what is to be there again")
    options = parser.parse_args()
    lock = keep.lock(options.keep) if options.keep is not None else None
    if options.keep is not None and lock is None:
        sys.exit(f"another embedded AWS keeps its things in {options.keep}: end it first")
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.WARNING)
    try:
        asyncio.run(_main(options.port, options.folder.resolve(), options.allowed, options.keep))
    except OSError as error:
        sys.exit(f"cannot listen on 127.0.0.1:{options.port}: {error.strerror}")


if __name__ == "__main__":
    main()
