"""Documents are weighed and written to the byte, whatever of them has been written before."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.states import documents
from local.states.documents import Texts, compact

Json = Any

LONG = "x" * documents._LARGE
ATOMS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.just(LONG)
)
VALUES = st.recursive(
    ATOMS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=18)
)


@given(VALUES)
def test_a_document_is_written_and_weighed_as_if_it_were_new(value: Json) -> None:
    texts = Texts()
    for again in (value, {"Payload": value, "Name": "f"}, value, {"Body": {"a": value}}, [value]):
        assert texts.weigh(again) == len(compact(again))
        assert texts.of(again) == compact(again)
        assert texts.weigh(again) == len(compact(again))


@pytest.mark.parametrize("value", [{"a": 2**70, "b": LONG}, {"\ud800": [LONG, "\udfff"]}, {"a": {}, "b": [], "": None}])
def test_what_takes_the_standard_library_is_written_by_it(value: Json) -> None:
    written = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    assert Texts().of(value) == written
    assert Texts().weigh(value) == len(written)


def test_a_large_document_is_written_once_and_kept_with_no_more_than_a_few_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written: list[Json] = []

    def noting(value: Json) -> bytes:
        written.append(value)
        return compact(value)

    monkeypatch.setattr(documents, "compact", noting)
    texts, large = Texts(), [LONG]
    texts.weigh({"Payload": large})
    assert texts.of({"Payload": large}) == compact({"Payload": large})
    assert written.count(large) == 1
    for number in range(documents._MOST_KEPT):
        texts.keep([number], LONG.encode())
    texts.of(large)
    assert written.count(large) == 2


def test_an_equal_document_that_is_another_object_is_written_anew() -> None:
    texts = Texts()
    texts.keep([LONG], b"?" * documents._LARGE)
    assert texts.of([LONG]) == compact([LONG])
