"""Rows: requests of no usable shape."""

from __future__ import annotations

import json
from typing import Any

from tests.faults.fault import REQUESTS, Case, Expect, Fault, Sent
from tests.faults.place import Place

FIRST_STEP = {"MlWorkflowStack": "Preprocess", "InferenceStack": "PreprocessData"}


def unusable(name: str, what: str, value: Any, received: str) -> Fault:
    """A request in which no list of records can be found."""

    def told(place: Place) -> None:
        assert place.cause.startswith(f"{FIRST_STEP[place.over.stack]}: expected ")

    happens = "The execution fails with `InvalidRequest`, naming the step, what is expected and what was received."
    sent, expect = Sent([], request=json.dumps(value)), Expect("FAILED", "InvalidRequest", received, calls=0)
    return Fault(f"request-{name}", "data set", what, happens, [Case(REQUESTS, sent, expect, then=told)])


def not_json(name: str, what: str, text: str) -> Fault:
    """Text that StartExecution does not take."""
    expect = Expect("REFUSED", "InvalidExecutionInput", calls=0)
    case = Case(REQUESTS, Sent([], request=text), expect)
    return Fault(f"request-{name}", "data set", what, "Refused at StartExecution: nothing runs.", [case])


FAULTS: tuple[Fault, ...] = (
    unusable(
        "without-anything", "A request that is `{}`", {}, 'expected {"records": [record, ...]}, received an object {}'
    ),
    unusable(
        "misspelt", "A request with `record` for `records`", {"record": [1]}, 'received an object {"record": [1]}'
    ),
    unusable("no-list", "A request whose records are an object", {"records": {"id": 1}}, "received an object"),
    unusable(
        "of-none",
        "A request of no records",
        {"records": []},
        "expected at least one record in 'records', received an empty list",
    ),
    unusable("of-a-list", "A request that is a list", [1, 2], "received a list [1, 2]"),
    unusable("of-text", "A request that is text", "text", 'received text "text"'),
    unusable("of-null", "A request that is null", None, "received null"),
    not_json("cut-off", "A request that is cut off", "{"),
    not_json("single-quotes", "A request in Python's quotes", "{'records': []}"),
    not_json("beyond-doubles", "A request with a number beyond any double", f"[{10**400}]"),
)
