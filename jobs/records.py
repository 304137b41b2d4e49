"""A job's data set, record by record, with the indexes and values that the job's Map gives them.

The rules are those of the Map's readers: a CSV row has the header's columns, missing cells are empty and extra
ones dropped; a backslash escapes; empty lines are no records. A byte-order mark before the header is no part of it.
https://docs.aws.amazon.com/step-functions/latest/dg/example-csv-parse-dist-map.html
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TextIO, TypeVar

from jobs.errors import CommandError
from jobs.objects import ObjectStream, ahead, keys, read, text_of
from jobs.text import parsed
from lambda_src.contract import BYTE_ORDER_MARK, MAX_RECORD_BYTES, Json

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

READ_CHARACTERS = 1024 * 1024
MAX_CHARACTERS = 8 * 1024 * 1024
"""Where a record that does not end is given up. The embedded AWS's readers do so too; no state holds as much."""

_T = TypeVar("_T")
_DECODER = json.JSONDecoder()
_SPACE = " \t\r\n"
_AFTER_ELEMENT = tuple(",]" + _SPACE)


@dataclass(frozen=True, slots=True)
class Record:
    """One record in its place. `text` is its JSON as the data set has it, `key` its object's where it has one."""

    index: int
    value: Json
    text: str = ""
    key: str = ""


@dataclass(frozen=True)
class DataSet:
    """Records at `place` (a key, or a prefix where the format is `objects`) in the bucket.

    `version` is the object's, where the job was started for that one and no other.
    """

    s3: S3Client
    bucket: str
    place: str
    format: str
    version: str | None = None

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.place}"

    def read(self) -> tuple[list[str], Iterator[Record]]:
        """The columns (of a CSV file; of the others none) and the records, which can be gone through once.

        Raises `CommandError` when the data set is not there or cannot be read, also on the way.
        """
        if self.format == "objects":
            return [], self._guarded(self._objects())
        text = text_of(self.s3, self.bucket, self.place, self.version)
        if self.format == "csv":
            rows = self._guarded(csv_rows(lines_of(text)))
            columns = without_mark(next(rows, []))
            return columns, csv_records(columns, rows)
        pairs = (
            json_lines(lines_of(text)) if self.format == "jsonl" else json_array(partial(text.read, READ_CHARACTERS))
        )
        return [], self._guarded(Record(index, value, raw) for index, (raw, value) in enumerate(pairs))

    def size(self) -> int:
        """The bytes of the one object that it is."""
        return ObjectStream(self.s3, self.bucket, self.place, self.version).size

    def _objects(self) -> Iterator[Record]:
        most = MAX_RECORD_BYTES + 1
        bodies = ahead(lambda key: read(self.s3, self.bucket, key, most), keys(self.s3, self.bucket, self.place))
        for index, (key, body) in enumerate(bodies):
            if body is not None and len(body) == most:
                yield Record(index, None, "", key)  # too large for any job, whose error names the object
                continue
            text = (body or b"").decode("utf-8", "replace")
            try:
                value = parsed(text)
            except ValueError:
                value = text  # rejected by the job, and shown as it is
            yield Record(index, value, text, key)

    def _guarded(self, rows: Iterator[_T]) -> Iterator[_T]:
        try:
            yield from rows
        except (ValueError, csv.Error) as problem:
            raise CommandError(f"{self.uri} cannot be read as {self.format}: {problem}") from problem


def lines_of(text: TextIO) -> Iterator[str]:
    """The lines with their ends. Raises ValueError for one that does not end."""
    number = 0
    while line := text.readline(MAX_CHARACTERS + 1):
        number += 1
        if len(line) > MAX_CHARACTERS:
            raise ValueError(f"line {number} is longer than {MAX_CHARACTERS} characters")
        yield line


def csv_rows(lines: Iterable[str]) -> Iterator[list[str]]:
    """The rows of a CSV file with the header first. Raises ValueError and csv.Error."""
    csv.field_size_limit(MAX_CHARACTERS)  # by itself the library takes less than a state does
    read = 0

    def counted() -> Iterator[str]:
        nonlocal read
        for line in lines:
            read += len(line)
            if read > MAX_CHARACTERS:
                raise ValueError(f"a record is longer than {MAX_CHARACTERS} characters: a quote may not be closed")
            yield line

    for row in csv.reader(counted(), escapechar="\\", strict=True):
        read = 0
        if row:
            yield row


def without_mark(columns: list[str]) -> list[str]:
    """The header without the byte-order mark that sticks to its first name, and hides that name's quotes."""
    if not columns or not columns[0].startswith(BYTE_ORDER_MARK):
        return columns
    first = columns[0].removeprefix(BYTE_ORDER_MARK)
    if len(first) > 1 and first[0] == first[-1] == '"':
        first = first[1:-1]
    return [first, *columns[1:]]


def csv_records(columns: list[str], rows: Iterable[list[str]]) -> Iterator[Record]:
    """Each row as the record that the job sees."""
    for index, row in enumerate(rows):
        missing = [""] * (len(columns) - len(row))
        yield Record(index, dict(zip(columns, row + missing, strict=False)))


def json_lines(lines: Iterable[str]) -> Iterator[tuple[str, Json]]:
    """Each line's text and value. Raises ValueError naming the line."""
    for number, line in enumerate(lines, start=1):
        if text := line.strip():
            try:
                yield text, parsed(text)
            except ValueError as problem:
                raise ValueError(f"line {number} is not JSON: {problem}") from problem


def json_array(read: Callable[[], str]) -> Iterator[tuple[str, Json]]:
    """Each element's text and value, of an array that `read` gives a part of at a time. Raises ValueError."""
    parts = _Parts(read)
    if parts.next_character() != "[":
        raise ValueError("expected a JSON array")
    parts.at += 1
    if parts.next_character() == "]":
        return
    while True:
        yield parts.element()
        separator = parts.next_character()
        parts.at += 1
        if separator == "]":
            return
        if separator != ",":
            raise ValueError("expected ',' or ']' after an element of the array")


class _Parts:
    """Text that comes in parts: what lies before `at` has been used."""

    def __init__(self, read: Callable[[], str]) -> None:
        self._read = read
        self.text, self.at = "", 0

    def next_character(self) -> str:
        """The next one that is no space, "" at the end; `at` stands on it."""
        while True:
            while self.at < len(self.text):
                if (char := self.text[self.at]) not in _SPACE:
                    return char
                self.at += 1
            if not self._more():
                return ""

    def element(self) -> tuple[str, Json]:
        self.next_character()
        while True:
            too_long = len(self.text) - self.at > MAX_CHARACTERS
            try:
                value, end = _DECODER.raw_decode(self.text, self.at)
            except RecursionError as problem:
                raise ValueError("an element is nested too deep") from problem
            except ValueError:
                if too_long or not self._more():
                    raise
                continue
            # A number may go on in the next part.
            if self.text[end : end + 1] in _AFTER_ELEMENT or too_long or not self._more():
                break
        text = self.text[self.at : end]
        self.at = end
        return text, value

    def _more(self) -> bool:
        part = self._read()
        if part:
            self.text, self.at = self.text[self.at :] + part, 0
        return bool(part)
