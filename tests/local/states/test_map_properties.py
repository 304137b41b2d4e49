"""Whatever a Map Run is of and bears: each item is in one result file, and the counts add up."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from local.states import results
from local.states.map_run import Tolerance
from tests.local.states.fake_aws import Raised, task
from tests.local.states.fake_s3 import FakeS3, Running, distributed, writer

Json = Any
COUNT = st.integers(0, 25)
BAD = st.sets(st.integers(0, 24), max_size=8)
SHARE = st.none() | st.integers(0, 100)


def items_in(aws: FakeS3, kind: str) -> list[int]:
    """The items of a kind's result file. Of a success the file has the output, which is the input here."""
    rows = aws.results(kind, extension="jsonl") or []
    inputs = rows if kind == "SUCCEEDED" else [json.loads(row["Input"]) for row in rows]
    return [item for batch in inputs for item in batch["Items"]]


@settings(max_examples=60)
@given(COUNT, BAD, st.integers(1, 6), st.integers(0, 5), SHARE, SHARE, st.integers(1, 200))
def test_each_item_is_in_one_result_file_and_the_run_fails_only_beyond_its_tolerance(
    count: int,
    bad: set[int],
    batch_size: int,
    concurrency: int,
    percentage: int | None,
    tolerated: int | None,
    part_bytes: int,
) -> None:
    async def function(batch: Json) -> Json:
        for _ in range(len(batch["Items"])):  # children end in another order than they begin
            await asyncio.sleep(0)
        if bad.intersection(batch["Items"]):
            raise Raised("Bad")
        return batch

    tolerance: dict[str, Json] = {} if percentage is None else {"ToleratedFailurePercentage": percentage}
    tolerance |= {} if tolerated is None else {"ToleratedFailureCount": tolerated}
    state = distributed(
        {"C": task("f")},
        Items=list(range(count)),
        ItemBatcher={"MaxItemsPerBatch": batch_size},
        MaxConcurrency=concurrency,
        ResultWriter=writer(Transformation="COMPACT", OutputType="JSONL"),
        **tolerance,
    )
    aws = FakeS3({"f": function})

    async def work() -> Running:
        running = Running({"M": state}, aws=aws)
        await running.end()
        return running

    with patch.object(results, "PART_BYTES", part_bytes):
        running = asyncio.run(work())

    succeeded, failed, pending = (items_in(aws, kind) for kind in ("SUCCEEDED", "FAILED", "PENDING"))
    assert sorted([*succeeded, *failed, *pending]) == list(range(count))
    assert not bad.intersection(succeeded)
    counts = running.map_run.items
    assert (counts.total, counts.succeeded, counts.failed + counts.aborted, counts.pending) == (
        count,
        len(succeeded),
        len(failed),
        len(pending),
    )
    assert counts.running == 0
    exceeded = Tolerance(tolerated, percentage).exceeded(counts.failed, count)
    assert running.execution.status == ("FAILED" if exceeded else "SUCCEEDED")
    if not exceeded:
        assert (counts.aborted, counts.pending) == (0, 0)
    sizes = {key: len(content) for key, content in aws.objects.items() if not key.endswith("/manifest.json")}
    listed = [file for files in aws.manifest["ResultFiles"].values() for file in files]
    assert {file["Key"]: file["Size"] for file in listed} == sizes


@given(st.integers(0, 1_000), st.integers(1, 1_000), st.integers(0, 200))
def test_a_share_is_exceeded_by_the_first_record_beyond_it(failed: int, total: int, halves: int) -> None:
    failed = min(failed, total)
    assert Tolerance(percentage=halves / 2).exceeded(failed, total) == (failed * 200 > halves * total)
