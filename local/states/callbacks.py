"""Tasks that wait until whoever holds their token says how they ended."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass, field
from typing import Any

from local.states.failures import StateFailure

Json = Any

TOKEN_BYTES = 384
"""AWS says only that a token has at most 2,048 characters; one of this many bytes has 512."""


class NoSuchTask(Exception):
    """No task waits with this token, or no longer."""


@dataclass
class Waiting:
    """One task: its token, what it was told, and when something was last heard of it."""

    token: str
    told: asyncio.Future[Json] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    heard: asyncio.Event = field(default_factory=asyncio.Event)

    async def outcome(self, heartbeat: float | None) -> Json:
        """What the task gives, once that is known. Raises `StateFailure` when it failed.

        `TimeoutError` after `heartbeat` seconds without a sign of it.
        https://docs.aws.amazon.com/step-functions/latest/dg/connect-to-resource.html#connect-wait-token
        """
        while not self.told.done():
            self.heard.clear()
            heard = asyncio.ensure_future(self.heard.wait())
            try:
                done, _ = await asyncio.wait({heard, self.told}, timeout=heartbeat, return_when=asyncio.FIRST_COMPLETED)
            finally:
                heard.cancel()
            if not done:
                raise TimeoutError
        return self.told.result()


class Callbacks:
    """All tasks of an engine that wait, by their tokens."""

    def __init__(self) -> None:
        self._waiting: dict[str, Waiting] = {}

    def begin(self) -> Waiting:
        """A task with a token of its own; `end` forgets it."""
        waiting = Waiting(secrets.token_urlsafe(TOKEN_BYTES))
        self._waiting[waiting.token] = waiting
        return waiting

    def end(self, waiting: Waiting) -> None:
        """Nothing that is said of the task counts any more."""
        self._waiting.pop(waiting.token, None)

    def succeed(self, token: str, output: Json) -> None:
        """The task gives `output`. Raises `NoSuchTask`."""
        self._take(token).told.set_result(output)

    def fail(self, token: str, error: str | None, cause: str | None) -> None:
        """The task fails. Raises `NoSuchTask`."""
        self._take(token).told.set_exception(StateFailure(error, cause))

    def beat(self, token: str) -> None:
        """The task is still at work. Raises `NoSuchTask`."""
        self._find(token).heard.set()

    def _find(self, token: str) -> Waiting:
        if (waiting := self._waiting.get(token)) is None:
            raise NoSuchTask
        return waiting

    def _take(self, token: str) -> Waiting:
        waiting = self._find(token)
        del self._waiting[token]
        return waiting
