"""The example files: made from the data, and holding what they promise."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from model import examples, train

NAMES = ["records.csv", "records.jsonl", "request-with-bad-records.json", "request.json"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("examples")
    examples.write(folder)
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_the_checked_in_file_is_reproduced(made: Path, name: str) -> None:
    assert (made / name).read_bytes() == (examples.EXAMPLES / name).read_bytes()


def test_both_record_files_hold_the_same_569_records_without_their_labels() -> None:
    lines = (examples.EXAMPLES / "records.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    with (examples.EXAMPLES / "records.csv").open(newline="") as table:
        rows = list(csv.DictReader(table))

    assert [record["id"] for record in records] == [f"wdbc-{row:03d}" for row in range(569)]
    assert rows == [{key: str(value) for key, value in record.items()} for record in records]
    assert list(records[0]) == ["id", *train.load().features]


def test_the_request_has_benign_and_malignant_records_that_the_model_has_never_seen() -> None:
    data = train.load()
    asked = {record["id"] for record in json.loads((examples.EXAMPLES / "request.json").read_text())["records"]}

    malignant = {identity for identity, kind in zip(data.ids, data.malignant, strict=True) if kind}
    assert len(asked & malignant) == len(asked - malignant) == examples.EACH_KIND
    assert asked <= set(train.heldout_ids())


def test_the_bad_request_has_each_kind_of_bad_record_once() -> None:
    records = json.loads((examples.EXAMPLES / "request-with-bad-records.json").read_text())["records"]
    first, missing, text, infinite, again, no_object, last = records

    assert "mean radius" not in missing
    assert text["mean texture"] == "rough"
    assert infinite["mean area"] == "NaN"
    assert again["id"] == first["id"]
    assert no_object == "wdbc-568"
    assert len(first) == len(last) == 31
