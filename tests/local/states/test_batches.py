"""Items gathered into batches: nothing lost, nothing doubled, no batch over its limits."""

import asyncio
import json
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambda_src.contract import MAX_STATE_BYTES
from local.states.batches import Batch, Limits, batched, single

Json = Any

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


async def stream(items: list[Json]) -> AsyncIterator[Json]:
    for item in items:
        yield item


def gathered(items: list[Json], limits: Limits) -> list[Batch]:
    """The batches of these items as they are."""

    async def work() -> list[Batch]:
        return [batch async for batch in batched(stream(items), lambda _index, value: value, limits)]

    return asyncio.run(work())


def size(value: Json) -> int:
    """Bytes of the compact JSON text, by another library than the engine's."""
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


@settings(max_examples=80, deadline=None)
@given(
    st.lists(VALUES, max_size=12),
    st.none() | st.integers(1, 5),
    st.none() | st.integers(1, 200),
    st.none() | st.dictionaries(st.text(max_size=4), st.text(max_size=9), max_size=2),
)
def test_every_item_is_in_one_batch_and_no_batch_is_over_its_limits(
    items: list[Json], most_items: int | None, most_bytes: int | None, shared: Json
) -> None:
    batches = gathered(items, Limits(most_items, most_bytes, shared))
    assert [item for batch in batches for item in batch.input["Items"]] == items
    assert [batch.number for batch in batches] == list(range(len(batches)))
    for batch in batches:
        assert batch.items == len(batch.input["Items"]) >= 1
        assert batch.input.get("BatchInput") == shared
        assert batch.items <= (most_items or batch.items)
        assert len(batch.text) <= (most_bytes or MAX_STATE_BYTES) or batch.items == 1


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(), min_size=1, max_size=12), st.integers(1, 60), st.none() | st.text(max_size=9))
def test_a_batch_is_measured_to_the_byte_and_filled_as_far_as_it_goes(
    items: list[str], most: int, shared: Json
) -> None:
    batches = gathered(items, Limits(None, most, shared))
    for batch in batches:
        assert len(batch.text) == size(batch.input)
        assert json.loads(batch.text) == batch.input
    for batch, following in pairwise(batches):
        assert size({**batch.input, "Items": [*batch.input["Items"], following.input["Items"][0]]}) > most


def test_a_batch_has_its_shared_input_first_and_none_where_none_was_asked_for() -> None:
    assert gathered([1], Limits(9, None)) == [Batch(0, 1, {"Items": [1]}, b'{"Items":[1]}')]
    (batch,) = gathered([1, 2], Limits(9, None, {"a": "é"}))
    assert list(batch.input) == ["BatchInput", "Items"]
    assert batch.text == '{"BatchInput":{"a":"é"},"Items":[1,2]}'.encode()


def test_a_batch_never_exceeds_what_a_state_takes_even_when_nobody_says_so() -> None:
    item = "x" * (MAX_STATE_BYTES // 3)
    assert [batch.items for batch in gathered([item] * 5, Limits(100, None))] == [2, 2, 1]


@pytest.mark.parametrize("limit", [None, 50])
def test_an_item_too_large_for_any_batch_is_alone(limit: int | None) -> None:
    large = "x" * (limit or MAX_STATE_BYTES)
    batches = gathered(["a", "b", large, "c"], Limits(9, limit))
    assert [batch.input["Items"] for batch in batches] == [["a", "b"], [large], ["c"]]


def test_no_items_make_no_batches() -> None:
    assert gathered([], Limits(1, None, "x")) == []


def test_without_a_batcher_each_item_is_an_input_and_its_index_reaches_the_selector() -> None:
    async def work() -> list[Batch]:
        return [batch async for batch in single(stream(["a", "é"]), lambda index, value: [index, value])]

    assert asyncio.run(work()) == [Batch(0, 1, [0, "a"], b'[0,"a"]'), Batch(1, 1, [1, "é"], '[1,"é"]'.encode())]


def test_the_selector_is_applied_before_an_item_is_measured() -> None:
    async def work() -> list[int]:
        items = stream(["x" * 100] * 4)
        return [batch.items async for batch in batched(items, lambda index, _value: index, Limits(None, 13))]

    assert asyncio.run(work()) == [1, 1, 1, 1]
