"""StoreResults against S3's answers: written once, compared when there, and told apart when it fails."""

from __future__ import annotations

import io
import socket
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.response import StreamingBody
from botocore.stub import Stubber

from lambda_src import contract, storage, store_results
from lambda_src.contract import PredictionCountMismatch, ResultConflict
from tests.lambda_src.bucket import Bucket

REJECTED = contract.rejection(
    contract.Item(5, {"id": "bad"}), "bad", "preprocess", contract.RejectedRecord("MissingFeature", "why")
)
SAID = {"variant": "AllTraffic", "version": "v1"}
MODEL = {"variant": "AllTraffic", "modelVersion": "v1"}
ROWS = [
    {"id": "a", "index": 3, "prediction": {"p": 0.5}, **MODEL},
    {"id": "b", "index": 4, "prediction": {"p": 1.0}, **MODEL},
]
EVENT = {
    "prefix": "requests/run",
    "ids": ["a", "b"],
    "indexes": [3, 4],
    "answer": {"predictions": [{"p": 0.5}, {"p": 1.0}], **SAID},
    "rejected": [REJECTED],
}
PREDICTIONS_KEY = "requests/run/predictions/part-000000000003.jsonl"


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubber]:
    client = boto3.client("s3", region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test")
    monkeypatch.setattr(storage, "client", lambda: client)
    monkeypatch.setenv("DATA_BUCKET", "data")
    with Stubber(client) as stub:
        yield stub
        stub.assert_no_pending_responses()


def put(key: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "Bucket": "data",
        "Key": key,
        "Body": contract.json_lines(rows),
        "ContentType": "application/x-ndjson",
        "IfNoneMatch": "*",
    }


def refuse_predictions(s3: Stubber, code: str, status: int) -> None:
    s3.add_client_error("put_object", code, http_status_code=status, expected_params=put(PREDICTIONS_KEY, ROWS))


def found(s3: Stubber, body: bytes) -> None:
    s3.add_response(
        "get_object",
        {"Body": StreamingBody(io.BytesIO(body), len(body))},
        {"Bucket": "data", "Key": PREDICTIONS_KEY},
    )


def test_predictions_and_rejected_records_are_stored_under_the_batchs_first_index(s3: Stubber) -> None:
    s3.add_response("put_object", {}, put(PREDICTIONS_KEY, ROWS))
    s3.add_response("put_object", {}, put("requests/run/rejected/part-000000000003.jsonl", [REJECTED]))
    assert store_results.handler(EVENT, None) == {
        "results": f"s3://data/{PREDICTIONS_KEY}",
        "predicted": 2,
        "rejected": [REJECTED],
    }


def test_in_a_job_the_answer_is_the_counts_for_its_summary(s3: Stubber) -> None:
    s3.add_response("put_object", {}, put(PREDICTIONS_KEY, ROWS))
    s3.add_response("put_object", {}, put("requests/run/rejected/part-000000000003.jsonl", [REJECTED]))
    assert store_results.handler(EVENT | {"split": False, "calls": 1, "retries": [0, 2, 1]}, None) == {
        "first": 3,
        "received": 3,
        "predicted": 2,
        "rejected": {"MissingFeature": 1},
        "calls": 1,
        "retries": 3,
    }


def test_rejected_records_are_stored_in_order_whichever_step_rejected_them(s3: Stubber) -> None:
    refused = {"at": 1, "item": {"index": 4, "record": {"id": "b"}}, "cause": "no", "attempts": 2}
    part = {"lo": 0, "hi": 1, "predictions": [{"p": 0.5}], **SAID}
    split = {"parts": [part], "refused": [refused]}
    line = contract.rejection(
        contract.Item(4, {"id": "b"}), "b", "predict", contract.RejectedRecord("ModelRefused", "no"), attempts=2
    )
    s3.add_response("put_object", {}, put(PREDICTIONS_KEY, ROWS[:1]))
    s3.add_response("put_object", {}, put("requests/run/rejected/part-000000000003.jsonl", [line, REJECTED]))
    answer = store_results.handler(EVENT | {"answer": {"predictions": []}, "split": split}, None)
    assert (answer["predicted"], answer["rejected"]) == (1, [line, REJECTED])


def test_a_batch_that_was_rejected_whole_leaves_no_predictions(s3: Stubber) -> None:
    s3.add_response("put_object", {}, put("requests/run/rejected/part-000000000005.jsonl", [REJECTED]))
    event = EVENT | {"ids": [], "indexes": [], "answer": {"predictions": []}}
    assert store_results.handler(event, None) == {"results": None, "predicted": 0, "rejected": [REJECTED]}


def test_the_same_results_a_second_time_are_left_as_they_are(s3: Stubber) -> None:
    refuse_predictions(s3, "PreconditionFailed", 412)
    found(s3, contract.json_lines(ROWS))
    assert store_results.handler(EVENT | {"rejected": []}, None)["predicted"] == 2


def test_other_results_at_the_same_key_are_a_conflict(s3: Stubber) -> None:
    refuse_predictions(s3, "PreconditionFailed", 412)
    found(s3, b"something else")
    found(s3, b"something else")
    with pytest.raises(ResultConflict, match=f"s3://data/{PREDICTIONS_KEY}"):
        store_results.handler(EVENT, None)


def line(index: int, identity: str, version: str, **more: Any) -> dict[str, Any]:
    return {"id": identity, "index": index, "prediction": {"p": 0.0}, "modelVersion": version, **more}


REFUSED = contract.rejection(contract.Item(4, {}), "b", "predict", contract.RejectedRecord("ModelRefused", "no"), 2)


@pytest.mark.parametrize(
    ("predictions", "rejected"),
    [([line(3, "a", "v0"), line(4, "b", "v0")], [REJECTED]), ([line(3, "a", "v0")], [REFUSED, REJECTED])],
)
def test_what_another_model_made_of_the_whole_batch_before_stands(
    predictions: list[dict[str, Any]], rejected: list[dict[str, Any]], data: Bucket
) -> None:
    body = contract.json_lines(predictions)
    data.objects[PREDICTIONS_KEY] = body
    data.objects["requests/run/rejected/part-000000000003.jsonl"] = contract.json_lines(rejected)
    answer = store_results.handler(EVENT, None)
    assert answer == {"results": f"s3://data/{PREDICTIONS_KEY}", "predicted": len(predictions), "rejected": rejected}
    assert data.objects[PREDICTIONS_KEY] == body


@pytest.mark.parametrize(
    "predictions",
    [
        [line(3, "a", "v0")],
        [line(3, "a", "v0"), line(4, "c", "v0")],
        [line(3, "a", "v0"), line(4, "b", "v0"), line(5, "bad", "v0")],
        [line(3, "a", "v1", variant="AllTraffic"), line(4, "b", "v1", variant="AllTraffic")],
        [{}],
        ["no line of ours"],
    ],
    ids=["a part", "another record", "one twice", "the same model", "without an id", "no object"],
)
def test_other_results_that_are_not_whole_or_the_same_models_are_a_conflict(
    predictions: list[Any], data: Bucket
) -> None:
    data.objects[PREDICTIONS_KEY] = contract.json_lines(predictions)
    data.objects["requests/run/rejected/part-000000000003.jsonl"] = contract.json_lines([REJECTED])
    with pytest.raises(ResultConflict):
        store_results.handler(EVENT, None)


@pytest.mark.parametrize(
    ("code", "status"),
    [("SlowDown", 503), ("InternalError", 500), ("ServiceUnavailable", 503), ("ConditionalRequestConflict", 409)],
)
def test_what_passes_has_a_name_that_the_state_machine_retries(s3: Stubber, code: str, status: int) -> None:
    refuse_predictions(s3, code, status)
    with pytest.raises(storage.S3Unavailable, match=code):
        store_results.handler(EVENT, None)


def test_a_slow_read_is_retried_too(s3: Stubber) -> None:
    refuse_predictions(s3, "PreconditionFailed", 412)
    s3.add_client_error("get_object", "SlowDown", http_status_code=503)
    with pytest.raises(storage.S3Unavailable):
        store_results.handler(EVENT, None)


def test_a_missing_grant_keeps_its_own_error(s3: Stubber) -> None:
    refuse_predictions(s3, "AccessDenied", 403)
    with pytest.raises(ClientError, match="AccessDenied"):
        store_results.handler(EVENT, None)


def test_a_wrong_number_of_predictions_stores_nothing(s3: Stubber) -> None:
    with pytest.raises(PredictionCountMismatch, match="expected 2 predictions"):
        store_results.handler(EVENT | {"answer": {"predictions": [{"p": 0.5}]}}, None)


def test_an_answer_that_is_no_list_stores_nothing(s3: Stubber) -> None:
    with pytest.raises(PredictionCountMismatch, match="expected a list of 2 predictions"):
        store_results.handler(EVENT | {"answer": {"predictions": {"p": 0.5}}}, None)


def test_an_s3_that_cannot_be_reached_is_retried_by_the_state_machine_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    client = boto3.client(
        "s3",
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        endpoint_url=f"http://127.0.0.1:{port}",
        config=storage.ONE_TRY,
    )
    monkeypatch.setattr(storage, "client", lambda: client)
    monkeypatch.setenv("DATA_BUCKET", "data")
    with pytest.raises(storage.S3Unavailable, match="Could not connect"):
        storage.put_once("key", b"")


def test_the_client_tries_once_because_the_state_machine_counts_the_tries() -> None:
    assert vars(storage.ONE_TRY)["retries"]["total_max_attempts"] == 1
