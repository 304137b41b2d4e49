"""The items of a data set in S3, one after the other: CSV, JSON Lines, a JSON array, or a listing of objects.

The rules are AWS's: https://docs.aws.amazon.com/step-functions/latest/dg/input-output-itemreader.html
"""

from __future__ import annotations

import codecs
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator
from contextlib import aclosing, contextmanager
from typing import Any

from local.states.csv_text import DELIMITERS, CsvText
from local.states.documents import loads
from local.states.failures import ITEM_READER_FAILED, StateFailure
from local.states.json_array import JsonArray, NotAnArray
from local.states.objects import PART_BYTES, Objects, StoredObject

Json = Any
Parts = AsyncGenerator[Iterable[Json], None]

MAX_ITEMS = 100_000_000
"""The most items a Map Run takes."""

_GZIP = b"\x1f\x8b"


class ItemSource:
    """One data set. It can be read more than once; each time the items are the same, in the same order.

    An object that changed since the first reading fails the next one (a listing cannot be held so). `limit` is
    MaxItems: 0 and None are all.
    """

    def __init__(
        self,
        objects: Objects,
        kind: str,
        arguments: Json,
        *,
        limit: int | None = None,
        csv_headers: tuple[str, ...] | None = None,
        csv_delimiter: str = "COMMA",
    ) -> None:
        self._objects = objects
        self._kind = kind
        self._arguments = arguments if isinstance(arguments, dict) else {}
        self._given_limit = limit or 0
        self._limit = min(limit or MAX_ITEMS, MAX_ITEMS)
        self._headers = csv_headers
        self._delimiter = DELIMITERS[csv_delimiter]
        given = self._arguments
        self._object = StoredObject(given.get("Bucket", ""), given.get("Key", ""), given.get("VersionId"))

    @property
    def etag(self) -> str | None:
        """Which content of the object is read; None before the first reading."""
        return self._object.etag

    def hold(self, etag: str | None) -> None:
        """Has the readings fail unless the object still has that content."""
        self._object.etag = etag

    async def count(self) -> int:
        """How many items there are; each has been read then. Raises `StateFailure` (`States.ItemReaderFailed`)."""
        total = 0
        with self._reading():
            async with aclosing(self._parts(counting=True)) as parts:
                async for items in parts:
                    total += sum(1 for _ in items)
                    if total >= self._limit:
                        return self._limit
        return total

    async def __aiter__(self) -> AsyncIterator[Json]:
        """The items. Raises `StateFailure` (`States.ItemReaderFailed`)."""
        left = self._limit
        with self._reading():
            async with aclosing(self._parts(counting=False)) as parts:
                async for items in parts:
                    for item in items:
                        yield item
                        left -= 1
                        if not left:
                            return

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except StateFailure as failure:
            raise StateFailure(ITEM_READER_FAILED, failure.cause) from failure
        except NotAnArray as problem:
            raise StateFailure(ITEM_READER_FAILED, "Attempting to map over non-iterable node.") from problem
        except ValueError as problem:
            place = f"s3://{self._object.bucket}/{self._object.key or self._arguments.get('Prefix', '')}"
            raise StateFailure(ITEM_READER_FAILED, f"{place}: {problem}") from problem

    def _parts(self, *, counting: bool) -> Parts:
        """The items by the parts of the object that hold them. What is only counted need not be made."""
        if self._given_limit < 0:
            raise StateFailure(ITEM_READER_FAILED, "field MaxItems must be positive")
        for name in ("Bucket",) if self._kind == "OBJECTS" else ("Bucket", "Key"):
            if not isinstance(self._arguments.get(name), str):
                raise StateFailure(ITEM_READER_FAILED, f"The field '{name}' is required but was missing")
        if self._kind == "CSV":
            return self._csv(counting)
        return {"JSONL": self._json_lines, "JSON": self._json, "OBJECTS": self._listing}[self._kind]()

    async def _chunks(self) -> AsyncIterator[bytes]:
        begins = True
        async for chunk in self._objects.chunks(self._object):
            if begins and chunk.startswith(_GZIP):
                raise ValueError("the object is compressed with gzip, not text")
            begins = False
            yield chunk

    async def _lines(self) -> AsyncIterator[bytes]:
        """Whole lines with their ends, as many as a part of the object completes."""
        rest = b""
        async for chunk in self._chunks():
            end = chunk.rfind(b"\n") + 1
            if end:
                yield rest + chunk[:end]
                rest = chunk[end:]
            else:
                rest += chunk
            if len(rest) > PART_BYTES:
                raise ValueError(f"a line is longer than {PART_BYTES} bytes")
        if rest:
            yield rest

    async def _json_lines(self) -> Parts:
        number = 1
        async for lines in self._lines():
            yield _json_items(lines, number)
            number += lines.count(b"\n")

    async def _json(self) -> Parts:
        decoder = codecs.getincrementaldecoder("utf-8")()
        array = JsonArray()
        async for chunk in self._chunks():
            yield array.feed(decoder.decode(chunk))
        decoder.decode(b"", final=True)
        array.end()

    async def _listing(self) -> Parts:
        async for entry in self._objects.listing(self._arguments["Bucket"], self._arguments.get("Prefix", "")):
            yield [
                {
                    "Etag": entry["ETag"],
                    "LastModified": int(entry["LastModified"].timestamp()),
                    "Key": entry["Key"],
                    "Size": entry["Size"],
                    "StorageClass": entry.get("StorageClass", "STANDARD"),
                }
            ]

    async def _csv(self, counting: bool) -> Parts:
        """Records as objects; where they are only counted, what stands for them.

        A byte-order mark stays where it is, at the first column's name or value: AWS documents no treatment of it.
        """
        text = CsvText(self._delimiter)
        headers = None if self._headers is None else list(self._headers)
        if headers is not None:
            _check_headers(headers)
        number = 1
        async for lines in self._lines():
            decoded = _decoded(lines, number)
            number += lines.count(b"\n")
            if counting and headers is not None:
                yield range(text.count(decoded))
                continue
            rows = text.feed(decoded)
            if headers is None:
                headers = next(rows, None)
                if headers is None:
                    continue
                _check_headers(headers)
            yield rows if counting else _records(headers, rows)
        text.end()


def _json_items(lines: bytes, first: int) -> Iterator[Json]:
    for number, line in enumerate(lines.split(b"\n"), start=first):
        if line.strip():
            try:
                yield loads(line)
            except ValueError as problem:
                raise ValueError(f"line {number} is not JSON: {problem}") from problem


def _decoded(lines: bytes, first: int) -> str:
    try:
        return lines.decode()
    except UnicodeDecodeError as problem:
        number = first + lines.count(b"\n", 0, problem.start)
        raise ValueError(f"line {number} is not UTF-8: {problem.reason}") from problem


def _records(headers: list[str], rows: Iterable[list[str]]) -> Iterator[dict[str, str]]:
    """Each row under the headers: missing values are empty, what is beyond the headers is left out."""
    width = len(headers)
    for row in rows:
        if len(row) < width:
            row += [""] * (width - len(row))
        yield dict(zip(headers, row, strict=False))


def _check_headers(headers: list[str]) -> None:
    if len(set(headers)) != len(headers):
        raise StateFailure(ITEM_READER_FAILED, "CSV headers cannot contain duplicates.")
