"""How a joined record is written: as a row of a CSV file, or as a line of JSON."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable

from jobs.errors import CommandError
from jobs.outcomes import Outcome
from jobs.records import Record
from jobs.text import json_text
from lambda_src.contract import Json

_RUN_BY_SPREADSHEETS = ("=", "+", "-", "@", "\t", "\r", "\n", "\0", "＝", "＋", "－", "＠")
"""What makes a spreadsheet take a cell for a formula: https://owasp.org/www-community/attacks/CSV_Injection"""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)

NOT_PREDICTED = "NotPredicted"
"""The error that a record without an outcome is shown with."""


def neutral(cell: str) -> str:
    """The cell with an apostrophe before it where a spreadsheet would run it; plain numbers stay as they are."""
    if cell.startswith(_RUN_BY_SPREADSHEETS) and not _NUMBER.fullmatch(cell):
        return f"'{cell}"
    return cell


def flat(prediction: Json) -> dict[str, str]:
    """A prediction's fields as cells; one that is no object is a cell `prediction`."""
    fields = prediction if isinstance(prediction, dict) else {"prediction": prediction}
    return {name: cell(value) for name, value in fields.items()}


def cell(value: Json) -> str:
    """A JSON value as text: text as it is, null as nothing, objects and lists as JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json_text(value)


class CsvTable:
    """Rows of the input's columns, the predictions' fields, `error` and `cause`.

    A prediction's field with the name of an input's column is called `prediction.<name>`; so are error and cause.
    """

    def __init__(self, columns: list[str], fields: list[str], waiting: str) -> None:
        self._columns = columns
        self._fields = fields
        self._waiting = waiting

    def header(self) -> str:
        added = [*self._fields, "error", "cause"]
        return _line(self._columns + [f"prediction.{name}" if name in self._columns else name for name in added])

    def row(self, record: Record, outcome: Outcome | None) -> str:
        """Raises `CommandError` when the prediction has a field that the first ones had not."""
        value = record.value if isinstance(record.value, dict) else {"record": record.value}
        predicted = flat(outcome.prediction) if outcome and outcome.kind == "predicted" else {}
        if unknown := [name for name in predicted if name not in self._fields]:
            raise CommandError(
                f"the prediction of record {record.index} has a field {unknown[0]!r} that the first ones have not: "
                "CSV has no column for it, use --format jsonl"
            )
        error, cause = why(outcome, self._waiting)
        cells = [cell(value.get(name)) for name in self._columns]
        return _line([*cells, *(predicted.get(name, "") for name in self._fields), error, cause])


def why(outcome: Outcome | None, waiting: str) -> tuple[str, str]:
    """The error and cause that a record is shown with; empty for the predicted."""
    return (NOT_PREDICTED, waiting) if outcome is None else (outcome.error, outcome.cause)


def json_row(record: Record, outcome: Outcome | None, waiting: str) -> str:
    """The record as one line of JSON, with a `prediction` and which model made it, or with the `error` in its place.

    A record that is no object is in a field `record`. What a record itself calls `prediction` or `error`, or as
    another field that is added, is in `record.prediction`, say.
    """
    value = record.value if isinstance(record.value, dict) else {"record": record.value}
    added: dict[str, Json] = {}
    if outcome is not None and outcome.kind == "predicted":
        added = {"prediction": outcome.prediction, **(outcome.maker or {})}
    else:
        error, cause = why(outcome, waiting)
        added["error"] = {"error": error, "cause": cause}
    taken = {"prediction", "error", *added}
    kept = {f"record.{name}" if name in taken else name: inner for name, inner in value.items()}
    return json_text({**kept, **added})


def columns_of(records: Iterable[Record]) -> list[str]:
    """The fields of records that have no header: each once, in the order they are first seen."""
    names: dict[str, None] = {}
    for record in records:
        names.update(dict.fromkeys(record.value if isinstance(record.value, dict) else ["record"]))
    return list(names)


def fields_of(predicted: Iterable[Outcome]) -> list[str]:
    """The fields of predictions: each once, in the order they are first seen."""
    names: dict[str, None] = {}
    for outcome in predicted:
        names.update(dict.fromkeys(flat(outcome.prediction)))
    return list(names)


def _line(cells: list[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow([neutral(one) for one in cells])
    return text.getvalue()


def without_surrogates(text: str) -> str:
    """The text as UTF-8 can hold it: a lone surrogate, which JSON can name, as its escape."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
