"""Preprocess: what it makes of good records, and what it says of bad ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lambda_src.contract import MAX_DEPTH, MAX_RECORD_BYTES, InvalidRequest, derived_id
from lambda_src.contract import Item as ContractItem
from lambda_src.preprocess import FEATURES, handler
from lambda_src.splitting import refusal

ROOT = Path(__file__).parents[2]


def record(**changed: Any) -> dict[str, Any]:
    """A good record whose features are 0, 1, 2, ... in order."""
    return {"id": "a", **{name: float(place) for place, name in enumerate(FEATURES)}, **changed}


def only_rejection(value: Any) -> dict[str, Any]:
    answer = handler({"records": [value]}, None)
    assert answer["instances"] == answer["ids"] == answer["indexes"] == []
    (rejected,) = answer["rejected"]
    return dict(rejected)


def test_the_features_are_those_of_the_model_in_its_order() -> None:
    weights = json.loads((ROOT / "model" / "weights.json").read_text())
    assert list(FEATURES) == weights["features"]


def test_an_instance_has_the_features_in_order_wherever_they_stand_in_the_record() -> None:
    shuffled = dict(sorted(record().items(), reverse=True))
    answer = handler({"records": [shuffled]}, None)
    assert answer == {
        "instances": [[float(place) for place in range(30)]],
        "ids": ["a"],
        "indexes": [0],
        "rejected": [],
        "any": True,
    }


def test_fields_that_the_model_does_not_know_are_ignored() -> None:
    assert handler({"records": [record(diagnosis="benign")]}, None)["rejected"] == []


@pytest.mark.parametrize(
    ("value", "number"),
    [(17, 17.0), ("17.99", 17.99), (" 1e2 ", 100.0), ("-0.5", -0.5), (0, 0.0)],
)
def test_a_number_may_be_text_that_reads_as_one(value: Any, number: float) -> None:
    answer = handler({"records": [record(**{"mean area": value})]}, None)
    assert answer["instances"][0][FEATURES.index("mean area")] == number


@pytest.mark.parametrize(
    ("value", "error", "cause"),
    [
        (None, "MissingFeature", "expected a number in 'mean area', received nothing"),
        ("", "MissingFeature", "expected a number in 'mean area', received nothing"),
        ("  ", "MissingFeature", "expected a number in 'mean area', received nothing"),
        ("large", "NotANumber", "expected a number in 'mean area', received text \"large\""),
        ("1_000", "NotANumber", "expected a number in 'mean area', received text \"1_000\""),
        ("0x10", "NotANumber", "expected a number in 'mean area', received text \"0x10\""),
        (True, "NotANumber", "expected a number in 'mean area', received a truth value true"),
        ([1], "NotANumber", "expected a number in 'mean area', received a list [1]"),
        ("nan", "NotFinite", "expected a finite number in 'mean area', received text \"nan\""),
        ("-Infinity", "NotFinite", "expected a finite number in 'mean area', received text \"-Infinity\""),
        (1e999, "NotFinite", "expected a finite number in 'mean area', received a number Infinity"),
    ],
)
def test_a_feature_that_is_no_finite_number_rejects_its_record(value: Any, error: str, cause: str) -> None:
    rejected = only_rejection(record(**{"mean area": value}))
    assert (rejected["error"], rejected["cause"], rejected["stage"]) == (error, cause, "preprocess")


def test_a_whole_number_beyond_any_float_is_not_finite() -> None:
    assert only_rejection(record(**{"mean area": 10**400}))["error"] == "NotFinite"


def test_a_missing_feature_is_named() -> None:
    incomplete = record()
    del incomplete["worst area"]
    rejected = only_rejection(incomplete)
    assert rejected["error"] == "MissingFeature"
    assert "'worst area'" in rejected["cause"]


def test_a_rejected_record_carries_itself() -> None:
    bad = record(**{"mean area": "large"})
    rejected = only_rejection(bad)
    assert (rejected["id"], rejected["index"], rejected["record"]) == ("a", 0, bad)


def test_a_rejected_record_is_valid_json_even_with_a_number_that_is_not() -> None:
    rejected = only_rejection(json.loads('{"id": "a", "mean radius": 1e999, "notes": [1e999]}'))
    assert rejected["record"] == {"id": "a", "mean radius": "inf", "notes": ["inf"]}
    json.dumps(rejected, allow_nan=False)


def test_a_rejected_record_is_utf_8_even_with_half_a_surrogate_pair() -> None:
    rejected = only_rejection({"id": "\ud83e", "no\udd86te": ["\ud83e\udd86 🦆"]})
    assert rejected["record"] == {"id": "\\ud83e", "no\\udd86te": ["\\ud83e\\udd86 🦆"]}
    assert rejected["cause"] == "expected 'id' to be Unicode text, received text \"\\ud83e\""
    json.dumps(rejected, ensure_ascii=False).encode()


@pytest.mark.parametrize("value", [None, 3, "text", [record()]])
def test_a_record_that_is_not_an_object_is_rejected_under_a_derived_id(value: Any) -> None:
    rejected = only_rejection(value)
    assert rejected["error"] == "NotAnObject"
    assert rejected["id"] == derived_id(ContractItem(0, value))


@pytest.mark.parametrize("identity", [{"a": 1}, True, 1.5, "x" * 257, "\ud800"])
def test_an_id_that_is_no_name_is_rejected(identity: Any) -> None:
    assert only_rejection(record(id=identity))["error"] == "InvalidId"


def test_a_record_without_an_id_gets_one_from_its_content_and_place() -> None:
    nameless = record(id=None)
    ids = handler({"records": [nameless, nameless]}, None)["ids"]
    assert ids == [derived_id(ContractItem(0, nameless)), derived_id(ContractItem(1, nameless))]
    assert ids[0] != ids[1]


def test_the_second_record_with_an_id_is_rejected_in_a_request() -> None:
    answer = handler({"records": [record(id=7), record(id="b"), record(id="7")]}, None)
    assert (answer["ids"], answer["indexes"]) == (["7", "b"], [0, 1])
    (rejected,) = answer["rejected"]
    assert (rejected["index"], rejected["error"]) == (2, "DuplicateId")
    assert rejected["cause"] == 'expected each id once, received text "7" already at index 0'


def test_in_a_job_each_record_is_predicted_whatever_its_id() -> None:
    items = [{"index": 40, "record": record()}, {"index": 41, "record": record()}]
    answer = handler({"BatchInput": {}, "Items": items}, None)
    assert (answer["ids"], answer["indexes"], answer["rejected"]) == (["a", "a"], [40, 41], [])


@pytest.mark.parametrize("first", ["\ufeffid", '\ufeff"id"'])
def test_a_byte_order_mark_before_the_first_column_is_not_part_of_its_name(first: str) -> None:
    marked = {first: "x", **{name: value for name, value in record().items() if name != "id"}}
    answer = handler({"BatchInput": {}, "Items": [{"index": 0, "record": marked}]}, None)
    assert (answer["ids"], answer["rejected"]) == (["x"], [])


@pytest.mark.parametrize("letter", ["x", "\u00e9", "\U0001f642"])
def test_a_bad_record_too_large_to_travel_on_is_left_out_of_its_line(letter: str) -> None:
    heavy = {"id": "a", "notes": letter * MAX_RECORD_BYTES}
    rejected = only_rejection(heavy)
    assert (rejected["id"], rejected["record"], rejected["error"]) == ("a", None, "MissingFeature")
    assert rejected["cause"].endswith(f"left out, as it weighs more than {MAX_RECORD_BYTES} bytes")
    assert len(json.dumps(rejected)) < 1_000


def test_a_good_record_of_any_weight_is_predicted() -> None:
    assert handler({"records": [record(notes="x" * MAX_RECORD_BYTES)]}, None)["ids"] == ["a"]


def test_a_bad_record_never_stops_a_good_one() -> None:
    answer = handler({"records": [None, record(), record(id="b", **{"mean area": "?"})]}, None)
    assert (answer["ids"], answer["indexes"]) == (["a"], [1])
    assert [rejected["index"] for rejected in answer["rejected"]] == [0, 2]


@pytest.mark.parametrize("event", [{}, {"records": []}, {"records": {}}, [], "text", None])
def test_a_request_with_no_usable_shape_is_refused(event: Any) -> None:
    with pytest.raises(InvalidRequest, match="expected"):
        handler(event, None)


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def test_a_record_that_is_nested_too_deep_to_travel_on_is_left_out_of_its_rejection() -> None:
    for levels, shown in ((MAX_DEPTH - 1, True), (MAX_DEPTH, False), (900, False), (100_000, False)):
        value = record(**{"mean area": nested(levels)})
        good = record(id="good")
        answer = handler({"records": [value, good]}, None)
        (line,) = answer["rejected"]
        assert (line["id"], line["error"], answer["ids"]) == ("a", "NotANumber", ["good"])
        assert line["record"] == (value if shown else None)
        assert line["cause"].endswith("as it is nested more than 100 deep") is not shown


@pytest.mark.parametrize("value", [nested(100_000), {"id": nested(100_000)}, {"note": nested(100_000)}])
def test_a_record_that_is_nothing_but_deep_is_rejected_with_an_id(value: Any) -> None:
    line = only_rejection(value)
    assert len(line["id"]) == 32
    assert len(line["cause"]) < 300


def test_a_mark_at_the_beginning_of_a_file_is_not_in_what_a_rejected_line_shows() -> None:
    given = {"\ufeffid": "a", "note": "x"}
    answer = handler({"BatchInput": {}, "Items": [{"index": 0, "record": given}]}, None)
    assert answer["rejected"][0]["record"] == {"id": "a", "note": "x"}
    by_model = refusal({"at": 0, "item": {"record": given}, "cause": "no", "attempts": 1}, ["a"], [0])
    assert by_model["record"] == {"id": "a", "note": "x"}
