"""What the embedded AWS keeps on disk when it is asked to: all is there again however it ended, killed or not.

Stacks, roles, functions, endpoints and the like are written a moment after a request that may have changed them;
objects, executions and state machines as they come. Executions that ran when it ended run no more.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

Json = Any

VARIABLE = "SLUICE_KEEP"
"""The environment variable that names the folder, for modules that are configured when they are imported."""

SETTLE_SECONDS = 0.2


def folder() -> Path | None:
    """Where to keep things; None where nothing is to be kept."""
    named = os.environ.get(VARIABLE)
    return Path(named) if named else None


def lock(path: Path) -> IO[str] | None:
    """Takes the folder for this process, until it ends; None where another has it."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    held = (path / "lock").open("w")
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        held.close()
        return None
    return held


def read(path: Path) -> Json:
    """The JSON document in the file; None when there is none."""
    return json.loads(path.read_text("utf-8")) if path.exists() else None


def write(path: Path, document: Json) -> None:
    """Writes the document whole or not at all, for this user alone: it may hold keys."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.new")
    unfinished.touch(mode=0o600)
    unfinished.write_text(json.dumps(document), "utf-8")
    unfinished.replace(path)


class Keeper:
    """Calls `save` a moment after `changed`, however often that was called meanwhile, and at the end."""

    def __init__(self, save: Callable[[], None]) -> None:
        self._save = save
        self._waiting: asyncio.TimerHandle | None = None

    def changed(self) -> None:
        """Notes that there is something new to keep."""
        if self._waiting is None:
            self._waiting = asyncio.get_running_loop().call_later(SETTLE_SECONDS, self._now)

    def _now(self) -> None:
        self._waiting = None
        self._save()

    async def close(self) -> None:
        """Saves for the last time."""
        if self._waiting is not None:
            self._waiting.cancel()
        self._save()
