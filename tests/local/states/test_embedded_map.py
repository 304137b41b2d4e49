"""Distributed Maps within the running embedded AWS: its S3 as their data set and their results, its IAM in between."""

import json
import time
from typing import Any

import pytest

from tests.local.states.fake_aws import machine
from tests.local.states.fake_s3 import distributed
from tests.local_aws import LocalAws

Json = Any
STATES = "states.amazonaws.com"
BUCKET = "distributed-map-tests"
ACTIONS = ("s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts")


@pytest.fixture(scope="module")
def s3(aws: LocalAws) -> Any:
    client = aws.client("s3")
    client.create_bucket(Bucket=BUCKET)
    return client


def executed(aws: LocalAws, name: str, state: dict[str, Json], *without: str) -> dict[str, Any]:
    """Runs a machine of this one Map with every grant it needs but those, and describes the execution."""
    machine_arn = f"arn:aws:states:us-east-1:000000000000:stateMachine:{name}"
    grants = [(action, f"arn:aws:s3:::{BUCKET}/*") for action in ACTIONS]
    grants += [("s3:ListBucket", f"arn:aws:s3:::{BUCKET}"), ("states:StartExecution", machine_arn)]
    grants += [("states:RedriveExecution", machine_arn.replace("stateMachine", "execution") + ":*")]
    allowed = [
        {"Effect": "Allow", "Action": action, "Resource": resource}
        for action, resource in grants
        if action not in without
    ]
    client = aws.client("stepfunctions")
    role = aws.role(name, STATES, *allowed)
    arn = client.create_state_machine(name=name, definition=machine({"M": state}), roleArn=role)["stateMachineArn"]
    return ended(aws, client.start_execution(stateMachineArn=arn)["executionArn"])


def ended(aws: LocalAws, execution: str) -> dict[str, Any]:
    """Describes the execution once it has ended."""
    client = aws.client("stepfunctions")
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        described: dict[str, Any] = client.describe_execution(executionArn=execution)
        if described["status"] != "RUNNING":
            return described
        time.sleep(0.02)
    raise AssertionError("the execution did not end")


def reader(kind: str, key: str, **config: Json) -> dict[str, Json]:
    return {
        "Resource": "arn:aws:states:::s3:getObject",
        "ReaderConfig": {"InputType": kind, **config},
        "Arguments": {"Bucket": BUCKET, "Key": key},
    }


def writer(prefix: str) -> dict[str, Json]:
    return {
        "Resource": "arn:aws:states:::s3:putObject",
        "Arguments": {"Bucket": BUCKET, "Prefix": prefix},
        "WriterConfig": {"Transformation": "COMPACT", "OutputType": "JSONL"},
    }


def test_a_data_set_and_results_larger_than_a_part_pass_through_whole(aws: LocalAws, s3: Any) -> None:
    rows = [f'{number},"é\n{"x" * 1000}"' for number in range(12_000)]
    s3.put_object(Bucket=BUCKET, Key="large.csv", Body=("id,text\n" + "\n".join(rows)).encode())
    state = distributed(
        ItemReader=reader("CSV", "large.csv", CSVHeaderLocation="FIRST_ROW"),
        ItemBatcher={"MaxInputBytesPerBatch": 262_144},
        ResultWriter=writer("large"),
    )
    described = executed(aws, "large", state)
    assert described["status"] == "SUCCEEDED", described
    place = json.loads(described["output"])["ResultWriterDetails"]
    manifest = json.loads(s3.get_object(**place)["Body"].read())
    (listed,) = manifest["ResultFiles"]["SUCCEEDED"]
    content = s3.get_object(Bucket=BUCKET, Key=listed["Key"])["Body"].read()
    assert len(content) == listed["Size"] > 12_000_000
    ids = [int(item["id"]) for line in content.splitlines() for item in json.loads(line)["Items"]]
    assert sorted(ids) == list(range(12_000))
    assert not s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads")


def test_an_empty_object_has_no_items(aws: LocalAws, s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="empty", Body=b"")
    described = executed(aws, "empty", distributed(ItemReader=reader("JSONL", "empty")))
    assert (described["status"], described.get("output")) == ("SUCCEEDED", "[]")


def test_a_listing_reads_the_objects_under_a_prefix(aws: LocalAws, s3: Any) -> None:
    for number in range(3):
        s3.put_object(Bucket=BUCKET, Key=f"listed/é {number}", Body=b"x" * number)
    listing = {"Resource": "arn:aws:states:::s3:listObjectsV2", "Arguments": {"Bucket": BUCKET, "Prefix": "listed/"}}
    described = executed(aws, "listing", distributed(ItemReader=listing))
    found = [(item["Key"], item["Size"], item["StorageClass"]) for item in json.loads(described["output"])]
    assert found == [(f"listed/é {number}", number, "STANDARD") for number in range(3)]


@pytest.mark.parametrize(
    ("action", "error"),
    [
        ("s3:GetObject", "States.ItemReaderFailed"),
        ("s3:PutObject", "States.ResultWriterFailed"),
        ("states:StartExecution", "StepFunctions.AccessDeniedException"),
    ],
)
def test_each_grant_is_needed(aws: LocalAws, s3: Any, action: str, error: str) -> None:
    s3.put_object(Bucket=BUCKET, Key="one", Body=b"1\n")
    state = distributed(ItemReader=reader("JSONL", "one"), ResultWriter=writer("denied"))
    described = executed(aws, f"without-{action.replace(':', '-')}", state, action)
    assert described["error"] == error
    assert "AccessDenied" in described["cause"] or "not authorized" in described["cause"] or "403" in described["cause"]


def test_a_redrive_after_the_object_changed_is_refused_by_s3(aws: LocalAws, s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="changing", Body=b"1\n")
    state = distributed({"F": {"Type": "Fail", "Error": "E"}}, ItemReader=reader("JSONL", "changing"))
    described = executed(aws, "changing", state)
    assert described["error"] == "States.ExceedToleratedFailureThreshold"
    s3.put_object(Bucket=BUCKET, Key="changing", Body=b"2\n")
    aws.client("stepfunctions").redrive_execution(executionArn=described["executionArn"])
    described = ended(aws, described["executionArn"])
    assert described["error"] == "States.ItemReaderFailed"
    assert "Status Code: 412" in described["cause"]


def test_an_object_that_is_not_there_fails_the_reader(aws: LocalAws, s3: Any) -> None:
    described = executed(aws, "gone", distributed(ItemReader=reader("JSON", "gone")))
    assert described["error"] == "States.ItemReaderFailed"
    assert "The specified key does not exist" in described["cause"]
