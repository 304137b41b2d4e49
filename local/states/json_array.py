"""The items of a JSON array, read from its text piece by piece."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any, NoReturn

from local.states.objects import PART_BYTES

Json = Any

_SPACE = re.compile(r"[ \t\r\n]*")
_NUMBER_BEGUN = re.compile(r"[-+.0-9eE]+")
_VALUE_BEGINS = frozenset('{"-0123456789tfn')


class NotAnArray(ValueError):
    """The document is JSON, but no array."""


class JsonArray:
    """Takes the text of one array as it comes and gives each item as soon as it is whole.

    No item may be longer than a part, so that a missing quote does not gather the rest of the document.
    """

    def __init__(self) -> None:
        self._decoder = json.JSONDecoder(parse_constant=_refuse_constant, parse_int=_whole, parse_float=_finite)
        self._rest = ""
        self._count = 0
        self._opened = self._closed = False

    def feed(self, text: str) -> Iterator[Json]:
        """The items that end within this piece of text. Raises ValueError."""
        self._rest += text
        at = self._open()
        while not self._closed:
            start = _after_space(self._rest, at)
            if not self._count and self._rest.startswith("]", start):
                self._closed = True
                at = start + 1
                break
            found = self._item(start)
            if found is None:
                break
            value, end = found
            self._closed = self._rest[end] == "]"
            at = end + 1
            self._count += 1
            yield value
        if self._closed and _after_space(self._rest, at) < len(self._rest):
            raise ValueError("the document goes on after the end of its array")
        self._rest = self._rest[at:]

    def end(self) -> None:
        """To be called after the last piece. Raises ValueError when the array is not closed."""
        if not self._opened:
            raise ValueError("the document is empty")
        if not self._closed:
            raise ValueError(f"item {self._count} is not JSON, or the array is not closed")

    def _open(self) -> int:
        if self._opened:
            return 0
        start = _after_space(self._rest, 0)
        if start == len(self._rest):
            return start
        if self._rest[start] != "[":
            kind = NotAnArray if self._rest[start] in _VALUE_BEGINS else ValueError
            raise kind(f"the document begins with {self._rest[start]!r}, not with an array")
        self._opened = True
        return start + 1

    def _item(self, start: int) -> tuple[Json, int] | None:
        """The item from `start` and where its comma or bracket is; None when there is more of it to come."""
        try:
            value, end = self._decoder.raw_decode(self._rest, start)
        except _NumberRefused as problem:
            raise ValueError(f"item {self._count} has {problem}") from problem
        except RecursionError as problem:
            raise ValueError(f"item {self._count} is nested too deep") from problem
        except ValueError as problem:
            if len(self._rest) - start > PART_BYTES:
                raise ValueError(f"item {self._count} is not JSON, or too long: {problem}") from problem
            return None
        end = _after_space(self._rest, end)
        if end == len(self._rest) or _NUMBER_BEGUN.fullmatch(self._rest, start):
            return None
        if self._rest[end] not in ",]":
            raise ValueError(f"item {self._count} is followed by {self._rest[end]!r}, not by a comma or a bracket")
        return value, end


def _after_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    assert match is not None
    return match.end()


class _NumberRefused(Exception):
    """A number that no double holds. Unlike other mistakes it does not mean that there is more text to come."""


def _whole(text: str) -> int | float:
    """A whole number; beyond 64 bits it is a double, as everywhere else in the engine."""
    if len(text) <= 20 and -(2**63) <= (value := int(text)) < 2**64:
        return value
    return _finite(text)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise _NumberRefused(f"a number of {len(text)} characters that no double holds")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
