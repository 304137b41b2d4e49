"""Batch transform: what is sent, what is written, and what becomes of a job with a bad record."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.sagemaker.aws import Place
from local.sagemaker.transform import parts
from tests.local.sagemaker.around import ACCOUNT, REGION, ROLE, Cloud, program

# Answers with what one request held, in angle brackets.
MODEL = program(
    "class Refused(Exception):\n"
    "    status_code, message = 400, 'unable to evaluate'\n"
    "asked = []\n"
    "def model_fn(model_dir): pass\n"
    "def transform_fn(model, data, content_type, accept):\n"
    "    if b'refuse' in data: raise Refused\n"
    "    if b'fail' in data:\n"
    "        asked.append(1)\n"
    "        if len(asked) % 3: raise ValueError(len(asked))\n"
    "    return b'<' + data + b'>', accept\n"
)
Json = Any


@pytest.fixture(scope="module")
def cloud(shared: Cloud) -> Cloud:
    shared.put_model("transform", MODEL)
    return shared


@pytest.fixture(autouse=True)
def clean(cloud: Cloud) -> Iterator[None]:
    yield
    cloud.memory.forbidden.clear()
    for place in [place for place in cloud.memory.objects if place[0] == "sets"]:
        del cloud.memory.objects[place]


def create(cloud: Cloud, name: str, **given: Json) -> None:
    document = {
        "ModelName": "transform",
        "TransformInput": source(),
        "TransformOutput": {"S3OutputPath": "s3://sets/out/"},
        "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
        **given,
    }
    cloud.client("sagemaker").create_transform_job(TransformJobName=name, **document)


def source(**given: Json) -> Json:
    where = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://sets/in/"}}
    return {"DataSource": where, "ContentType": "text/plain-ours", **given}


def ended(cloud: Cloud, name: str) -> dict[str, Json]:
    job = cloud.sagemaker.store(Place(ACCOUNT, REGION)).transforms[name]
    cloud.run(cloud.sagemaker.transforms.settled(job))
    return dict(cloud.client("sagemaker").describe_transform_job(TransformJobName=name))


def put(cloud: Cloud, **objects: str) -> None:
    for name, text in objects.items():
        cloud.memory.objects["sets", f"in/{name.replace('_', '/')}"] = text.encode()


def written(cloud: Cloud) -> dict[str, str]:
    return {
        key.removeprefix("out/"): body.decode()
        for (bucket, key), body in cloud.memory.objects.items()
        if bucket == "sets" and key.startswith("out/")
    }


def test_each_object_has_one_output_object_under_its_own_name(cloud: Cloud) -> None:
    put(cloud, a="one", deep_b="two")
    create(cloud, "whole")
    job = ended(cloud, "whole")
    assert job["TransformJobStatus"] == "Completed"
    assert written(cloud) == {"a.out": "<one>", "deep/b.out": "<two>"}
    assert job["TransformJobArn"] == f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:transform-job/whole"
    assert job["CreationTime"] <= job["TransformStartTime"] <= job["TransformEndTime"]
    assert job["TransformInput"] == source()


def test_lines_are_sent_one_by_one_and_their_answers_put_on_lines_again(cloud: Cloud) -> None:
    put(cloud, a="one\ntwo\nthree")
    output = {"S3OutputPath": "s3://sets/out", "AssembleWith": "Line"}
    create(
        cloud, "lines", TransformInput=source(SplitType="Line"), TransformOutput=output, BatchStrategy="SingleRecord"
    )
    assert ended(cloud, "lines")["TransformJobStatus"] == "Completed"
    assert written(cloud) == {"a.out": "<one>\n<two>\n<three>\n"}


def test_an_object_with_a_bad_record_has_no_output_and_the_job_fails_with_all_others_done(cloud: Cloud) -> None:
    put(cloud, a="one", b="refuse", c="three")
    create(
        cloud, "bad", MaxConcurrentTransforms=3, TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 2}
    )
    job = ended(cloud, "bad")
    assert (job["TransformJobStatus"], job["FailureReason"]) == (
        "Failed",
        "ClientError: See job logs for more information",
    )
    assert written(cloud) == {"a.out": "<one>", "c.out": "<three>"}
    logged = [line for group, _, line in cloud.memory.lines if group == "/aws/sagemaker/TransformJobs"]
    assert any(line.startswith("sets/in/b: ClientError: 400\n") for line in logged)


def test_a_failing_model_is_asked_again_as_often_as_the_job_says(cloud: Cloud) -> None:
    """This one fails twice, then answers, and so on."""
    put(cloud, a="fail")
    create(cloud, "given-up", ModelClientConfig={"InvocationsMaxRetries": 1})
    assert ended(cloud, "given-up")["TransformJobStatus"] == "Failed"
    assert written(cloud) == {}
    create(cloud, "asked-again", ModelClientConfig={"InvocationsMaxRetries": 2})
    assert ended(cloud, "asked-again")["TransformJobStatus"] == "Completed"
    assert written(cloud) == {"a.out": "<fail>"}


@pytest.mark.parametrize("action", ["s3:ListBucket", "s3:GetObject", "s3:PutObject"])
def test_the_models_role_lists_reads_and_writes(cloud: Cloud, action: str) -> None:
    put(cloud, a="one")
    create(cloud, f"denied-{action[3:]}")
    cloud.memory.forbidden.add((ROLE, action))
    job = ended(cloud, f"denied-{action[3:]}".lower())
    assert job["TransformJobStatus"] == "Failed"
    assert f"not authorized to perform: {action}" in job["FailureReason"]


def test_a_job_without_objects_fails(cloud: Cloud) -> None:
    create(cloud, "empty")
    assert "No objects found under s3://sets/in/" in ended(cloud, "empty")["FailureReason"]


def test_a_model_that_does_not_load_fails_the_job_with_its_reason(cloud: Cloud) -> None:
    cloud.put_model("broken", program("raise ValueError('no weights')"))
    put(cloud, a="one")
    create(cloud, "broken", ModelName="broken")
    assert "no weights" in ended(cloud, "broken")["FailureReason"]


def test_a_stopped_job_says_so(cloud: Cloud) -> None:
    put(cloud, a="one")
    create(cloud, "stopped")
    cloud.client("sagemaker").stop_transform_job(TransformJobName="stopped")
    assert ended(cloud, "stopped")["TransformJobStatus"] == "Stopped"
    cloud.client("sagemaker").stop_transform_job(TransformJobName="stopped")


def test_a_name_is_used_once(cloud: Cloud) -> None:
    put(cloud, a="one")
    create(cloud, "once")
    with pytest.raises(ClientError) as caught:
        create(cloud, "Once")
    assert caught.value.response["Error"]["Code"] == "ResourceInUse"
    ended(cloud, "once")


def test_a_job_that_is_not_there_is_not_found(cloud: Cloud) -> None:
    with pytest.raises(ClientError) as caught:
        cloud.client("sagemaker").describe_transform_job(TransformJobName="absent")
    assert caught.value.response["Error"]["Code"] == "ResourceNotFound"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"DataProcessing": {"JoinSource": "Input"}}, "CreateTransformJob.DataProcessing"),
        ({"TransformInput": source(SplitType="RecordIO")}, "SplitType RecordIO"),
        ({"TransformInput": source(CompressionType="Gzip")}, "Compressed transform input"),
        ({"MaxPayloadInMB": 60, "MaxConcurrentTransforms": 2}, "must not exceed 100 MB"),
        ({"ModelName": "absent"}, 'Could not find model "arn:aws:sagemaker'),
    ],
)
def test_a_job_that_is_not_served_is_refused(cloud: Cloud, given: dict[str, Json], said: str) -> None:
    with pytest.raises(ClientError, match=said):
        create(cloud, "refused", **given)


def request(split: str, strategy: str | None = None, most: int = 1) -> Json:
    given = {"TransformInput": {"SplitType": split}, "MaxPayloadInMB": most}
    return {**given, "BatchStrategy": strategy} if strategy else given


def test_lines_are_put_together_as_long_as_they_fit_a_request() -> None:
    line = b"x" * 400_000 + b"\n"
    assert [len(part) for part in parts(line * 5, request("Line"))] == [800_002, 800_002, 400_001]
    assert list(parts(b"a\nb\n", request("Line", "SingleRecord"))) == [b"a", b"b"]
    assert list(parts(b"a\nb\n", request("None"))) == [b"a\nb\n"]
    with pytest.raises(Exception, match="larger than MaxPayloadInMB"):
        list(parts(b"x" * 1_048_577, request("Line")))


def test_tags_of_a_job_can_be_listed(cloud: Cloud) -> None:
    put(cloud, a="one")
    create(cloud, "tagged", Tags=[{"Key": "k", "Value": "v"}])
    arn = ended(cloud, "tagged")["TransformJobArn"]
    assert json.dumps(cloud.client("sagemaker").list_tags(ResourceArn=arn)["Tags"]) == '[{"Key": "k", "Value": "v"}]'
