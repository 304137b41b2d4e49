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
        (b" " * contract.MAX_RECORD_BYTES + b"1", "RecordTooLarge", "; mode transform takes up to 4194304 bytes"),
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


@pytest.mark.parametrize(("mode", "most"), contract.RECORD_BYTES.items())
def test_each_mode_takes_a_record_of_its_limit_and_says_of_a_larger_one_which_mode_would(
    data: Bucket, mode: str, most: int
) -> None:
    body = json.dumps(RECORD).encode()
    data.objects["incoming/set/most.json"] = body + b" " * (most - len(body))
    data.objects["incoming/set/more.json"] = body + b" " * (most + 1 - len(body))
    taken, refused = objects.records(["incoming/set/most.json", "incoming/set/more.json"], mode)
    assert taken == RECORD
    assert isinstance(refused, contract.RejectedRecord)
    largest = max(contract.RECORD_BYTES.values())
    hint = "no mode takes a larger one" if most == largest else f"mode transform takes up to {largest} bytes"
    assert refused.error == "RecordTooLarge"
    assert f"expected at most {most} bytes" in refused.cause
    assert hint in refused.cause


def test_a_batch_that_is_too_large_for_one_call_of_a_transform_job_says_to_make_it_smaller(data: Bucket) -> None:
    body = json.dumps(RECORD).encode()
    keys = [f"incoming/set/{number}.json" for number in range(3)]
    for key in keys:
        data.objects[key] = body + b" " * (contract.TOGETHER_BYTES // 3 + 1 - len(body))
    assert objects.records(keys[:2], "transform") == [RECORD, RECORD]
    with pytest.raises(contract.InvalidRequest, match="in the objects of one batch, received more: submit"):
        objects.records(keys, "transform")
