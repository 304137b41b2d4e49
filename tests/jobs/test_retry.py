"""Tests of what a retry takes and how it writes it."""

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.errors import CommandError
from jobs.job import Job
from jobs.outcomes import Outcome
from jobs.records import Record, csv_records, csv_rows, json_array, json_lines
from jobs.retry import (
    Choice,
    check_may_retry,
    not_predicted,
    with_id,
    write_csv,
    write_json_array,
    write_json_lines,
)
from lambda_src.contract import Item, derived_id, record_id


def _job(status: str, error: str | None = None, cause: str | None = None) -> Job:
    return Job("march", status, None, None, {}, error, cause, None)


def test_all_that_was_not_predicted_is_run_again() -> None:
    kinds = [Outcome(0, "predicted"), Outcome(1, "rejected"), Outcome(2, "failed"), None, Outcome(4, "predicted")]
    choice = Choice()
    chosen = not_predicted(((Record(index, {}), outcome) for index, outcome in enumerate(kinds)), choice)
    assert [record.index for record in chosen] == [1, 2, 3]
    assert choice == Choice(predicted=2, rejected=1, failed=1, missing=1)


def test_a_job_under_way_is_not_retried() -> None:
    with pytest.raises(CommandError, match=r"still running.*jobs stop march"):
        check_may_retry(_job("RUNNING"))


def test_a_job_that_never_began_says_what_was_wrong_with_its_data_set() -> None:
    with pytest.raises(CommandError, match="never began: the data set is gzipped"):
        check_may_retry(_job("FAILED", "InvalidJob", "the data set is gzipped"))


def _retried(text: str) -> list[Record]:
    rows = csv_rows(io.StringIO(text, newline="\n"))
    columns = next(rows)
    file = io.StringIO(newline="")
    write_csv(file, columns, csv_records(columns, rows))
    again = csv_rows(io.StringIO(file.getvalue(), newline="\n"))
    return list(csv_records(next(again), again))


@pytest.mark.parametrize(
    "text",
    [
        "id,a\nx,1\ny,2\n",
        "id,a\r\nx,1\r\n",
        'id,a\n"x, ""y""\nz",1\n',
        "id,a\nWürfel 😀,1\n",
        "id,a\na\\\\b,1\n",
        'id,a\n../a b/=1,"\r"\n',
    ],
)
def test_a_csv_record_is_the_same_in_a_retry(text: str) -> None:
    rows = csv_rows(io.StringIO(text, newline="\n"))
    columns = next(rows)
    assert [record.value for record in _retried(text)] == [record.value for record in csv_records(columns, rows)]


@pytest.mark.parametrize("text", ["a,b\n1,2\n3,4\n", "id,a\n,2\n,4\n", "a\n1\n"])
def test_a_csv_record_without_an_id_keeps_the_one_that_was_derived_from_it(text: str) -> None:
    rows = csv_rows(io.StringIO(text, newline="\n"))
    columns = next(rows)
    before = [record_id(Item(record.index, record.value)) for record in csv_records(columns, rows)]
    assert [record_id(Item(record.index + 100, record.value)) for record in _retried(text)] == before


@given(st.lists(st.lists(st.text(st.characters(codec="utf-8")), min_size=3, max_size=3)))
def test_every_csv_cell_survives_a_retry(cells: list[list[str]]) -> None:
    file = io.StringIO(newline="")
    records = [Record(index, dict(zip("abc", row, strict=True))) for index, row in enumerate(cells)]
    write_csv(file, ["a", "b", "c"], records)
    again = csv_rows(io.StringIO(file.getvalue(), newline="\n"))
    columns = next(again)
    assert [[record.value[name] for name in "abc"] for record in csv_records(columns, again)] == cells


def _record(index: int, text: str) -> Record:
    return Record(index, json.loads(text), text)


def test_a_json_record_with_an_id_is_written_byte_for_byte() -> None:
    text = '{"x": 1.50, "id" : 7, "é": "\\u00e9"}'
    assert with_id(_record(3, text)) is text


@pytest.mark.parametrize(
    "text", ["{}", "{ }", '{"a": 1.0}', '{"a": {"b": "}"} }', '{"id": null, "a": 1}', '{"id": ""}']
)
def test_a_json_record_without_an_id_gets_the_one_that_was_derived_from_it(text: str) -> None:
    value = json.loads(with_id(_record(3, text)))
    assert value == {**json.loads(text), "id": derived_id(Item(3, json.loads(text)))}


@pytest.mark.parametrize("text", ["7", '"text"', "[1]", "null", '{"id": null, "a": 1e999}'])
def test_what_can_carry_no_id_is_written_as_it_is(text: str) -> None:
    assert with_id(_record(0, text)) == text


def test_a_retry_has_the_format_of_its_parent() -> None:
    texts = ['{"id": "a"}', "[1,\n 2]", "null"]
    file = io.StringIO()
    write_json_array(file, (_record(index, text) for index, text in enumerate(texts)))
    whole = iter([file.getvalue()])
    assert [text for text, _ in json_array(lambda: next(whole, ""))] == texts
    lines = io.StringIO()
    write_json_lines(lines, (_record(index, text) for index, text in enumerate(['{"id": "a"}', "null"])))
    assert [text for text, _ in json_lines(lines.getvalue().splitlines())] == ['{"id": "a"}', "null"]


def test_an_array_of_nothing_is_an_empty_array() -> None:
    file = io.StringIO()
    write_json_array(file, [])
    assert json.loads(file.getvalue()) == []


def test_a_retry_of_a_header_with_quotes_has_the_same_columns() -> None:
    file = io.StringIO(newline="")
    write_csv(file, ['a "b", c', "id"], [])
    assert next(csv.reader(io.StringIO(file.getvalue()))) == ['a "b", c', "id"]
