"""Preprocess: turns records into the instances that the model takes, and rejects those it cannot take."""

from __future__ import annotations

import math
from typing import Any

from lambda_src import contract
from lambda_src.contract import Item, Json, RejectedRecord

FEATURES = (
    "mean radius",
    "mean texture",
    "mean perimeter",
    "mean area",
    "mean smoothness",
    "mean compactness",
    "mean concavity",
    "mean concave points",
    "mean symmetry",
    "mean fractal dimension",
    "radius error",
    "texture error",
    "perimeter error",
    "area error",
    "smoothness error",
    "compactness error",
    "concavity error",
    "concave points error",
    "symmetry error",
    "fractal dimension error",
    "worst radius",
    "worst texture",
    "worst perimeter",
    "worst area",
    "worst smoothness",
    "worst compactness",
    "worst concavity",
    "worst concave points",
    "worst symmetry",
    "worst fractal dimension",
)
"""The fields of a record that the model reads, in the order it reads them. Other fields are ignored."""


def handler(event: Json, context: object) -> dict[str, Any]:
    """`{"instances", "ids", "indexes", "rejected"}` of a request or of one batch of a job.

    `instances` (lists of numbers, in the order of `FEATURES`), `ids` and `indexes` are equally long and
    belong together by position. In a request an id stands for its record, so the second record with an id
    is rejected (`DuplicateId`). In a job the index does, and no batch sees the others, so each record is predicted.
    Raises `contract.InvalidRequest` when the event holds no records.
    """
    items = contract.items_of(event)
    prepared, rejected = prepare(items, unique_ids="Items" not in event)
    print(f"prepared {len(prepared)} of {len(items)} records, rejected {len(rejected)}")
    return {
        "instances": [instance for _, _, instance in prepared],
        "ids": [identity for identity, _, _ in prepared],
        "indexes": [index for _, index, _ in prepared],
        "rejected": rejected,
    }


def prepare(items: list[Item], *, unique_ids: bool) -> tuple[list[tuple[str, int, list[float]]], list[dict[str, Json]]]:
    """Each item either as (id, index, instance) or as a rejection: no record stops another."""
    prepared: list[tuple[str, int, list[float]]] = []
    rejected: list[dict[str, Json]] = []
    seen: dict[str, int] = {}
    for item in items:
        identity = contract.derived_id(item)
        try:
            identity = contract.record_id(item)
            if unique_ids and seen.setdefault(identity, item.index) != item.index:
                raise RejectedRecord(
                    "DuplicateId",
                    f"expected each id once, received {contract.brief(identity)} already at index {seen[identity]}",
                )
            prepared.append((identity, item.index, instance_of(item.value)))
        except RejectedRecord as reason:
            shown = Item(item.index, speakable(item.value))
            rejected.append(contract.rejection(shown, identity, "preprocess", reason))
    return prepared, rejected


def instance_of(record: dict[str, Json]) -> list[float]:
    """The record's features as finite numbers. Raises `RejectedRecord` for the first that is not one."""
    return [number(record, feature) for feature in FEATURES]


def number(record: dict[str, Json], feature: str) -> float:
    """One feature: a JSON number, or text that reads as one (in CSV every value is text).

    Raises `RejectedRecord`: `MissingFeature` (absent, null or blank), `NotANumber`, `NotFinite` (NaN, an
    infinity, or beyond what a double-precision number holds).
    """
    value = record.get(feature)
    if value is None or (isinstance(value, str) and not value.strip()):
        raise RejectedRecord("MissingFeature", f"expected a number in '{feature}', received nothing")
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise RejectedRecord("NotANumber", f"expected a number in '{feature}', received {contract.brief(value)}")
    received = contract.brief(value)
    try:
        result: float | None = float(value)
    except ValueError:
        result = None
    except OverflowError:  # a whole number beyond any float
        result = math.inf
    if result is None or "_" in str(value):  # Python reads "1_000" as a number; no data format does
        raise RejectedRecord("NotANumber", f"expected a number in '{feature}', received {received}")
    if not math.isfinite(result):
        raise RejectedRecord("NotFinite", f"expected a finite number in '{feature}', received {received}")
    return result


def speakable(value: Json) -> Json:
    """The value with `1e999` and the like as text: as an infinity it would have no JSON."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: speakable(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [speakable(inner) for inner in value]
    return value
