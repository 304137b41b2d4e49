"""Tests of text made fit for terminals."""

import json

import pytest

from jobs.text import json_text, shortened, visible_lines
from lambda_src.contract import visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("wdbc-001 é 😀", "wdbc-001 é 😀"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("\x9b31m", "\\x9b31m"),
        ("a\r\nb\tc", "a\\x0d\\x0ab\\x09c"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\x1b]8;;http://a.example\x1b\\click\x1b]8;;\x1b\\", "\\x1b]8;;http://a.example\\x1b\\click\\x1b]8;;\\x1b\\"),
        ("\ud800", "\\ud800"),
    ],
)
def test_control_characters_never_reach_a_terminal(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_lines_of_data_keep_their_ends() -> None:
    assert visible_lines("a\x1b\nb\n") == "a\\x1b\nb\n"


def test_a_long_cause_becomes_one_short_line() -> None:
    assert shortened("a\n  b " * 200).startswith("a b a b")
    assert len(shortened("a\n b " * 200)) == 300


@pytest.mark.parametrize("value", ["\x7f\x9b\u202e\ud800\u2028", {"é😀": [1, None, 0.5]}, "plain"])
def test_json_for_terminals_says_the_same_as_any_json(value: object) -> None:
    assert json.loads(json_text(value)) == value
    assert visible_lines(json_text(value, indent=2)) == json_text(value, indent=2)


def test_a_number_that_is_not_finite_is_written_as_text() -> None:
    assert json_text({"a": [1e999, -1e999]}) == '{"a": ["inf", "-inf"]}'
