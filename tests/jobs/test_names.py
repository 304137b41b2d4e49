"""Tests of job ids and names."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs import names
from jobs.errors import CommandError

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def test_a_generated_id_tells_the_file_and_the_time() -> None:
    assert names.generated("records", now=NOON).startswith("records-20261122T120000Z-")


def test_two_generated_ids_of_one_second_differ() -> None:
    assert len({names.generated("records", now=NOON) for _ in range(50)}) > 45


@given(st.text())
def test_whatever_a_file_is_called_its_generated_id_is_a_name_that_jobs_allow(stem: str) -> None:
    assert names.checked(made := names.generated(stem)) == made


@pytest.mark.parametrize("name", ["", "a" * 81, "a b", "a/b", "-a", "a.b", "é", "a\n", "../a"])
def test_a_name_that_cannot_be_is_refused_with_a_sentence_that_says_what_is_allowed(name: str) -> None:
    with pytest.raises(CommandError, match="expected 1 to 80 letters, digits, '-' and '_'"):
        names.checked(name)


def test_a_name_of_80_characters_is_allowed() -> None:
    assert names.checked("a" * 80)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("records.csv", "records.csv"),
        ("Füße 😀.csv", "Füße 😀.csv"),
        ("a\x1b[31m\n.csv", "a_[31m_.csv"),
        ("\udcff.csv", "_.csv"),
        ("a\\b.csv", "a_b.csv"),
        ("..", "_"),
        ("", "_"),
        ("x" * 300, "x" * 200),
    ],
)
def test_a_file_keeps_its_name_in_s3_but_for_what_no_key_carries(name: str, key: str) -> None:
    assert names.file_name(name) == key


@pytest.mark.parametrize("name", ["a", "a.b", "it's(x)!", "é", "..", "a" * 80])
def test_a_job_of_another_client_may_have_another_name(name: str) -> None:
    assert names.possible(name)


@pytest.mark.parametrize(
    "name", ["", "a" * 81, "../a", "/etc/passwd", "a:b", "a b", "a\n", "\0", "\x1b[31m", "$(x)", "{% 1 %}"]
)
def test_what_no_execution_can_be_called_is_no_jobs_name(name: str) -> None:
    assert not names.possible(name)
