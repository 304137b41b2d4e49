"""The files in `examples/`, made from the sample model's data.

Run `python -m model.examples` to write them again. `records.csv` and `records.jsonl` hold all 569 records
without their labels; `request.json` asks for benign and malignant records that the model has never seen;
`request-with-bad-records.json` has good records and one for each thing that can be wrong.
"""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from model.train import Dataset, load, split

EXAMPLES = Path(__file__).parent.parent / "examples"
EACH_KIND = 3


def records(data: Dataset) -> list[dict[str, Any]]:
    """Every record as `{"id": "wdbc-000", "mean radius": 17.99, ...}`, in the data set's order."""
    return [
        {"id": identity, **dict(zip(data.features, row, strict=True))}
        for identity, row in zip(data.ids, data.values.tolist(), strict=True)
    ]


def request(data: Dataset) -> list[dict[str, Any]]:
    """`EACH_KIND` benign and `EACH_KIND` malignant records of the held-out part, in the data set's order."""
    heldout = split(data)[1]
    rows = [row for kind in (True, False) for row in heldout[data.malignant[heldout] == kind][:EACH_KIND]]
    everything = records(data)
    return [everything[row] for row in sorted(rows)]


def bad_request(data: Dataset) -> list[Any]:
    """Two good records, and between them one of every kind of bad one."""
    first, missing, text, infinite, last = request(data)[:5]
    missing = {key: value for key, value in missing.items() if key != "mean radius"}
    return [
        first,
        missing,
        {**text, "mean texture": "rough"},
        {**infinite, "mean area": "NaN"},
        first,
        "wdbc-568",
        last,
    ]


def write(folder: Path = EXAMPLES) -> None:
    """Writes the four files into `folder`; the same bytes each time."""
    data = load()
    everything = records(data)
    table = io.StringIO()
    writer = csv.DictWriter(table, ["id", *data.features], lineterminator="\n")
    writer.writeheader()
    writer.writerows(everything)
    lines = "".join(json.dumps(record, separators=(",", ":")) + "\n" for record in everything)
    for name, text in {
        "records.csv": table.getvalue(),
        "records.jsonl": lines,
        "request.json": _request_text(request(data)),
        "request-with-bad-records.json": _request_text(bad_request(data)),
    }.items():
        (folder / name).write_bytes(text.encode())


def _request_text(values: list[Any]) -> str:
    """A request with one record a line, to be read and edited by a person."""
    body = ",\n".join("  " + json.dumps(value) for value in values)
    return f'{{"records": [\n{body}\n]}}\n'


if __name__ == "__main__":
    write()
    print(f"wrote four files into {EXAMPLES}")
