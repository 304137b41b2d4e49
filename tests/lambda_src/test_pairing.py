"""Pairing: one prediction a record, or an error."""

from __future__ import annotations

from typing import Any

import pytest

from lambda_src.contract import PredictionCountMismatch
from lambda_src.pairing import paired
from lambda_src.provenance import made_by


def test_predictions_are_put_to_their_records_in_order_with_the_model_that_made_them() -> None:
    assert paired(["a", "b"], [7, 9], {"predictions": [0.1, 0.2], "variant": "AllTraffic", "version": "v1"}) == [
        {"id": "a", "index": 7, "prediction": 0.1, "variant": "AllTraffic", "modelVersion": "v1"},
        {"id": "b", "index": 9, "prediction": 0.2, "variant": "AllTraffic", "modelVersion": "v1"},
    ]


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ({"version": "said"}, {"modelVersion": "said"}),
        ({"version": 3}, {"modelVersion": "3"}),
        ({}, {"modelVersion": "deployed"}),
        ({"version": None}, {"modelVersion": "deployed"}),
        *[({"version": version}, {"modelVersion": "deployed"}) for version in ("", "x" * 129, True, 1.5, ["v1"])],
        ({"variant": "AllTraffic"}, {"variant": "AllTraffic", "modelVersion": "deployed"}),
        ({"variant": "Challenger"}, {"variant": "Challenger", "modelVersion": "other"}),
        ({"variant": "Challenger", "version": "said"}, {"variant": "Challenger", "modelVersion": "said"}),
    ],
)
def test_a_model_that_does_not_name_its_version_has_the_one_deployed_for_its_variant(
    model: dict[str, Any], said: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL_VERSION", "deployed")
    monkeypatch.setenv("CHALLENGER_VERSION", "other")
    assert made_by(model) == said


def test_what_nobody_knows_is_left_out() -> None:
    assert made_by({}) == {}


@pytest.mark.parametrize("predictions", [[], [0.1], [0.1, 0.2, 0.3], None, {"a": 0.1, "b": 0.2}, "ab"])
def test_any_other_count_is_refused(predictions: Any) -> None:
    with pytest.raises(PredictionCountMismatch):
        paired(["a", "b"], [7, 9], {"predictions": predictions})
