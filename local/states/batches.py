"""Items gathered into the inputs of child executions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from lambda_src.contract import MAX_STATE_BYTES
from local.states.documents import compact
from local.states.failures import ITEM_READER_FAILED, StateFailure

Json = Any


@dataclass(frozen=True)
class Batch:
    """The input of one child execution. `number` counts batches from 0, `items` the items in it.

    `text` is the input's compact JSON.
    """

    number: int
    items: int
    input: Json
    text: bytes


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
        yield Batch(index, 1, selected, _text(selected, index))
        index += 1


async def batched(
    items: AsyncIterator[Json], select: Callable[[int, Json], Json], limits: Limits
) -> AsyncIterator[Batch]:
    """Items in batches: `{"BatchInput": ..., "Items": [...]}`.

    https://docs.aws.amazon.com/step-functions/latest/dg/input-output-itembatcher.html
    An item that is too large for any batch is a batch by itself. One that no state's input holds fails its child.
    Raises `StateFailure` for an item that is nested too deep for any state.
    """
    most_items = limits.items or MAX_STATE_BYTES
    most_bytes = min(limits.bytes or MAX_STATE_BYTES, MAX_STATE_BYTES)
    envelope: dict[str, Json] = {} if limits.batch_input is None else {"BatchInput": limits.batch_input}
    before, after = compact({**envelope, "Items": []})[:-2], b"]}"
    empty = len(before) + len(after)
    number, gathered, texts, size = 0, list[Json](), list[bytes](), empty

    def batch() -> Batch:
        return Batch(number, len(gathered), {**envelope, "Items": gathered}, before + b",".join(texts) + after)

    index = 0
    async for item in items:
        selected = select(index, item)
        text = _text(selected, index)
        index += 1
        if gathered and (len(gathered) == most_items or size + len(text) > most_bytes):
            yield batch()
            number, gathered, texts, size = number + 1, [], [], empty
        gathered.append(selected)
        texts.append(text)
        size += len(text) + 1
    if gathered:
        yield batch()


def _text(item: Json, index: int) -> bytes:
    """The item's JSON. Raises `StateFailure` for one that is nested too deep."""
    try:
        return compact(item)
    except StateFailure as failure:
        raise StateFailure(ITEM_READER_FAILED, f"item {index}: {failure.cause}") from failure
