"""Whatever a request or a batch holds, its records add up: the synthesized states, the real functions, any JSON."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lambda_src import preprocess
from tests.stacks.chains import MARK, Ended, Model, Run, child, record

Json = Any
ANY = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(["NaN", "1e999", "", " ", "wdbc-000", "\ud800", "\x00"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8) | st.just("id"), inner, max_size=4),
    max_leaves=8,
)
"""Any JSON value."""

GOOD = st.integers(0, 30).map(record)
SPOILT = st.tuples(GOOD, st.sampled_from([*preprocess.FEATURES[:4], "id", "note"]), ANY).map(
    lambda it: {**it[0], it[1]: it[2]}
)
"""A good record with any value in one of its fields."""

RECORDS = st.lists(GOOD | SPOILT | ANY, min_size=1, max_size=12)
REFUSED = st.sets(st.integers(0, 30), max_size=5)
FIXED = settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])


def number_of(value: Json) -> int:
    """What the model makes of a record."""
    return int(preprocess.instance_of(value)[MARK])


def check(given_: list[Json], ended: Ended, rejected: list[Json]) -> None:
    """Each record is predicted or rejected, once, and no prediction is another's."""
    assert ended.status == "SUCCEEDED", ended.cause
    predictions = ended.output.get("predictions", ended.predictions)
    indexes = [line["index"] for line in [*predictions, *rejected]]
    assert sorted(indexes) == list(range(len(given_)))
    for line in predictions:
        assert line["prediction"] == {"number": number_of(given_[line["index"]])}
        assert line["prediction"]["number"] not in ended.model.poison
    for line in rejected:
        assert line["record"] == preprocess.speakable(given_[line["index"]])
        assert (line["stage"] == "predict") == (line["error"] == "ModelRefused") == (line["attempts"] > 0)
        assert line["stage"] == "preprocess" or number_of(line["record"]) in ended.model.poison


@FIXED
@given(RECORDS, REFUSED)
@pytest.mark.parametrize("stack_name", ["inference", "ml_workflow"])
def test_the_records_of_a_request_are_each_predicted_or_rejected(
    run: Run, request: pytest.FixtureRequest, stack_name: str, records: list[Json], refused: set[int]
) -> None:
    ended = run(request.getfixturevalue(stack_name).definition, {"records": records}, Model(poison=refused))
    check(records, ended, ended.output["rejected"])
    assert [line["index"] for line in ended.output["rejected"]] == sorted(
        it["index"] for it in ended.output["rejected"]
    )


@FIXED
@given(RECORDS, REFUSED)
@pytest.mark.parametrize("stack_name", ["inference", "ml_workflow"])
def test_the_records_of_a_batch_are_each_predicted_or_rejected(
    run: Run, request: pytest.FixtureRequest, stack_name: str, records: list[Json], refused: set[int]
) -> None:
    items = [{"index": index, "record": value} for index, value in enumerate(records)]
    value = {"BatchInput": {"prefix": "jobs/any"}, "Items": items}
    ended = run(child(request.getfixturevalue(stack_name)), value, Model(poison=refused))
    check(records, ended, ended.rejected)
    assert (ended.output["first"], ended.output["received"]) == (0, len(records))
    assert ended.output["predicted"] == len(ended.predictions)
    assert ended.output["rejected"] == dict(Counter(line["error"] for line in ended.rejected))
