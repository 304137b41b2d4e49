"""What goes to a transform job and what comes of it: bodies, pairs, single records, and a job that answered nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lambda_src import contract, prepare_part, preprocess, storage, store_part
from lambda_src.contract import AGAIN, FIRST, PredictionCountMismatch
from lambda_src.store_part import MOST_UNPROVEN, TransformFailed
from tests.lambda_src.bucket import Bucket

Json = Any
PREFIX = "jobs/first"
FIRST_FOLDER, AGAIN_FOLDER = "transform/jobs/first/first", "transform/jobs/first/again"
REASON = "ClientError: See job logs for more information"


def record(number: int) -> dict[str, Json]:
    return {"id": f"r{number}", **dict.fromkeys(preprocess.FEATURES, float(number))}


def batch(first: int, *records: Json) -> dict[str, Json]:
    return {"Items": [{"index": first + at, "record": it} for at, it in enumerate(records)]}


def prepare(request: Json) -> dict[str, Json]:
    return prepare_part.handler({"request": request, "prefix": PREFIX}, None)


def event(key: str, attempt: str = FIRST, *, job: bool = True, reason: str = "") -> dict[str, Json]:
    return {"prefix": PREFIX, "key": key, "attempt": attempt, "reason": reason, "job": job}


def answered(data: Bucket, folder: str, name: str, *predictions: Json) -> None:
    data.objects[f"{folder}/out/{name}.json.out"] = json.dumps({"predictions": predictions, "version": "v1"}).encode()


def lines(data: Bucket, kind: str) -> list[Json]:
    return [
        line
        for key in sorted(data.objects)
        if key.startswith(f"{PREFIX}/{kind}/")
        for line in contract.read_json_lines(data.objects[key])
    ]


def test_a_batch_leaves_the_models_body_and_beside_it_what_pairs_its_answer_again(data: Bucket) -> None:
    prepared = prepare(batch(200, record(1), "no record", record(2)))
    key = f"{FIRST_FOLDER}/parts/part-000000000200.json"
    assert prepared == {"key": key, "any": True}
    body = json.loads(data.objects[f"{FIRST_FOLDER}/in/part-000000000200.json"])
    assert [instance[0] for instance in body["instances"]] == [1.0, 2.0]
    part = json.loads(data.objects[key])
    assert (part["first"], part["ids"], part["indexes"]) == (200, ["r1", "r2"], [200, 202])
    assert part["records"] == [record(1), record(2)]
    assert [(line["index"], line["error"]) for line in part["rejected"]] == [(201, "NotAnObject")]


def test_a_batch_without_an_instance_leaves_nothing_for_the_model(data: Bucket) -> None:
    prepared = prepare(batch(0, "no record"))
    assert prepared["any"] is False
    assert list(data.objects) == [prepared["key"]]
    told = store_part.handler(event(prepared["key"]), None)
    assert (told["received"], told["rejected"], told["calls"]) == (1, {"NotAnObject": 1}, 0)


def test_a_second_try_puts_all_of_its_own_in_the_place_of_the_firsts(data: Bucket) -> None:
    data.objects[f"{FIRST_FOLDER}/in/part-000000000000.json"] = b"of another try"
    prepare(batch(0, record(1)))
    assert json.loads(data.objects[f"{FIRST_FOLDER}/in/part-000000000000.json"])["instances"]


def test_an_answer_is_stored_with_the_records_it_is_for(data: Bucket) -> None:
    key = prepare(batch(0, record(1), "no record", record(2)))["key"]
    answered(data, FIRST_FOLDER, "part-000000000000", "one", "two")
    told = store_part.handler(event(key), None)
    assert told == {
        "first": 0, "received": 3, "predicted": 2, "rejected": {"NotAnObject": 1}, "calls": 1, "retries": 0,
    }  # fmt: skip
    assert [(line["id"], line["index"], line["prediction"]) for line in lines(data, "predictions")] == [
        ("r1", 0, "one"),
        ("r2", 2, "two"),
    ]
    assert lines(data, "predictions")[0]["modelVersion"] == "v1"


def test_a_request_is_answered_as_in_every_mode(data: Bucket) -> None:
    key = prepare({"records": [record(1), "no record"]})["key"]
    answered(data, FIRST_FOLDER, "part-000000000000", "one")
    told = store_part.handler(event(key, job=False), None)
    assert told["results"] == f"s3://data/{PREFIX}/predictions/part-000000000000.jsonl"
    assert (told["predicted"], [line["error"] for line in told["rejected"]]) == (1, ["NotAnObject"])


def test_another_count_of_predictions_is_an_error_and_never_a_shift(data: Bucket) -> None:
    key = prepare(batch(0, record(1), record(2)))["key"]
    answered(data, FIRST_FOLDER, "part-000000000000", "one")
    with pytest.raises(PredictionCountMismatch):
        store_part.handler(event(key), None)
    assert lines(data, "predictions") == []


@pytest.mark.parametrize("body", [None, b'{"predictions": [NaN, 1]}', b"<html>", b"[]", b"{}"])
def test_the_records_of_a_refused_batch_are_each_an_object_with_one_that_the_model_took(
    data: Bucket, body: bytes | None
) -> None:
    key = prepare(batch(100, record(1), record(2)))["key"]
    prepare(batch(0, record(9)))
    answered(data, FIRST_FOLDER, "part-000000000000", "nine")
    if body is not None:
        data.objects[f"{FIRST_FOLDER}/out/part-000000000100.json.out"] = body
    told = store_part.handler(event(key, reason=REASON), None)
    assert told == {"first": 100, "again": f"{AGAIN_FOLDER}/parts/part-000000000100.json"}
    sent = {
        name.rpartition("/")[2]: json.loads(body)["instances"][0][0]
        for name, body in data.objects.items()
        if name.startswith(f"{AGAIN_FOLDER}/in/")
    }
    assert sent == {"part-000000000100-000000.json": 1.0, "part-000000000100-000001.json": 2.0, "taken.json": 9.0}
    assert lines(data, "predictions") == lines(data, "rejected") == []


def refused(data: Bucket) -> str:
    """A refused batch of three, of which one is to be sent again."""
    key = prepare(batch(100, record(1), record(2), record(3)))["key"]
    return str(store_part.handler(event(key, reason=REASON), None)["again"])


def test_what_the_model_refuses_alone_too_is_rejected_and_no_other(data: Bucket) -> None:
    again = refused(data)
    answered(data, AGAIN_FOLDER, "part-000000000100-000000", "one")
    data.objects[f"{AGAIN_FOLDER}/out/part-000000000100-000002.json.out"] = b'{"predictions": [NaN]}'
    told = store_part.handler(event(again, AGAIN, reason=REASON), None)
    assert (told["received"], told["predicted"], told["rejected"]) == (3, 1, {"ModelRefused": 2})
    assert told["calls"] == 4
    assert [(line["index"], line["prediction"]) for line in lines(data, "predictions")] == [(100, "one")]
    rejected = lines(data, "rejected")
    assert [(line["index"], line["record"], line["cause"]) for line in rejected] == [
        (101, record(2), REASON),
        (102, record(3), store_part.NOT_JSON),
    ]
    assert {(line["stage"], line["attempts"]) for line in rejected} == {("predict", 2)}


def test_more_records_than_s3_lists_at_once_are_all_found(data: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "PAGE", 2)
    key = prepare(batch(0, *(record(number) for number in range(5))))["key"]
    again = store_part.handler(event(key, reason=REASON), None)["again"]
    for number in range(5):
        answered(data, AGAIN_FOLDER, f"part-000000000000-{number:06d}", number)
    assert store_part.handler(event(again, AGAIN, reason=REASON), None)["predicted"] == 5


def test_one_that_the_model_took_before_proves_that_the_others_were_refused(data: Bucket) -> None:
    again = refused(data)
    answered(data, AGAIN_FOLDER, "taken", "nine")
    assert store_part.handler(event(again, AGAIN, reason=REASON), None)["rejected"] == {"ModelRefused": 3}


def test_a_job_out_of_which_nothing_came_rejects_no_record(data: Bucket) -> None:
    again = refused(data)
    with pytest.raises(TransformFailed, match="See job logs"):
        store_part.handler(event(again, AGAIN, reason=REASON), None)
    assert lines(data, "rejected") == []


def test_a_model_that_takes_none_of_many_batches_is_not_asked_about_each_record(data: Bucket) -> None:
    keys = [prepare(batch(number * 2, record(number)))["key"] for number in range(MOST_UNPROVEN + 1)]
    with pytest.raises(TransformFailed, match="none to more than 64"):
        store_part.handler(event(keys[0], reason=REASON), None)
    assert not any(key.startswith(AGAIN_FOLDER) for key in data.objects)


def test_an_answer_that_is_there_and_may_not_be_read_is_no_refusal(
    data: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = prepare(batch(0, record(1)))["key"]
    answered(data, FIRST_FOLDER, "part-000000000000", "one")
    read = storage.read

    def denied(asked: str) -> bytes:
        if asked.endswith(".out"):
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "GetObject")
        return read(asked)

    monkeypatch.setattr(storage, "read", denied)
    with pytest.raises(ClientError, match="AccessDenied"):
        store_part.handler(event(key), None)
