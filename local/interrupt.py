"""Ctrl-C and SIGTERM as an exception that never comes between a process's start and the note of it."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

NUMBERS = (signal.SIGINT, signal.SIGTERM)


class InterruptError(BaseException):
    """A signal asked the command to end. `running` tells whether it had come to run."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number
        self.running = False


_held = 0
_came: list[int] = []


def catch() -> None:
    """From now on a signal raises InterruptError; the first one alone, as a second must not stop the ending."""
    _came.clear()
    for number in NUMBERS:
        signal.signal(number, _interrupt)


def _interrupt(number: int, _frame: FrameType | None) -> None:
    _came.append(number)
    if not _held:
        _raise()


def _raise() -> None:
    for number in NUMBERS:
        signal.signal(number, signal.SIG_IGN)
    raise InterruptError(_came[0])


@contextmanager
def held() -> Iterator[None]:
    """Within it a signal waits, to be raised at its end: a `Popen` that is interrupted would lose its process."""
    global _held
    _held += 1
    try:
        yield
    finally:
        _held -= 1
    if _came and not _held and signal.getsignal(_came[0]) is _interrupt:
        _raise()
