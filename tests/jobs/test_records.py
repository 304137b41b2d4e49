"""Tests of reading data sets as the job's Map reads them."""

import io
import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs import records
from jobs.records import csv_records, csv_rows, json_array, json_lines, lines_of, without_mark


def _csv(text: str) -> tuple[list[str], list[dict[str, str]]]:
    rows = csv_rows(io.StringIO(text, newline="\n"))
    columns = without_mark(next(rows, []))
    return columns, [record.value for record in csv_records(columns, rows)]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("id,a\n1,2\n", [{"id": "1", "a": "2"}]),
        ("id,a\r\n1,2\r\n", [{"id": "1", "a": "2"}]),
        ("id,a\n1,2", [{"id": "1", "a": "2"}]),
        ("id,a\n\n1,2\n\n", [{"id": "1", "a": "2"}]),
        ('id,a\n"1,\n""x""",2\n', [{"id": '1,\n"x"', "a": "2"}]),
        ("id,a\n1\\,x,2\n", [{"id": "1,x", "a": "2"}]),
        ("id,a\n1\n", [{"id": "1", "a": ""}]),
        ("id,a\n1,2,3\n", [{"id": "1", "a": "2"}]),
        ("\ufeffid,a\n1,2\n", [{"id": "1", "a": "2"}]),
        ('\ufeff"id",a\n1,2\n', [{"id": "1", "a": "2"}]),
        ("id\u2028,a\n1,2\n", [{"id\u2028": "1", "a": "2"}]),
        ("id,a\n", []),
        ("", []),
    ],
)
def test_a_csv_row_has_the_headers_columns(text: str, values: list[dict[str, str]]) -> None:
    assert _csv(text)[1] == values


def test_empty_lines_of_json_lines_are_no_records() -> None:
    assert [value for _, value in json_lines(['{"a": 1}\n', "\n", "  \r\n", "2"])] == [{"a": 1}, 2]


def test_a_line_that_is_no_json_is_named() -> None:
    with pytest.raises(ValueError, match="line 2 is not JSON"):
        list(json_lines(["1\n", "{\n"]))


def _in_parts(text: str, size: int) -> Callable[[], str]:
    stream = io.StringIO(text)
    return lambda: stream.read(size)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("[]", []),
        (" [ ] ", []),
        ("[123,-4.5e6]", [123, -4.5e6]),
        ('[ {"a": "],\\"["} , null,\n[1]]', [{"a": '],"['}, None, [1]]),
        ('["é😀", true]', ["é😀", True]),
    ],
)
def test_an_array_is_read_the_same_in_parts_of_any_size(text: str, values: list[object], size: int) -> None:
    assert [value for _, value in json_array(_in_parts(text, size))] == values


@given(st.lists(st.text() | st.integers() | st.dictionaries(st.text(), st.floats(allow_nan=False))))
def test_the_text_of_an_element_reads_as_its_value(values: list[object]) -> None:
    for text, value in json_array(_in_parts(json.dumps(values), 5)):
        assert json.loads(text) == value


@pytest.mark.parametrize("text", ["", "{}", "[1", "[1 2]", "[1,]", '["a', "[1,", "[nope]"])
def test_what_is_no_array_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"JSON|expect|Expect|Unterminated|Invalid"):
        list(json_array(_in_parts(text, 2)))


DEEP = "[" * 10_000 + "]" * 10_000


def test_what_is_nested_deeper_than_python_reads_is_named_like_any_bad_line() -> None:
    with pytest.raises(ValueError, match="line 2 is not JSON: it is nested too deep"):
        list(json_lines(["1\n", f"{DEEP}\n"]))
    with pytest.raises(ValueError, match="an element is nested too deep"):
        list(json_array(io.StringIO(f"[1, {DEEP}]").read))


@pytest.mark.parametrize("number", ["9" * 10_000_000, "-" + "9" * 5_000])
def test_a_number_of_millions_of_digits_is_named_like_any_bad_line(number: str) -> None:
    with pytest.raises(ValueError, match="line 1 is not JSON: Exceeds the limit"):
        list(json_lines([number]))


def test_a_line_that_does_not_end_is_given_up_before_it_fills_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MAX_CHARACTERS", 10)
    assert list(lines_of(io.StringIO("123456789\n1\n\n2"))) == ["123456789\n", "1\n", "\n", "2"]
    with pytest.raises(ValueError, match="line 2 is longer than 10 characters"):
        list(lines_of(io.StringIO("1\n1234567890123\n")))


@pytest.mark.parametrize("text", ['a\n"x,y\nz\nz\nz\n', 'a\n"x\n","y\n","z\n","z\n'])
def test_a_quote_that_is_not_closed_does_not_gather_the_whole_file(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(records, "MAX_CHARACTERS", 10)
    rows = csv_rows(io.StringIO(text, newline="\n"))
    assert next(rows) == ["a"]
    with pytest.raises(ValueError, match="a quote may not be closed"):
        next(rows)
