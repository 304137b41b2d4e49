"""Writes a function version's log lines to its log group, with its role's permission."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from local import logs
from local.functions.environment import log_group
from local.logs import Line

# Lines of a busy function are written together this often; asking IAM for each call would cost a third of it.
BUSY_SECONDS = 0.01


class Log:
    """The log of one version of a function. As in AWS, a role that may not write leaves no log and no error."""

    def __init__(self, config: Mapping[str, Any], access_key: str) -> None:
        _, _, _, self._region, self._account, *_ = str(config["FunctionArn"]).split(":")
        self._group = log_group(config)
        self._access_key = access_key
        self._waiting: dict[str, list[Line]] = {}
        self._written = 0.0
        self._timer: asyncio.Handle | None = None

    def add(self, stream: str, lines: list[Line]) -> None:
        """Takes (milliseconds since the epoch, text) lines, and returns before they are written."""
        self._waiting.setdefault(stream, []).extend(lines)
        if self._timer is None:
            loop = asyncio.get_running_loop()
            busy = time.monotonic() - self._written < BUSY_SECONDS
            self._timer = loop.call_later(BUSY_SECONDS, self.write) if busy else loop.call_soon(self.write)

    def write(self) -> None:
        """Writes what has been added so far."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._written = time.monotonic()
        waiting, self._waiting = self._waiting, {}
        for stream, lines in waiting.items():
            logs.write(self._access_key, self._group, stream, lines, account=self._account, region=self._region)
