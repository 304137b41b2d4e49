"""The records of CSV text, read piece by piece under the rules of Step Functions.

https://docs.aws.amazon.com/step-functions/latest/dg/example-csv-parse-dist-map.html
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator

from lambda_src.contract import MAX_STATE_BYTES

DELIMITERS = {"COMMA": ",", "PIPE": "|", "SEMICOLON": ";", "SPACE": " ", "TAB": "\t"}

_ESCAPE = re.compile(r"\\(.|\Z)", re.DOTALL)
_UNFINISHED = "unexpected end of data"
_LONE_RETURN = "new-line character seen in unquoted field"

_MOST_OF_A_FIELD = MAX_STATE_BYTES
"""One field may fill a whole state's input. The library's limit is the process's, so it is set at each reading."""

_MOST_OF_A_RECORD = 8 * 1024 * 1024
"""A record that goes on over many lines is read again with each part of the text, and kept until it ends."""


class CsvText:
    """Takes text as it comes and gives each record's fields as soon as the record is whole.

    A quoted field may hold line ends. A doubled quote is one quote, in fields without quotes around them too. A
    backslash escapes the character after it, and before a line's end is dropped. Lines with nothing in them are
    no records (unconfirmed for AWS).
    """

    def __init__(self, delimiter: str) -> None:
        self._delimiter = delimiter
        separator = re.escape(delimiter)
        self._field = re.compile(rf'("(?:[^"\\]|""|\\.)*"|(?:[^{separator}\\]|\\.)*)(?:{separator}|\Z)', re.DOTALL)
        self._unfinished: list[str] = []
        self._read = 0

    def feed(self, text: str) -> Iterator[list[str]]:
        """The records that end within this text, which holds whole lines. Raises ValueError."""
        csv.field_size_limit(_MOST_OF_A_FIELD)
        lines = self._unfinished + text.split("\n")
        if not text.endswith("\n"):
            lines.append("")
        lines.pop()
        if self._is_plain(text, lines):
            yield from (line.split(self._delimiter) for line in lines if line)
            self._read += len(lines)
            return
        done = 0
        quoted = '"' in text or bool(self._unfinished)
        doubled = '""' in text or bool(self._unfinished)
        written: Iterable[str] = lines
        if "\\" in text:
            written = map(_without_escaped_ends, written)
        if quoted:
            written = (line + "\n" for line in written)
        reader = csv.reader(written, delimiter=self._delimiter, escapechar="\\", strict=True)
        try:
            for fields in reader:
                if fields:
                    if doubled and any('""' in field for field in fields):
                        self._undouble(fields, "\n".join(lines[done : reader.line_num]))
                    yield fields
                done = reader.line_num
        except csv.Error as problem:
            if str(problem) != _UNFINISHED:
                reason = "a carriage return in a field without quotes" if _LONE_RETURN in str(problem) else problem
                raise ValueError(f"line {self._read + reader.line_num}: {reason}") from problem
        self._unfinished = lines[done:]
        if self._unfinished and sum(map(len, self._unfinished)) > _MOST_OF_A_RECORD:
            raise ValueError(f"line {self._read + done + 1}: a record is longer than {_MOST_OF_A_RECORD} characters")
        self._read += len(lines) - len(self._unfinished)

    def count(self, text: str) -> int:
        """How many records end within this text. Raises what `feed` does."""
        lines = text.split("\n")
        if self._is_plain(text, lines):
            self._read += text.count("\n")
            return len(lines) - lines.count("")
        return sum(1 for _ in self.feed(text))

    def _is_plain(self, text: str, lines: list[str]) -> bool:
        """Whether nothing in the text means anything but delimiters and line ends: no library is needed then."""
        marked = self._unfinished or '"' in text or "\\" in text or "\r" in text
        return not marked and max(map(len, lines), default=0) <= _MOST_OF_A_FIELD

    def end(self) -> None:
        """To be called after the last text. Raises ValueError when it is within a quoted field."""
        if self._unfinished:
            raise ValueError(f"line {self._read + 1}: a quoted field is not closed")

    def _undouble(self, fields: list[str], record: str) -> None:
        """The library keeps doubled quotes in fields that have no quotes around them; AWS makes them one."""
        for index, written in enumerate(self._field.findall(record)[: len(fields)]):
            if not written.startswith('"'):
                fields[index] = fields[index].replace('""', '"')


def _without_escaped_ends(line: str) -> str:
    """The library takes an escaped line end into the field; AWS drops the backslash, and the line ends."""
    if not line.endswith("\\") and "\\\r" not in line:
        return line
    return _ESCAPE.sub(lambda escape: escape[1] if escape[1] in ("", "\r") else escape[0], line)
