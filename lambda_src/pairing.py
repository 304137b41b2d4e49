"""Puts each prediction to the record it is for."""

from __future__ import annotations

from lambda_src.contract import Json, PredictionCountMismatch, brief


def paired(ids: list[str], indexes: list[int], predictions: Json) -> list[dict[str, Json]]:
    """`{"id", "index", "prediction"}` for each record, in order.

    Raises `PredictionCountMismatch` when there is not one prediction a record: nobody knows which.
    """
    if not isinstance(predictions, list):
        raise PredictionCountMismatch(
            f"expected a list of {len(ids)} predictions from the model, received {brief(predictions)}"
        )
    if not len(ids) == len(indexes) == len(predictions):
        raise PredictionCountMismatch(
            f"expected {len(ids)} predictions from the model, one an instance, received {len(predictions)}"
        )
    return [
        {"id": identity, "index": index, "prediction": prediction}
        for identity, index, prediction in zip(ids, indexes, predictions, strict=True)
    ]
