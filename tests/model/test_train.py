"""The sample model's weights: reproduced byte for byte, and good on records it has never seen."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from model import train

WEIGHTS = json.loads(train.WEIGHTS.read_bytes())


def test_training_again_gives_the_checked_in_weights_byte_for_byte(tmp_path: Path) -> None:
    again = tmp_path / "weights.json"

    train.write(again)

    assert again.read_bytes() == train.WEIGHTS.read_bytes()


def test_a_change_of_the_last_binary_digits_does_not_reach_the_weights() -> None:
    pipeline = train.fit(train.load())
    exact = [*pipeline[0].mean_, *pipeline[0].scale_, *pipeline[1].coef_[0], *pipeline[1].intercept_]

    for noise in (1 - 1e-14, 1 + 1e-14):
        assert [train._rounded(value * noise) for value in exact] == [train._rounded(value) for value in exact]


def test_the_split_is_stratified_and_shares_no_record() -> None:
    data = train.load()
    fitted, heldout = train.split(data)

    assert sorted([*fitted, *heldout]) == list(range(569))
    assert abs(data.malignant[fitted].mean() - data.malignant[heldout].mean()) < 0.01


def test_the_held_out_ids_are_the_split_rows_by_name() -> None:
    ids = train.heldout_ids()

    assert len(ids) == WEIGHTS["heldout"]["records"] == 143
    assert ids[0] == "wdbc-000"
    assert ids == sorted(set(ids))


def test_the_model_is_good_on_the_held_out_part() -> None:
    assert WEIGHTS["heldout"]["accuracy"] > 0.97
    assert WEIGHTS["heldout"]["roc_auc"] > 0.99


def test_other_records_are_another_version() -> None:
    data = train.load()
    other = train.Dataset(data.ids, data.features, np.nextafter(data.values, np.inf), data.malignant)

    assert train._version(data) == WEIGHTS["version"]
    assert train._version(other) != WEIGHTS["version"]
