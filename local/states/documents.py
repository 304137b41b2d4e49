"""JSON as states pass it on: compact UTF-8, read and written as fast as a library can."""

from __future__ import annotations

import json
from typing import Any

import orjson

from local.states.failures import RUNTIME, StateFailure

Json = Any

MAX_DEPTH = 254
"""How deep a document may be nested: what the library writes. AWS names no limit of its own."""


def compact(value: Json) -> bytes:
    """The document's compact UTF-8 text.

    What orjson does not write (whole numbers beyond 64 bits, lone surrogates) the standard library does.
    Raises `StateFailure` (`States.Runtime`) for what is nested too deep.
    """
    try:
        return orjson.dumps(value)
    except TypeError as problem:
        if "Recursion limit" in str(problem):
            raise StateFailure(RUNTIME, f"a document is nested more than {MAX_DEPTH} deep", terminal=True) from None
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def text(value: Json) -> str:
    """The document as the API's string fields carry it."""
    return compact(value).decode("utf-8", "surrogatepass")


class Texts:
    """The texts of the last large documents of one execution, which are weighed first and then sent.

    What states pass on is never changed in place, so the same object has the same text.
    """

    def __init__(self) -> None:
        self._kept: dict[int, tuple[Json, bytes]] = {}

    def keep(self, value: Json, text: bytes) -> None:
        """Notes a document's text, if writing it again would cost something."""
        if len(text) >= _LARGE:
            if len(self._kept) == _MOST_KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[id(value)] = value, text  # with the value, as another one could get its id

    def of(self, value: Json) -> bytes:
        """What `compact` gives. An object is put together from its members' texts, of which one may be kept."""
        if kept := self._kept.get(id(value)):
            return kept[1]
        if _is_small_object(value):
            members = (compact(name) + b":" + self.of(inner) for name, inner in value.items())
            text = b"{" + b",".join(members) + b"}"
        else:
            text = compact(value)
        self.keep(value, text)
        return text

    def weigh(self, value: Json) -> int:
        """Bytes of the document's text."""
        if _is_small_object(value) and id(value) not in self._kept:
            return 1 + sum(len(compact(name)) + 2 + self.weigh(inner) for name, inner in value.items())
        return len(self.of(value))


_LARGE = 4096
_MOST_KEPT = 4


def _is_small_object(value: Json) -> bool:
    return isinstance(value, dict) and 0 < len(value) <= 16


def loads(document: bytes | str) -> Json:
    """The value of a JSON document. Raises ValueError."""
    return orjson.loads(document)
