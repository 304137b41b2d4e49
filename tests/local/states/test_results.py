"""What a Map Run leaves in S3, and in the state's output where it leaves nothing there."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from lambda_src.contract import MAX_STATE_BYTES
from local.states import results
from local.states.calling import Caller
from local.states.failures import StateFailure
from local.states.objects import Objects
from local.states.results import Child, ResultFiles
from tests.local.states.fake_aws import MACHINE, ROLE
from tests.local.states.fake_s3 import BUCKET, FakeS3

Json = Any
RUN = "arn:aws:states:us-east-1:123456789012:mapRun:machine/Label:run-id"


def child(output: Json = None, status: str = "SUCCEEDED", **more: Json) -> Child:
    """A child of input 7."""
    return Child("arn:child", "name", "arn:machine/Label", status, 7, output, **more)


def written(
    aws: FakeS3, work: Callable[[ResultFiles], Awaitable[None]], *, prefix: str = "out/", **more: str
) -> ResultFiles:
    """Does the work on new result files."""

    async def run() -> ResultFiles:
        files = ResultFiles(Objects(Caller(ROLE, MACHINE, aws)), BUCKET, prefix, RUN, **more)
        await work(files)
        return files

    return asyncio.run(run())


async def finish(files: ResultFiles, *children: Child) -> None:
    """Adds the children and ends the files."""
    for one in children:
        files.add(one)
        await files.flush()
    await files.finish()


@pytest.mark.parametrize("prefix", ["out", "out/", "out//"])
def test_the_manifest_names_the_files_that_there_are_and_their_sizes(prefix: str) -> None:
    aws = FakeS3()
    files = written(aws, lambda files: finish(files, child("a"), child(status="FAILED")), prefix=prefix)
    assert files.details == {"Bucket": BUCKET, "Key": "out/run-id/manifest.json"}
    assert sorted(aws.objects) == [
        f"out/run-id/{name}" for name in ("FAILED_0.json", "SUCCEEDED_0.json", "manifest.json")
    ]
    sizes = {key: len(content) for key, content in aws.objects.items()}
    assert json.loads(aws.objects["out/run-id/manifest.json"]) == {
        "DestinationBucket": BUCKET,
        "MapRunArn": RUN,
        "ResultFiles": {
            "FAILED": [{"Key": "out/run-id/FAILED_0.json", "Size": sizes["out/run-id/FAILED_0.json"]}],
            "PENDING": [],
            "SUCCEEDED": [{"Key": "out/run-id/SUCCEEDED_0.json", "Size": sizes["out/run-id/SUCCEEDED_0.json"]}],
        },
    }


def test_without_a_prefix_the_runs_folder_is_at_the_top() -> None:
    aws = FakeS3()
    written(aws, finish, prefix="")
    assert sorted(aws.objects) == ["run-id/manifest.json"]


@pytest.mark.parametrize("output_type", ["JSON", "JSONL"])
@pytest.mark.parametrize(
    ("transformation", "rows"),
    [("COMPACT", [{"a": 1}, [1, 2], [], "é"]), ("FLATTEN", [{"a": 1}, 1, 2, "é"])],
)
def test_outputs_alone_are_written_and_lists_made_flat_when_asked(
    transformation: str, rows: list[Json], output_type: str
) -> None:
    aws = FakeS3()
    children = [child(output) for output in ({"a": 1}, [1, 2], [], "é")]
    written(aws, lambda files: finish(files, *children), transformation=transformation, output_type=output_type)
    assert aws.results("SUCCEEDED", extension=output_type.lower()) == rows


@pytest.mark.parametrize("output_type", ["JSON", "JSONL"])
def test_by_default_a_child_is_described_with_its_documents_as_text(output_type: str) -> None:
    aws = FakeS3()
    one = child({"é": 1}, started="2024-01-02T03:04:05.678Z", stopped="2024-01-02T03:04:06.000Z")
    written(aws, lambda files: finish(files, one), output_type=output_type)
    assert aws.results("SUCCEEDED", extension=output_type.lower()) == [
        {
            "ExecutionArn": "arn:child",
            "Input": "7",
            "InputDetails": {"Included": True},
            "Name": "name",
            "Output": '{"é":1}',
            "OutputDetails": {"Included": True},
            "StartDate": "2024-01-02T03:04:05.678Z",
            "StateMachineArn": "arn:machine/Label",
            "Status": "SUCCEEDED",
            "StopDate": "2024-01-02T03:04:06.000Z",
        }
    ]


@pytest.mark.parametrize("transformation", ["NONE", "COMPACT", "FLATTEN"])
def test_what_did_not_succeed_is_described_whole_whatever_is_asked(transformation: str) -> None:
    aws = FakeS3()
    children = [
        child(status="FAILED", error="E", cause="C"),
        child(status="TIMED_OUT", error="States.Timeout"),
        child(status="ABORTED"),
        child(status="PENDING"),
    ]
    written(aws, lambda files: finish(files, *children), transformation=transformation)
    shared = {
        "ExecutionArn": "arn:child",
        "Input": "7",
        "InputDetails": {"Included": True},
        "Name": "name",
        "StateMachineArn": "arn:machine/Label",
    }
    assert aws.results("FAILED") == [
        {**shared, "Status": "FAILED", "Error": "E", "Cause": "C"},
        {**shared, "Status": "TIMED_OUT", "Error": "States.Timeout"},
        {**shared, "Status": "ABORTED"},
    ]
    assert aws.results("PENDING") == [{**shared, "Status": "PENDING"}]


def test_children_that_all_give_empty_lists_make_an_empty_array() -> None:
    aws = FakeS3()
    written(aws, lambda files: finish(files, child([]), child([])), transformation="FLATTEN")
    assert aws.results("SUCCEEDED") == []


@pytest.mark.parametrize("output_type", ["JSON", "JSONL"])
def test_a_file_over_the_part_size_is_written_in_parts(monkeypatch: pytest.MonkeyPatch, output_type: str) -> None:
    monkeypatch.setattr(results, "PART_BYTES", 100)
    aws = FakeS3()
    outputs = [f"{number:030}" for number in range(20)]
    children = [child(output) for output in outputs]
    written(aws, lambda files: finish(files, *children), transformation="COMPACT", output_type=output_type)
    assert aws.results("SUCCEEDED", extension=output_type.lower()) == outputs
    parts = [
        len(request.body) for request in aws.sent if "partNumber" in request.url and isinstance(request.body, bytes)
    ]
    assert len(parts) >= 5
    assert all(100 <= length < 200 for length in parts[:-1])
    assert not aws.uploads
    (listed,) = aws.manifest["ResultFiles"]["SUCCEEDED"]
    assert listed["Size"] == len(aws.objects[listed["Key"]])


def test_many_children_that_end_at_once_write_each_part_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "PART_BYTES", 50)
    aws = FakeS3()

    async def work(files: ResultFiles) -> None:
        async def one(number: int) -> None:
            files.add(child(number))
            await files.flush()

        await asyncio.gather(*(one(number) for number in range(200)))
        await files.finish()

    written(aws, work, transformation="COMPACT", output_type="JSONL")
    assert sorted(aws.results("SUCCEEDED", extension="jsonl")) == list(range(200))


@pytest.mark.parametrize("part_bytes", [10, 10_000])
def test_a_refusal_fails_with_the_error_of_aws_and_loses_nothing(
    monkeypatch: pytest.MonkeyPatch, part_bytes: int
) -> None:
    monkeypatch.setattr(results, "PART_BYTES", part_bytes)
    aws = FakeS3(denied={"s3:PutObject"})

    async def work(files: ResultFiles) -> None:
        with pytest.raises(StateFailure) as failure:
            await finish(files, child("a" * 20), child("b" * 20))
        assert failure.value.error == "States.ResultWriterFailed"
        assert "not authorized to perform: s3:PutObject" in str(failure.value.cause)
        aws.denied.clear()
        files.restart()
        await finish(files, child("c"))

    written(aws, work, transformation="COMPACT")
    wanted = ["a" * 20, "c"] if part_bytes == 10 else ["a" * 20, "b" * 20, "c"]
    assert aws.results("SUCCEEDED") == wanted


def test_after_a_redrive_the_manifest_has_all_successes_and_only_the_last_failures() -> None:
    aws = FakeS3()

    async def work(files: ResultFiles) -> None:
        await finish(files, child("a"), child(status="FAILED"), child(status="PENDING"))
        files.restart()
        await finish(files, child("b"), child(status="FAILED"))

    written(aws, work, transformation="COMPACT")
    names = {kind: [row["Key"][11:] for row in rows] for kind, rows in aws.manifest["ResultFiles"].items()}
    assert names == {"SUCCEEDED": ["SUCCEEDED_0.json", "SUCCEEDED_1.json"], "FAILED": ["FAILED_1.json"], "PENDING": []}
    assert (aws.results("SUCCEEDED"), aws.results("SUCCEEDED", round_=1)) == (["a"], ["b"])


def test_after_a_stop_a_redrive_goes_on_with_the_open_file_and_forgets_the_aborted() -> None:
    aws = FakeS3()

    async def work(files: ResultFiles) -> None:
        files.add(child("a"))
        files.add(child(status="ABORTED"))
        files.restart()
        await finish(files, child("b"))

    written(aws, work, transformation="COMPACT")
    assert aws.results("SUCCEEDED") == ["a", "b"]
    assert aws.manifest["ResultFiles"]["FAILED"] == []


def test_a_row_may_be_as_large_as_a_state_s_output() -> None:
    aws = FakeS3()
    large = "x" * MAX_STATE_BYTES
    written(aws, lambda files: finish(files, child(large)), output_type="JSONL", transformation="COMPACT")
    assert aws.results("SUCCEEDED", extension="jsonl") == [large]
