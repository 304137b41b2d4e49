"""The functions' codec reads and writes what the standard library does, or nothing else in fewer bytes."""

from __future__ import annotations

import datetime
import decimal
import enum
import json
import math
import uuid
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.functions.runtime import Codec

CODEC = Codec(orjson)
LARGE = 262_144

ATOMS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=5)
DOCUMENTS = st.recursive(
    ATOMS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4)
)


def same(one: Any, other: Any) -> bool:
    """Equal to the type and the last bit; NaN is NaN."""
    return repr(one) == repr(other)


def test_a_whole_document_is_read_as_the_standard_library_reads_it() -> None:
    for text in (
        *(b"18446744073709551616", b"-9223372036854775809", b"[1.5, 123456789012345678901234567890]"),
        *(b"-0", b"-0.0", b"1e5", b"1E400", b"1e-400", b"NaN", b"[Infinity]", b'"\\ud800"', b'"1234567890123456789"'),
        *(b'{"a": 1, "a": 2}', b"\xef\xbb\xbf1", b' "\xc3\xbc"\n', "1".encode("utf-16"), b"9007199254740993"),
    ):
        assert same(CODEC.loads(text), json.loads(text)), text


@pytest.mark.parametrize("text", [b"", b"{", b"[1,]", b"'a'", b'"\n"', b"01", b"1 2"])
def test_what_is_no_json_is_refused_in_the_standard_librarys_words(text: bytes) -> None:
    with pytest.raises(ValueError) as ours:  # noqa: PT011 - its text is compared
        CODEC.loads(text)
    with pytest.raises(ValueError) as theirs:  # noqa: PT011 - its text is compared
        json.loads(text)
    assert str(ours.value) == str(theirs.value)


@given(DOCUMENTS)
def test_any_document_comes_through_as_through_the_standard_library(document: Any) -> None:
    text = json.dumps(document).encode()
    assert same(CODEC.loads(text), json.loads(text))
    try:
        written = json.dumps(document, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        with pytest.raises(UnicodeEncodeError):
            CODEC.dumps(document, LARGE)
    else:
        assert CODEC.dumps(document, 0) == written
        assert same(json.loads(CODEC.dumps(document, LARGE)), json.loads(written))


class Colour(enum.Enum):
    RED = "red"


class Text(str):
    pass


@pytest.mark.parametrize("value", [Colour.RED, uuid.UUID(int=1), datetime.date(2026, 1, 1), b"x", {1}, 1j, math])
def test_what_the_standard_library_cannot_write_cannot_be_answered(value: Any) -> None:
    for answer in (value, [1, value], {"a": value}, {"a": [{"b": value}]}):
        with pytest.raises(TypeError):
            CODEC.dumps(answer, LARGE)


@pytest.mark.parametrize(
    "answer",
    [{1: 2}, {None: 1.5, True: 2}, Text("a"), {Text("k"): 1}, (1, (2,)), decimal.Decimal("1.5"), [math.nan], 2**64],
)
def test_what_only_the_standard_library_writes_is_written_by_it(answer: Any) -> None:
    assert same(json.loads(CODEC.dumps(answer, LARGE)), json.loads(CODEC.dumps(answer, 0)))


def test_a_circle_is_refused_as_the_standard_library_does() -> None:
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(ValueError, match="Circular reference detected"):
        CODEC.dumps(circle, LARGE)


def test_an_answer_is_without_blanks_only_where_the_blanks_could_not_matter() -> None:
    answer = {"a": [1, 2]}
    assert CODEC.dumps(answer, 0) == b'{"a": [1, 2]}'
    assert CODEC.dumps(answer, LARGE) == b'{"a":[1,2]}'
    assert CODEC.dumps(answer, 22) == b'{"a": [1, 2]}'
    assert CODEC.dumps(answer, 23) == b'{"a":[1,2]}'
