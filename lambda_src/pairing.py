"""Puts each prediction to the record it is for."""

from __future__ import annotations

from lambda_src.contract import Json, PredictionCountMismatch, brief
from lambda_src.provenance import made_by


def paired(ids: list[str], indexes: list[int], answer: dict[str, Json]) -> list[dict[str, Json]]:
    """`{"id", "index", "prediction", "variant", "modelVersion"}` for each record, in order.

    `answer` is `{"predictions": [...]}`, and may say who made them (see `lambda_src.provenance`).

    Raises `PredictionCountMismatch` when there is not one prediction a record: nobody knows which.
    """
    predictions = answer["predictions"]
    if not isinstance(predictions, list):
        raise PredictionCountMismatch(
            f"expected a list of {len(ids)} predictions from the model, received {brief(predictions)}"
        )
    if not len(ids) == len(indexes) == len(predictions):
        raise PredictionCountMismatch(
            f"expected {len(ids)} predictions from the model, one an instance, received {len(predictions)}"
        )
    maker = made_by(answer)
    return [
        {"id": identity, "index": index, "prediction": prediction, **maker}
        for identity, index, prediction in zip(ids, indexes, predictions, strict=True)
    ]
