"""Tests of bringing outcomes into the data set's order."""

import json
import random
from collections.abc import Iterator

import pytest

from jobs.outcomes import (
    FailedBatch,
    Outcome,
    failed_batch,
    in_order,
    joined,
    merged,
    readable_cause,
    sorted_on_disk,
)
from jobs.records import Record
from lambda_src.contract import json_lines


def _parts(*batches: list[int]) -> Iterator[tuple[int, bytes]]:
    for batch in sorted(batches, key=min):
        yield min(batch), json_lines([{"index": index} for index in batch])


def test_rows_of_parts_come_by_index() -> None:
    rows = in_order(_parts([3, 2], [0, 1], [7]))
    assert [row["index"] for row in rows] == [0, 1, 2, 3, 7]


def test_batches_need_not_be_neighbours_in_the_data_set() -> None:
    indexes = list(range(200))
    random.Random(1).shuffle(indexes)
    rows = in_order(_parts(*(indexes[start : start + 7] for start in range(0, 200, 7))))
    assert [row["index"] for row in rows] == list(range(200))


def test_no_more_than_one_part_is_kept_back_when_batches_are_neighbours() -> None:
    read = []

    def parts() -> Iterator[tuple[int, bytes]]:
        for part in _parts(*([start, start + 1] for start in range(0, 100, 2))):
            read.append(part[0])
            yield part

    for row in in_order(parts()):
        assert len(read) <= row["index"] // 2 + 2


def test_a_stored_prediction_counts_though_its_batch_failed_afterwards() -> None:
    found = merged(
        [Outcome(1, "predicted", "yes")],
        [Outcome(0, "rejected", error="NotANumber")],
        [Outcome(0, "failed"), Outcome(1, "failed"), Outcome(2, "failed")],
    )
    assert [(outcome.index, outcome.kind) for outcome in found] == [(0, "rejected"), (1, "predicted"), (2, "failed")]


def test_records_without_an_outcome_are_gaps() -> None:
    records = [Record(index, index) for index in range(5)]
    pairs = joined(records, iter([Outcome(1, "predicted"), Outcome(3, "failed"), Outcome(9, "failed")]))
    assert [(record.index, outcome and outcome.kind) for record, outcome in pairs] == [
        (0, None),
        (1, "predicted"),
        (2, None),
        (3, "failed"),
        (4, None),
    ]


def no_part(key: str) -> bytes | None:
    raise AssertionError(key)


def test_a_batch_whose_input_names_an_object_is_told_by_what_that_holds() -> None:
    parts = {"transform/part.json": b'{"indexes": [4, 6], "rejected": [{"index": 5}]}'}
    row = {"Status": "FAILED", "Error": "TransformFailed", "Input": '{"key": "transform/part.json", "job": true}'}
    assert failed_batch(row, parts.get) == FailedBatch([5, 4, 6], "TransformFailed", "")
    assert failed_batch({**row, "Input": '{"key": "gone.json"}'}, parts.get).indexes == []


def test_failed_batches_are_sorted_by_record() -> None:
    found = list(sorted_on_disk([FailedBatch([4, 5], "A", "late"), FailedBatch([0, 1], "B", "early")]))
    assert [(outcome.index, outcome.error, outcome.cause) for outcome in found] == [
        (0, "B", "early"),
        (1, "B", "early"),
        (4, "A", "late"),
        (5, "A", "late"),
    ]


def test_a_failed_child_names_its_records_its_error_and_the_sentence_of_its_cause() -> None:
    items = [{"index": 7, "record": {}}, {"index": 8, "record": {}}]
    row = {
        "Status": "FAILED",
        "Error": "PredictionCountMismatch",
        "Cause": json.dumps({"errorMessage": "expected 2 predictions", "errorType": "PredictionCountMismatch"}),
        "Input": json.dumps({"BatchInput": {}, "Items": items}),
    }
    assert failed_batch(row, no_part) == FailedBatch([7, 8], "PredictionCountMismatch", "expected 2 predictions")


@pytest.mark.parametrize(("status", "error"), [("TIMED_OUT", "States.Timeout"), ("ABORTED", "Aborted")])
def test_a_child_that_ended_without_an_error_has_one_of_its_status(status: str, error: str) -> None:
    assert failed_batch({"Status": status, "Input": '{"Items": []}'}, no_part) == FailedBatch([], error, "")


@pytest.mark.parametrize("cause", ["plain", "[1]", "{", '{"other": 1}'])
def test_a_cause_that_is_no_lambda_document_stays_as_it_is(cause: str) -> None:
    assert readable_cause(cause) == cause
