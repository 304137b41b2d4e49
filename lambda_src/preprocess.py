"""Preprocess: turns records into the instances that the model takes, and rejects those it cannot take."""

from __future__ import annotations

import math
import operator
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


features_of = operator.itemgetter(*FEATURES)
"""The values of a record's features, in their order. Raises `KeyError` for one that is missing."""


def handler(event: Json, context: object) -> dict[str, Any]:
    """`{"instances", "ids", "indexes", "rejected", "any"}` of a request or of one batch of a job.

    `instances` (lists of numbers, in the order of `FEATURES`), `ids` and `indexes` are equally long and
    belong together by position; `any` says whether there are any. In a request an id stands for its record, so
    the second record with an id is rejected (`DuplicateId`). In a job the index does, and no batch sees the
    others, so each record is predicted. An item of a job may be `{"index", "object": key}`: the record is then
    read from that object, and a rejected one is told by its key.
    Raises `contract.InvalidRequest` when the event holds no records, and `storage.S3Unavailable`.
    """
    return prepared_in(contract.DEFAULT_MODE, event)


def prepared_in(mode: str, event: Json) -> dict[str, Any]:
    """The same in a mode of the endpoint, whose limits it goes by."""
    items = contract.items_of(event)
    prepared, rejected = prepare(items, contents_of(event, items, mode), unique_ids="Items" not in event)
    print(f"prepared {len(prepared)} of {len(items)} records, rejected {len(rejected)}")
    return {
        "instances": [instance for _, _, instance in prepared],
        "ids": [identity for identity, _, _ in prepared],
        "indexes": [index for _, index, _ in prepared],
        "rejected": rejected,
        "any": bool(prepared),
    }


def contents_of(event: dict[str, Json], items: list[Item], mode: str) -> list[Json | RejectedRecord]:
    """The record that each item stands for, or why there is none of use."""
    batch = event.get("Items")
    if batch and "object" in batch[0]:
        from lambda_src.objects import records  # the function needs no S3, and no time to load it, for the others

        return records([item["object"] for item in batch], mode)
    return [item.value for item in items]


def prepare(
    items: list[Item], contents: list[Json | RejectedRecord], *, unique_ids: bool
) -> tuple[list[tuple[str, int, list[float]]], list[dict[str, Json]]]:
    """Each item either as (id, index, instance) or as a rejection: no record stops another.

    `contents` has the record that each item stands for, or why there is none.
    """
    prepared: list[tuple[str, int, list[float]]] = []
    rejected: list[dict[str, Json]] = []
    seen: dict[str, int] = {}
    for item, content in zip(items, contents, strict=True):
        identity = None
        try:
            if isinstance(content, RejectedRecord):
                raise content
            record = Item(item.index, content)
            identity = contract.record_id(record)
            if unique_ids and seen.setdefault(identity, item.index) != item.index:
                raise RejectedRecord(
                    "DuplicateId",
                    f"expected each id once, received {contract.brief(identity)} already at index {seen[identity]}",
                )
            prepared.append((identity, item.index, instance_of(content)))
        except RejectedRecord as reason:
            rejected.append(rejection(item, identity or contract.derived_id(item), reason))
    return prepared, rejected


def rejection(item: Item, identity: str, reason: RejectedRecord) -> dict[str, Json]:
    """The rejected record's line; a record too large or too deep to travel on is left out of it."""
    shown = None if (deep := too_deep(item.value)) else speakable(item.value)
    # Only text and lists can be long; to weigh each record would cost more than to check it.
    large = len(repr(shown)) > contract.MAX_RECORD_BYTES // 6 and too_large(shown)
    if deep or large:
        shown = None
        why = f"is nested more than {contract.MAX_DEPTH} deep"
        if large:
            why = f"weighs more than {contract.MAX_RECORD_BYTES} bytes"
        reason = RejectedRecord(reason.error, f"{reason.cause}; the record is left out, as it {why}")
    return contract.rejection(Item(item.index, shown), identity, "preprocess", reason)


def too_deep(value: Json) -> bool:
    """Whether the value is nested deeper than a record may be. Asked level by level: recursion has its limit."""
    level = [value]
    for _ in range(contract.MAX_DEPTH):
        level = [inner for outer in level if isinstance(outer, dict | list) for inner in children(outer)]
        if not level:
            return False
    return any(isinstance(inner, dict | list) for inner in level)


def children(value: Json) -> list[Json]:
    """What an object or a list holds."""
    return list(value.values()) if isinstance(value, dict) else value


def too_large(value: Json) -> bool:
    """Whether the value's JSON is more than a record may weigh."""
    return len(contract.json_lines([value])) > contract.MAX_RECORD_BYTES


def instance_of(record: dict[str, Json]) -> list[float]:
    """The record's features as finite numbers. Raises `RejectedRecord` for the first that is not one."""
    return plain_instance(record) or [number(record, feature) for feature in FEATURES]


def plain_instance(record: dict[str, Json]) -> list[float] | None:
    """The same for a record with nothing unusual in it, and much faster; None where it takes a closer look."""
    try:
        values = features_of(record)
        kinds = set(map(type, values))
        usual = kinds <= {int, float} or (kinds == {str} and "_" not in "".join(values))
        instance = list(map(float, values)) if usual else []
    except (KeyError, ValueError, OverflowError):
        return None
    return instance if instance and math.isfinite(sum(instance)) else None


def number(record: dict[str, Json], feature: str) -> float:
    """One feature: a JSON number, or text that reads as one (in CSV every value is text).

    Raises `RejectedRecord`: `MissingFeature` (absent, null or blank), `NotANumber`, `NotFinite` (NaN, an
    infinity, or beyond what a double-precision number holds).
    """
    value = record.get(feature)
    result = as_number(value)
    if result is not None and math.isfinite(result):
        return result
    if value is None or (isinstance(value, str) and not value.strip()):
        raise RejectedRecord("MissingFeature", f"expected a number in '{feature}', received nothing")
    error, wanted = ("NotANumber", "a number") if result is None else ("NotFinite", "a finite number")
    raise RejectedRecord(error, f"expected {wanted} in '{feature}', received {contract.brief(value)}")


def as_number(value: Json) -> float | None:
    """The number that a value is or reads as, None when it does neither."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str) and "_" in value:  # Python reads "1_000" as a number; no data format does
        return None
    try:
        return float(value)
    except ValueError:
        return None
    except OverflowError:  # a whole number beyond any float
        return math.inf


def speakable(value: Json) -> Json:
    """The value as any JSON can carry it: `1e999` and the like as text, half a surrogate pair as its escape."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, str) and not contract.is_unicode(value):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {speakable(key): speakable(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [speakable(inner) for inner in value]
    return value
