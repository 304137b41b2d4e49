"""JSON as states pass it on: compact UTF-8, read and written as fast as a library can."""

from __future__ import annotations

import json
from typing import Any

import orjson

Json = Any


def compact(value: Json) -> bytes:
    """The document's compact UTF-8 text.

    What orjson does not write (whole numbers beyond 64 bits, lone surrogates) the standard library does.
    """
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def text(value: Json) -> str:
    """The document as the API's string fields carry it."""
    return compact(value).decode("utf-8", "surrogatepass")


def loads(document: bytes | str) -> Json:
    """The value of a JSON document. Raises ValueError."""
    return orjson.loads(document)
