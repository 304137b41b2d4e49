"""Pairing: one prediction a record, or an error."""

from __future__ import annotations

from typing import Any

import pytest

from lambda_src.contract import PredictionCountMismatch
from lambda_src.pairing import paired


def test_predictions_are_put_to_their_records_in_order() -> None:
    assert paired(["a", "b"], [7, 9], [0.1, 0.2]) == [
        {"id": "a", "index": 7, "prediction": 0.1},
        {"id": "b", "index": 9, "prediction": 0.2},
    ]


@pytest.mark.parametrize("predictions", [[], [0.1], [0.1, 0.2, 0.3], None, {"a": 0.1, "b": 0.2}, "ab"])
def test_any_other_count_is_refused(predictions: Any) -> None:
    with pytest.raises(PredictionCountMismatch):
        paired(["a", "b"], [7, 9], predictions)
