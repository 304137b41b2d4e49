"""The items of a data set in S3, one after the other: CSV, JSON Lines, a JSON array, or a listing of objects.

The rules are AWS's: https://docs.aws.amazon.com/step-functions/latest/dg/input-output-itemreader.html and, for CSV,
https://docs.aws.amazon.com/step-functions/latest/dg/example-csv-parse-dist-map.html
"""

from __future__ import annotations

import codecs
import csv
from collections.abc import AsyncIterator, Iterator
from typing import Any

from local.states.documents import loads
from local.states.failures import ITEM_READER_FAILED, StateFailure
from local.states.objects import Objects

Json = Any

MAX_ITEMS = 100_000_000
"""The most items a Map Run takes."""

DELIMITERS = {"COMMA": ",", "PIPE": "|", "SEMICOLON": ";", "SPACE": " ", "TAB": "\t"}


class ItemSource:
    """One data set. It can be read more than once; each time the items are the same, in the same order."""

    def __init__(
        self,
        objects: Objects,
        kind: str,
        arguments: dict[str, Json],
        *,
        limit: int | None = None,
        csv_headers: tuple[str, ...] | None = None,
        csv_delimiter: str = "COMMA",
    ) -> None:
        self._objects = objects
        self._kind = kind
        self._arguments = arguments
        self._limit = min(limit or MAX_ITEMS, MAX_ITEMS)
        self._headers = csv_headers
        self._delimiter = DELIMITERS[csv_delimiter]

    async def count(self) -> int:
        """How many items there are. Raises `StateFailure` (`States.ItemReaderFailed`)."""
        if self._kind == "JSONL":
            total = 0
            async for lines in self._lines():
                total += sum(1 for line in lines if line.strip())
        else:
            total = 0
            async for items in self._chunks():
                total += len(items)
        return min(total, self._limit)

    async def __aiter__(self) -> AsyncIterator[Json]:
        """The items. Raises `StateFailure` (`States.ItemReaderFailed`)."""
        left = self._limit
        async for items in self._chunks():
            for item in items[:left]:
                yield item
            left -= len(items)
            if left <= 0:
                return

    async def _chunks(self) -> AsyncIterator[list[Json]]:
        reading = {"CSV": self._csv, "JSONL": self._json_lines, "JSON": self._json, "OBJECTS": self._listing}
        try:
            async for items in reading[self._kind]():
                yield items
        except StateFailure as failure:
            raise StateFailure(ITEM_READER_FAILED, failure.cause) from failure
        except (ValueError, csv.Error) as problem:
            raise StateFailure(ITEM_READER_FAILED, f"{self._place()}: {problem}") from problem

    def _place(self) -> str:
        return f"s3://{self._arguments['Bucket']}/{self._arguments.get('Key', self._arguments.get('Prefix', ''))}"

    def _object(self) -> AsyncIterator[bytes]:
        arguments = self._arguments
        return self._objects.chunks(arguments["Bucket"], arguments["Key"], arguments.get("VersionId"))

    async def _lines(self) -> AsyncIterator[list[str]]:
        """Whole lines with their ends, as many as a part of the object holds."""
        decoder = codecs.getincrementaldecoder("utf-8")()
        rest = ""
        async for chunk in self._object():
            lines = (rest + decoder.decode(chunk)).split("\n")
            rest = lines.pop()
            yield [line + "\n" for line in lines]
        rest += decoder.decode(b"", final=True)
        if rest:
            yield [rest]

    async def _json_lines(self) -> AsyncIterator[list[Json]]:
        number = 0
        async for lines in self._lines():
            items = []
            for line in lines:
                number += 1
                if line.strip():
                    items.append(_json_line(line, number))
            yield items

    async def _json(self) -> AsyncIterator[list[Json]]:
        document = b"".join([chunk async for chunk in self._object()])
        items = loads(document)
        if not isinstance(items, list):
            raise ValueError("Attempting to map over non-iterable node.")
        yield items

    async def _listing(self) -> AsyncIterator[list[Json]]:
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

    async def _csv(self) -> AsyncIterator[list[Json]]:
        headers = list(self._headers) if self._headers is not None else None
        if headers is not None:
            _check_headers(headers)
        unfinished: list[str] = []
        async for lines in self._lines():
            whole, unfinished = _whole_records(unfinished + lines)
            rows = _rows(whole, self._delimiter)
            if headers is None:
                headers = next(rows, None)
                if headers is None:
                    continue
                _check_headers(headers)
            width = len(headers)
            yield [dict(zip(headers, row + [""] * (width - len(row)), strict=False)) for row in rows]
        if unfinished:
            raise ValueError("a quoted field is not closed")


def _json_line(line: str, number: int) -> Json:
    try:
        return loads(line)
    except ValueError as problem:
        raise ValueError(f"line {number} is not JSON: {problem}") from problem


def _check_headers(headers: list[str]) -> None:
    if len(set(headers)) != len(headers):
        raise ValueError("CSV headers cannot contain duplicates.")


def _rows(lines: list[str], delimiter: str) -> Iterator[list[str]]:
    """Rows of fields; an empty line is no record. https://docs.aws.amazon.com/…/example-csv-parse-dist-map.html"""
    return (row for row in csv.reader(lines, delimiter=delimiter, escapechar="\\", strict=True) if row)


def _whole_records(lines: list[str]) -> tuple[list[str], list[str]]:
    """The lines that end their record, and those of a quoted field that goes on in the next part."""
    last, open_quotes = 0, False
    for index, line in enumerate(lines):
        if '"' in line and (line.count('"') - line.count('\\"')) % 2:
            open_quotes = not open_quotes
        if not open_quotes:
            last = index + 1
    return lines[:last], lines[last:]
