"""Puts together what the model predicted and refused when its batch went to it in parts."""

from __future__ import annotations

from lambda_src import contract
from lambda_src.contract import Item, Json, PredictionCountMismatch, RejectedRecord
from lambda_src.pairing import paired


def joined(
    split: dict[str, Json], ids: list[str], indexes: list[int]
) -> tuple[list[dict[str, Json]], list[dict[str, Json]]]:
    """The predictions of the parts, in order, and a rejection for each record that the model refused alone.

    `split` is `{"parts": [{"lo", "hi", "predictions", ...}], "refused": [{"at", "item", "cause", "attempts"}]}`: a
    part holds the model's answer (see `lambda_src.pairing`) for the records from position `lo` to before `hi`, a
    refused one stands at `at`; positions are those of `ids` and `indexes`. `item` is the record as the batch
    carried it.
    Raises `contract.PredictionCountMismatch` when a part's predictions are not one a record, or the parts and
    the refused are not each record once.
    """
    rows: list[dict[str, Json]] = []
    held: list[int] = []
    for part in split["parts"]:
        lo, hi = part["lo"], part["hi"]
        held += range(lo, hi)
        rows += paired(ids[lo:hi], indexes[lo:hi], part)
    held += [refused["at"] for refused in split["refused"]]
    if sorted(held) != list(range(len(ids))):
        raise PredictionCountMismatch(f"expected each of {len(ids)} records in one part, received {len(held)}")
    return rows, [refusal(refused, ids, indexes) for refused in split["refused"]]


def refusal(refused: dict[str, Json], ids: list[str], indexes: list[int]) -> dict[str, Json]:
    """The line of a record that the model refused when it stood alone."""
    at = refused["at"]
    reason = RejectedRecord("ModelRefused", refused["cause"])
    item = Item(indexes[at], contract.shown_value(refused["item"]))
    return contract.rejection(item, ids[at], "predict", reason, attempts=refused["attempts"])
