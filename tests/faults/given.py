"""Good records to send with the bad ones, and ways to change them."""

from __future__ import annotations

import functools
from typing import Any

from model import examples, train

Record = dict[str, Any]

NO_JSON = {"mean smoothness": 1.7e308, "mean compactness": 1.7e308}
"""Numbers that the model takes and then answers with a NaN: one infinity less another."""

COMMON = "another"
"""The id of the records that `changed` and `without` make."""


@functools.cache
def _examples() -> tuple[Record, ...]:
    return tuple(examples.records(train.load()))


def good(count: int) -> list[Record]:
    """So many good records, with ids of their own."""
    known = _examples()
    return [{**known[number % len(known)], "id": f"r-{number:05d}"} for number in range(count)]


def among(*strange: Any) -> list[Any]:
    """Values between two good records; those that were made of one and the same get ids of their own."""
    first, last = good(2)
    own = [
        {**value, "id": f"s-{number:05d}"} if isinstance(value, dict) and value.get("id") == COMMON else value
        for number, value in enumerate(strange)
    ]
    return [first, *own, last]


def changed(**features: Any) -> Record:
    """A good record with other values: `mean_area` stands for `mean area`."""
    return {**good(1)[0], "id": COMMON, **{name.replace("_", " "): value for name, value in features.items()}}


def without(*names: str) -> Record:
    """A good record that lacks these fields."""
    return {name: value for name, value in changed().items() if name not in names}
