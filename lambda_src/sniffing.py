"""Tells from a data set's first and last bytes whether a job can read it."""

from __future__ import annotations

import codecs
import csv
import io
import json
from dataclasses import dataclass

from lambda_src.contract import BYTE_ORDER_MARK, InvalidJob, brief


@dataclass(frozen=True)
class Ends:
    """An object's size, its first bytes and its last ones; the same bytes when they are all."""

    size: int
    first: bytes
    last: bytes

    @property
    def whole(self) -> bool:
        """Whether the first bytes are all."""
        return len(self.first) == self.size


def check(ends: Ends, format_: str, place: str) -> None:
    """Raises `InvalidJob` when the object at `place` is no data set of that format: csv, jsonl or json."""
    if ends.size == 0:
        raise InvalidJob(f"expected records in {place}, found an empty object")
    if ends.first.startswith(b"\x1f\x8b"):
        raise InvalidJob(f"expected {format_} text in {place}, found gzip: upload it uncompressed")
    first, last = text_of(ends, place)
    if not first.strip(f"{BYTE_ORDER_MARK} \t\r\n") and ends.whole:
        raise InvalidJob(f"expected records in {place}, found blanks only")
    {"csv": check_csv, "jsonl": check_json_lines, "json": check_json}[format_](ends, first, last, place)


def text_of(ends: Ends, place: str) -> tuple[str, str]:
    """Both ends as text. Characters that are cut in two where an end was cut off are left out."""
    try:
        first = codecs.getincrementaldecoder("utf-8")().decode(ends.first, final=ends.whole)
        last = ends.last
        if not ends.whole:
            cut = next((place for place in range(min(4, len(last))) if last[place] & 0xC0 != 0x80), 0)
            last = last[cut:]
        return first, last.decode("utf-8")
    except UnicodeDecodeError as problem:
        byte = problem.object[problem.start]
        raise InvalidJob(f"expected UTF-8 in {place}, found the byte 0x{byte:02x} ({problem.reason})") from problem


def check_csv(ends: Ends, first: str, _last: str, place: str) -> None:
    """A header row without a name twice, and at least one row after it. A byte-order mark is let pass."""
    text = first.removeprefix(BYTE_ORDER_MARK)
    if not ends.whole:
        text = text[: text.rfind("\n") + 1]  # the last line is cut off
    rows = csv.reader(io.StringIO(text, newline=""))
    try:
        header = next((row for row in rows if row), [])
        more = next((True for row in rows if row), False)
    except csv.Error as problem:
        raise InvalidJob(f"expected CSV in {place}: {problem}") from problem
    twice = next((name for name in header if header.count(name) > 1), None)
    if twice is not None:
        raise InvalidJob(f"expected each column's name once in {place}, found {brief(twice)} twice")
    if not more and ends.whole:
        raise InvalidJob(f"expected records after the header row of {place}, found none")
    if not header:
        raise InvalidJob(f"expected a header row in the first {len(ends.first)} bytes of {place}, found no end of it")


def check_json_lines(ends: Ends, first: str, last: str, place: str) -> None:
    """JSON in the first line and in the last, where they end within what is looked at; no byte-order mark."""
    refuse_mark(first, place)
    lines = [line for line in first.split("\n") if line.strip()]
    if lines and (len(lines) > 1 or ends.whole):
        parse(lines[0], "line 1", place)
    tail = last.rstrip()
    start = tail.rfind("\n") + 1
    if tail and (start > 0 or ends.whole):
        parse(tail[start:], "the last line", place)


def check_json(ends: Ends, first: str, last: str, place: str) -> None:
    """One array that begins and ends, and is not empty; no byte-order mark."""
    refuse_mark(first, place)
    if ends.whole:
        value = parse(first, "the document", place)
        if not isinstance(value, list):
            raise InvalidJob(f"expected a JSON array of records in {place}, found {brief(value)}")
        if not value:
            raise InvalidJob(f"expected records in {place}, found an empty array")
        return
    if not first.lstrip().startswith("["):
        raise InvalidJob(f"expected a JSON array of records in {place}, found {brief(first.lstrip()[:40])}")
    if not last.rstrip().endswith("]"):
        raise InvalidJob(f"expected a JSON array of records in {place}, found no end of it: it may be cut off")


def refuse_mark(text: str, place: str) -> None:
    """JSON begins with no byte-order mark: https://www.rfc-editor.org/rfc/rfc8259#section-8.1"""
    if text.startswith(BYTE_ORDER_MARK):
        raise InvalidJob(f"expected JSON in {place}, found a byte-order mark before it: save it as UTF-8 without one")


def parse(text: str, what: str, place: str) -> object:
    """The JSON value. Raises `InvalidJob`."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as problem:
        raise InvalidJob(f"expected JSON in {what} of {place}: {problem}") from problem
