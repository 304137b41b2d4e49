"""Records that lie in S3 as one JSON object each."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lambda_src import contract, objects, preprocess, storage
from tests.lambda_src.bucket import Bucket

RECORD = {"id": "a", **dict.fromkeys(preprocess.FEATURES, 1.0)}


def prepare(*keys: str) -> dict[str, Any]:
    items = [{"index": place, "object": key} for place, key in enumerate(keys)]
    return preprocess.handler({"BatchInput": {}, "Items": items}, None)


def test_each_object_is_a_record_in_the_order_of_the_items(data: Bucket) -> None:
    keys = [f"incoming/set/{number}.json" for number in range(40)]
    for number, key in enumerate(keys):
        data.objects[key] = json.dumps(RECORD | {"id": number}).encode()
    assert prepare(*keys)["ids"] == [str(number) for number in range(40)]


@pytest.mark.parametrize(
    ("content", "error", "cause"),
    [
        (None, "ObjectNotReadable", "found none to read"),
        (b"", "NotJson", "received 0 bytes"),
        (b'{"id": ', "NotJson", "received 7 bytes"),
        (b'{"id": "\xff"}', "NotJson", "invalid start byte"),
        (b" " * contract.MAX_RECORD_BYTES + b"1", "RecordTooLarge", "expected at most 131072 bytes"),
        (b"[1]", "NotAnObject", "expected a JSON object"),
        (b'{"id": "a"}', "MissingFeature", "mean radius"),
        (b"[" * 60_000, "NotJson", "received 60000 bytes"),
        (b"[" * 60_000 + b"]" * 60_000, "NotJson", "received 120000 bytes"),
        (b'{"mean radius": ' + b"9" * 100_000 + b"}", "NotJson", "digits"),
        (b'{"mean radius": 1e999}', "NotFinite", "mean radius"),
    ],
)
def test_an_object_that_holds_no_good_record_is_rejected_by_its_key(
    data: Bucket, content: bytes | None, error: str, cause: str
) -> None:
    data.objects["incoming/set/good.json"] = json.dumps(RECORD).encode()
    if content is not None:
        data.objects["incoming/set/bad.json"] = content
    answer = prepare("incoming/set/bad.json", "incoming/set/good.json")
    assert answer["indexes"] == [1]
    (line,) = answer["rejected"]
    assert (line["error"], line["record"]) == (error, {"object": "incoming/set/bad.json"})
    assert cause in line["cause"]


def test_a_record_of_the_most_bytes_is_read(data: Bucket) -> None:
    body = json.dumps(RECORD).encode()
    data.objects["incoming/set/a.json"] = body + b" " * (contract.MAX_RECORD_BYTES - len(body))
    assert prepare("incoming/set/a.json")["ids"] == ["a"]


def test_nothing_outside_of_where_data_sets_lie_is_read(data: Bucket) -> None:
    data.objects["jobs/secret.json"] = json.dumps(RECORD).encode()
    (line,) = prepare("jobs/secret.json")["rejected"]
    assert line["error"] == "ObjectNotReadable"
    assert data.asked == []


def test_one_object_more_than_there_are_threads_is_no_matter(data: Bucket) -> None:
    assert len(objects.records(["incoming/none.json"] * (storage.THREADS + 1))) == storage.THREADS + 1
