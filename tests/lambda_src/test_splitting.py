"""Putting together what was predicted and refused in parts."""

from __future__ import annotations

from typing import Any

import pytest

from lambda_src.contract import PredictionCountMismatch
from lambda_src.splitting import joined

IDS, INDEXES = ["a", "b", "c", "d"], [3, 4, 6, 7]


def part(lo: int, hi: int, *predictions: Any) -> dict[str, Any]:
    return {"lo": lo, "hi": hi, "predictions": list(predictions), "variant": "V", "version": f"v{lo}"}


def refused(at: int, **item: Any) -> dict[str, Any]:
    return {"at": at, "item": item or {"index": INDEXES[at], "record": {"x": 1}}, "cause": "no", "attempts": 3}


def test_predictions_and_refusals_stand_beside_their_records_each_with_its_parts_model() -> None:
    rows, rejected = joined({"parts": [part(0, 2, 1, 2), part(3, 4, 4)], "refused": [refused(2)]}, IDS, INDEXES)
    assert rows == [
        {"id": "a", "index": 3, "prediction": 1, "variant": "V", "modelVersion": "v0"},
        {"id": "b", "index": 4, "prediction": 2, "variant": "V", "modelVersion": "v0"},
        {"id": "d", "index": 7, "prediction": 4, "variant": "V", "modelVersion": "v3"},
    ]
    assert rejected == [
        {
            "id": "c",
            "index": 6,
            "record": {"x": 1},
            "stage": "predict",
            "error": "ModelRefused",
            "cause": "no",
            "attempts": 3,
        }
    ]


def test_a_refused_record_in_an_object_is_told_by_its_key() -> None:
    split = {"parts": [part(1, 4, 1, 2, 3)], "refused": [refused(0, index=3, object="incoming/a.json")]}
    assert joined(split, IDS, INDEXES)[1][0]["record"] == {"object": "incoming/a.json"}


@pytest.mark.parametrize(
    "split",
    [
        {"parts": [part(0, 2, 1), part(2, 4, 3, 4)], "refused": []},
        {"parts": [part(0, 2, 1, 2, 3), part(2, 4, 4)], "refused": []},
        {"parts": [part(0, 2, 1, 2)], "refused": []},
        {"parts": [part(0, 2, 1, 2), part(1, 4, 2, 3, 4)], "refused": []},
        {"parts": [part(0, 4, 1, 2, 3, 4)], "refused": [refused(3)]},
        {"parts": [{"lo": 0, "hi": 4, "predictions": None}], "refused": []},
    ],
)
def test_parts_that_are_not_each_record_once_are_refused(split: dict[str, Any]) -> None:
    with pytest.raises(PredictionCountMismatch):
        joined(split, IDS, INDEXES)
