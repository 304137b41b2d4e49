"""CheckJob: what it settles, and each job that cannot begin with the reason it gives."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from lambda_src import check_job, contract, storage
from lambda_src.contract import InvalidJob
from tests.lambda_src.bucket import Bucket

CSV = b"id,mean area\na,1\nb,2\n"
LARGE = b"x" * check_job.CHUNK_BYTES


@pytest.fixture(autouse=True)
def defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "BATCH_SIZE": "100",
        "BATCH_BYTES": "180224",
        "MAX_CONCURRENCY": "4",
        "TOLERATED_PERCENTAGE": "2.5",
    }.items():
        monkeypatch.setenv(name, value)


def check(job: Any) -> dict[str, Any]:
    return check_job.handler({"job": job, "id": "first"}, None)


def check_content(data: Bucket, content: bytes, name: str = "set.csv", **options: Any) -> dict[str, Any]:
    data.objects[f"incoming/{name}"] = content
    return check({"dataset": {"key": f"incoming/{name}"}, **options})


def test_what_a_job_leaves_open_is_settled_by_the_deployment(data: Bucket) -> None:
    assert check_content(data, CSV) == {
        "id": "first",
        "bucket": "data",
        "dataset": {"key": "incoming/set.csv"},
        "source": "incoming/set.csv",
        "version": "null",
        "format": "csv",
        "bytes": len(CSV),
        "batchSize": 100,
        "batchBytes": 180_224,
        "maxConcurrency": 4,
        "tolerate": 2.5,
        "parent": None,
        "prefix": "jobs/first",
        "mapPrefix": "jobs/first/map",
    }


def test_what_a_job_says_stands(data: Bucket) -> None:
    options = {"format": "jsonl", "batchSize": 7, "maxConcurrency": 10_000, "tolerate": 0, "parent": "earlier"}
    settled = check_content(data, b'{"a": 1}\n', "set.txt", **options)
    assert {name: settled[name] for name in options} == options


def test_a_batch_may_not_have_more_records_than_their_results_fit_a_state(data: Bucket) -> None:
    size = check_content(data, CSV, batchSize=1_000)["batchSize"]
    assert size == 256
    assert 180_224 + size * contract.RESULT_BYTES + contract.ENVELOPE_BYTES <= contract.MAX_STATE_BYTES


def test_a_prefix_is_a_data_set_of_objects(data: Bucket) -> None:
    data.objects["incoming/set/1.json"] = b"{}"
    settled = check({"dataset": {"prefix": "incoming/set/"}})
    assert (settled["format"], settled["source"], settled["bytes"]) == ("objects", "incoming/set/", None)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", b"\xef\xbb\xbfid,a\r\n1,2\r\n"),
        ("a.csv", b'"a\nb",c\n1,2'),
        ("a.csv", b"id,a\n1,2\n3"),
        ("a.csv", CSV * 8_000),
        ("a.csv", ("id\n" + "é\n" * 50_000).encode()),
        ("a.csv", ("id\n" + "🙂" * 50_000).encode()),
        ("a.jsonl", b'{"a": 1}\r\n{"a": 2}'),
        ("a.jsonl", b"\n\n1\n\n"),
        ("a.jsonl", b'{"a": 1}\n' * 20_000),
        ("a.jsonl", b'{"a": 1}\n["' + LARGE * 3 + b'"]\n'),
        ("a.JSON", b"[1]"),
        ("a.json", b" [" + b"1, " * 50_000 + b"1]\n"),
    ],
    ids=lambda it: it if isinstance(it, str) else repr(it[:12]),
)
def test_a_data_set_that_can_be_read_passes(data: Bucket, name: str, content: bytes) -> None:
    assert check_content(data, content, name)["bytes"] == len(content)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.csv", b"", "found an empty object"),
        ("a.csv", b"\r\n \n", "found blanks only"),
        ("a.csv", b"\xef\xbb\xbf", "found blanks only"),
        ("a.csv", b"id,a\r\n", "expected records after the header row of s3://data/incoming/a.csv, found none"),
        ("a.csv", b"id,a", "expected records after the header row"),
        ("a.csv", b"id,a,a\n1,2,3", "expected each column's name once"),
        ("a.csv", b"a" * 70_000 + b"\n1", "expected a header row in the first 65536 bytes"),
        ("a.csv", b"id,a\ncaf\xe9,1\n", "expected UTF-8 in s3://data/incoming/a.csv, found the byte 0xe9"),
        ("a.csv", CSV * 8_000 + b"\xff\n", "expected UTF-8"),
        ("a.csv", CSV + "é".encode()[:1], "expected UTF-8"),
        ("a.csv", "id,a\n1,2\n".encode("utf-16"), "expected UTF-8"),
        ("a.csv", gzip.compress(CSV), "found gzip: upload it uncompressed"),
        ("a.jsonl", b'{"a": 1}\n{"a": ', "expected JSON in the last line"),
        ("a.jsonl", b'{"a": 1}\n' * 20_000 + b'{"a"', "expected JSON in the last line"),
        ("a.jsonl", b'{"a": \n{"a": 1}\n', "expected JSON in line 1"),
        ("a.jsonl", b'\xef\xbb\xbf{"a": 1}\n', "byte-order mark"),
        ("a.jsonl", b"\n\n", "found blanks only"),
        ("a.json", b"\xef\xbb\xbf[1]", "byte-order mark"),
        ("a.json", b"[]", "found an empty array"),
        ("a.json", b'{"a": 1}', "expected a JSON array of records"),
        ("a.json", b"[1, 2", "expected JSON in the document"),
        ("a.json", b"[" + b"1, " * 50_000, "it may be cut off"),
        ("a.json", b"{" + b" " * 100_000 + b"}", "expected a JSON array of records"),
    ],
    ids=lambda it: it if isinstance(it, str) else repr(it[:12]),
)
def test_a_data_set_that_cannot_be_read_is_refused_with_the_reason(
    data: Bucket, name: str, content: bytes, reason: str
) -> None:
    with pytest.raises(InvalidJob) as caught:
        check_content(data, content, name)
    assert reason in str(caught.value)


def test_a_job_of_one_version_looks_at_that_and_at_no_newer_one(data: Bucket) -> None:
    data.objects |= {"incoming/set.csv@v1": CSV, "incoming/set.csv": b"", "incoming/set.csv@v2": b""}
    settled = check({"dataset": {"key": "incoming/set.csv", "version": "v1"}})
    assert (settled["version"], settled["bytes"]) == ("v1", len(CSV))
    assert settled["dataset"] == {"key": "incoming/set.csv", "version": "v1"}


def test_a_version_that_is_gone_is_refused_by_its_name(data: Bucket) -> None:
    data.objects["incoming/set.csv"] = CSV
    with pytest.raises(InvalidJob, match=r'set.csv in version text "v1", found none that can be read'):
        check({"dataset": {"key": "incoming/set.csv", "version": "v1"}})


@pytest.mark.parametrize("dataset", [{"key": "incoming/none.csv"}, {"prefix": "incoming/none/"}])
def test_a_data_set_that_does_not_exist_is_refused(data: Bucket, dataset: dict[str, str]) -> None:
    with pytest.raises(InvalidJob, match="found none"):
        check({"dataset": dataset})


@pytest.mark.parametrize(
    ("job", "reason"),
    [
        (None, 'expected {"dataset": {"key": "incoming/..."}}, received null'),
        ({}, 'expected "dataset" to be {"key": ...}, {"key": ..., "version": ...} or {"prefix": ...}, received null'),
        ({"dataset": {"key": "incoming/a.csv", "prefix": "incoming/"}}, 'expected "dataset" to be'),
        ({"dataset": {"prefix": "incoming/a/", "version": "v1"}}, 'expected "dataset" to be'),
        ({"dataset": {"version": "v1"}}, 'expected "dataset" to be'),
        (
            {"dataset": {"key": "incoming/a.csv", "version": ""}},
            'expected "version" to be the id of a version of the object, received text ""',
        ),
        ({"dataset": {"key": "incoming/a.csv", "version": None}}, 'expected "version" to be the id'),
        ({"dataset": {"key": 3}}, "expected the data set's key under incoming/, received a number 3"),
        ({"dataset": {"key": "jobs/a.csv"}}, "expected the data set's key under incoming/"),
        ({"dataset": {"prefix": "incoming/"}}, "expected the data set's prefix under incoming/"),
        ({"dataset": {"prefix": "incoming/a"}}, "expected the data set's prefix to end with /"),
        ({"dataset": {"key": "incoming/a/"}}, "of an object, so without / at its end"),
        ({"dataset": {"key": "incoming/a.parquet"}}, 'expected a "format" of csv, jsonl, json, or a key that ends'),
        ({"dataset": {"key": "incoming/a.csv"}, "format": "xml"}, 'expected a "format" of csv, jsonl, json for a key'),
        ({"dataset": {"key": "incoming/a.csv"}, "format": "objects"}, 'expected a "format" of csv, jsonl, json'),
        ({"dataset": {"prefix": "incoming/a/"}, "format": "csv"}, 'expected a "format" of objects for a prefix'),
        ({"dataset": {"key": "incoming/a.csv"}, "batch": 3}, "expected the options dataset, format, batchSize"),
        (
            {"dataset": {"key": "incoming/a.csv"}, "batchSize": 0},
            'expected "batchSize" to be a whole number, 1 or more',
        ),
        ({"dataset": {"key": "incoming/a.csv"}, "batchSize": 1.5}, "received a number 1.5"),
        ({"dataset": {"key": "incoming/a.csv"}, "batchSize": True}, "received a truth value true"),
        ({"dataset": {"key": "incoming/a.csv"}, "maxConcurrency": 10_001}, "a whole number, 1 to 10000"),
        ({"dataset": {"key": "incoming/a.csv"}, "tolerate": 101}, 'expected "tolerate" to be a percentage, 0 to 100'),
        ({"dataset": {"key": "incoming/a.csv"}, "tolerate": "5"}, 'received text "5"'),
        ({"dataset": {"key": "incoming/a.csv"}, "parent": ""}, 'expected "parent" to be the id of a job'),
    ],
    ids=lambda it: it if isinstance(it, str) else json.dumps(it)[:40],
)
def test_a_job_that_makes_no_sense_is_refused_before_anything_is_read(data: Bucket, job: Any, reason: str) -> None:
    with pytest.raises(InvalidJob) as caught:
        check(job)
    assert reason in str(caught.value)
    assert data.asked == []


def test_no_more_than_its_ends_are_read_of_a_large_data_set(data: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    read = storage.read

    def noted(key: str, byte_range: str | None = None, version: str | None = None) -> bytes:
        content = read(key, byte_range, version)
        sizes.append(len(content))
        return content

    monkeypatch.setattr(storage, "read", noted)
    check_content(data, CSV * 50_000)
    assert sizes == [check_job.CHUNK_BYTES] * 2


@pytest.mark.parametrize("name", [".", "..", "..."])
def test_a_name_that_a_tool_could_take_for_a_way_up_is_refused(data: Bucket, name: str) -> None:
    with pytest.raises(InvalidJob, match="a job's name to be more than dots, received text"):
        check_job.handler({"job": {"dataset": {"key": "incoming/a.csv"}}, "id": name}, None)
    assert data.asked == []
