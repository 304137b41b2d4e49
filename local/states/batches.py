"""Items gathered into the inputs of child executions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from lambda_src.contract import MAX_STATE_BYTES
from local.states.documents import compact

Json = Any


@dataclass(frozen=True)
class Batch:
    """The input of one child execution. `number` counts batches from 0, `items` the items in it.

    `bytes` is the size of the input's compact JSON text.
    """

    number: int
    items: int
    input: Json
    bytes: int


@dataclass(frozen=True)
class Limits:
    """What one batch may hold: items, and bytes of its whole JSON text. None is no limit but the state's own."""

    items: int | None
    bytes: int | None
    batch_input: Json = None
    """What each batch carries beside its items; None leaves it out."""


async def single(items: AsyncIterator[Json], select: Callable[[int, Json], Json]) -> AsyncIterator[Batch]:
    """Each item as an input of its own."""
    index = 0
    async for item in items:
        selected = select(index, item)
        yield Batch(index, 1, selected, len(compact(selected)))
        index += 1


async def batched(
    items: AsyncIterator[Json], select: Callable[[int, Json], Json], limits: Limits
) -> AsyncIterator[Batch]:
    """Items in batches: `{"BatchInput": ..., "Items": [...]}`.

    https://docs.aws.amazon.com/step-functions/latest/dg/input-output-itembatcher.html
    An item that is too large for any batch is a batch by itself. One that no state's input holds fails its child.
    """
    most_items = limits.items or MAX_STATE_BYTES
    most_bytes = min(limits.bytes or MAX_STATE_BYTES, MAX_STATE_BYTES)
    envelope: dict[str, Json] = {} if limits.batch_input is None else {"BatchInput": limits.batch_input}
    empty = len(compact({**envelope, "Items": []}))
    number, gathered, size = 0, list[Json](), empty
    index = 0
    async for item in items:
        selected = select(index, item)
        index += 1
        weight = len(compact(selected)) + 1
        if gathered and (len(gathered) == most_items or size + weight - 1 > most_bytes):
            yield Batch(number, len(gathered), {**envelope, "Items": gathered}, size - 1)
            number, gathered, size = number + 1, [], empty
        gathered.append(selected)
        size += weight
    if gathered:
        yield Batch(number, len(gathered), {**envelope, "Items": gathered}, size - 1)
