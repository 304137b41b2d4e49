"""Tests of what submit refuses before it asks AWS anything."""

import math
from pathlib import Path

import pytest

from jobs.errors import CommandError
from jobs.submit import InS3, LocalFile, Options, source_of


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "--batch-size: expected 1 or more, received 0"),
        ({"max_concurrency": -1}, "--max-concurrency: expected 1 or more, received -1"),
        ({"max_concurrency": 10_001}, "--max-concurrency: expected at most 10000, received 10001"),
        ({"tolerate": 100.5}, "--tolerate: expected a percentage from 0 to 100, received 100.5"),
        ({"tolerate": math.nan}, "--tolerate: expected a percentage from 0 to 100, received nan"),
    ],
)
def test_an_option_that_cannot_work_is_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(CommandError) as refused:
        Options(**options)  # type: ignore[arg-type]  # the names are the test's own
    assert (str(refused.value), refused.value.status) == (message, 2)


def test_options_that_were_not_given_are_left_to_the_stack() -> None:
    assert Options().document() == {}
    assert Options(10, 4, 0.0).document() == {"batchSize": 10, "maxConcurrency": 4, "tolerate": 0}


def test_a_retry_takes_its_parents_options_where_it_has_none() -> None:
    parent = {"batchSize": 7, "tolerate": 5}
    assert Options().or_those_of(parent).document() == parent
    assert Options(tolerate=0.0).or_those_of(parent).document() == {"batchSize": 7, "tolerate": 0}


@pytest.mark.parametrize(
    ("given", "form", "source"),
    [
        ("s3://b/a/c.csv", None, InS3("b", "a/c.csv", "csv")),
        ("s3://b/a/c", "jsonl", InS3("b", "a/c", "jsonl")),
        ("s3://b/a/", None, InS3("b", "a/", "objects")),
        ("s3://b/a/", "objects", InS3("b", "a/", "objects")),
    ],
)
def test_a_place_in_s3_is_an_object_or_a_prefix(given: str, form: str | None, source: InS3) -> None:
    assert source_of(given, form) == source


@pytest.mark.parametrize(
    ("given", "form", "message"),
    [
        ("s3://b", None, "expected s3://bucket/key"),
        ("s3:///key", None, "expected s3://bucket/key"),
        ("s3://b/a/", "csv", "a prefix holds one object a record"),
        ("s3://b/a.csv", "objects", "expected a prefix"),
        ("s3://b/a", None, "does not tell the format: add --format"),
        ("nothing.csv", None, "nothing.csv is no file here"),
        ("a.csv", "parquet", "expected csv, jsonl, json, objects, received 'parquet'"),
        ("a.csv", "objects", "expected a prefix"),
    ],
)
def test_a_source_that_cannot_be_is_refused(given: str, form: str | None, message: str) -> None:
    with pytest.raises(CommandError, match=message):
        source_of(given, form)


def test_a_file_is_taken_by_its_ending_or_as_the_format_that_is_given(tmp_path: Path) -> None:
    file = tmp_path / "Records.NDJSON"
    file.write_text("{}\n")
    assert source_of(str(file), None) == LocalFile(file, "jsonl")
    assert source_of(str(file), "json") == LocalFile(file, "json")


def test_an_empty_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "records.csv"
    file.touch()
    with pytest.raises(CommandError, match="is empty"):
        source_of(str(file), None)
    with pytest.raises(CommandError, match="is a folder"):
        source_of(str(tmp_path), None)


def test_a_name_without_an_ending_asks_for_the_format(tmp_path: Path) -> None:
    file = tmp_path / "records"
    file.write_text("a\n")
    with pytest.raises(CommandError, match="add --format"):
        source_of(str(file), None)
