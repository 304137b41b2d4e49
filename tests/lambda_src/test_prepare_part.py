"""What is written for a transform job, and what is too large for one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lambda_src import contract, prepare_part, preprocess
from tests.lambda_src.bucket import Bucket

RECORD = {"id": "a", **dict.fromkeys(preprocess.FEATURES, 1.0)}
IN = contract.transform_folder("jobs/job", contract.FIRST) + "/in/part-000000000000.json"


def prepared(*keys: str) -> dict[str, Any]:
    items = [{"index": place, "object": key} for place, key in enumerate(keys)]
    return prepare_part.handler({"request": {"BatchInput": {}, "Items": items}, "prefix": "jobs/job"}, None)


def test_a_record_that_no_state_could_carry_is_prepared(data: Bucket) -> None:
    data.objects["incoming/a.json"] = json.dumps({**RECORD, "notes": "x" * 2**20}).encode()
    assert prepared("incoming/a.json")["any"] is True
    assert json.loads(data.objects[IN]) == {"instances": [[1.0] * len(preprocess.FEATURES)]}


def test_instances_too_large_for_one_call_are_refused_with_what_to_do(
    data: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contract, "TOGETHER_BYTES", 100)
    with pytest.raises(contract.InvalidRequest, match="instances of at most 100 bytes in one batch, received"):
        prepare_part.handler({"request": {"records": [RECORD]}, "prefix": "jobs/job"}, None)
    assert IN not in data.objects
