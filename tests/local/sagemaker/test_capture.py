"""Data capture: which requests are kept, where, and in which form."""

from __future__ import annotations

import base64
import json
import re
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local.sagemaker.around import ECHO, ROLE, Cloud, program, variant_of


def endpoint(cloud: Cloud, name: str, **given: Any) -> None:
    config = {
        "EnableCapture": True,
        "InitialSamplingPercentage": 100,
        "DestinationS3Uri": "s3://captured/data",
        "CaptureOptions": [{"CaptureMode": "InputAndOutput"}],
        **given,
    }
    if "echo" not in {it["ModelName"] for it in cloud.client("sagemaker").list_models()["Models"]}:
        cloud.put_model("echo", program(ECHO))
    cloud.client("sagemaker").create_endpoint_config(
        EndpointConfigName=name, ProductionVariants=[variant_of(ModelName="echo")], DataCaptureConfig=config
    )
    assert cloud.put_endpoint(name, name)["EndpointStatus"] == "InService"


def ask(cloud: Cloud, name: str, body: bytes, content_type: str = "application/json") -> None:
    runtime = cloud.client("sagemaker-runtime")
    runtime.invoke_endpoint(EndpointName=name, Body=body, ContentType=content_type, Accept="application/json")


def captured(cloud: Cloud, name: str, count: int) -> list[dict[str, Any]]:
    """The captured lines, once there are so many."""
    deadline = time.monotonic() + 20
    while True:
        held = cloud.memory.objects.copy()  # the event loop's own thread writes to it
        kept = {key: body for (bucket, key), body in held.items() if bucket == "captured"}
        ours = {key: body for key, body in kept.items() if key.startswith(f"data/{name}/AllTraffic/")}
        lines = [json.loads(line) for body in ours.values() for line in body.splitlines()]
        if len(lines) >= count:
            assert all(re.fullmatch(rf"data/{name}/AllTraffic/(\d+/){{4}}[\w-]+\.jsonl", key) for key in ours)
            return lines
        assert time.monotonic() < deadline


def test_a_request_and_its_answer_are_kept_as_text(shared: Cloud) -> None:
    endpoint(shared, "both")
    ask(shared, "both", b'{"a": 1}')
    (line,) = captured(shared, "both", 1)
    assert line["captureData"]["endpointInput"] == {
        "observedContentType": "application/json",
        "mode": "INPUT",
        "data": '{"a": 1}',
        "encoding": "JSON",
    }
    assert json.loads(line["captureData"]["endpointOutput"]["data"])["data"] == {"a": 1}
    assert line["eventVersion"] == "0"


def test_only_what_is_asked_for_is_kept_and_other_types_in_base64(shared: Cloud) -> None:
    endpoint(shared, "input", CaptureOptions=[{"CaptureMode": "Input"}])
    ask(shared, "input", b"[1]", "application/x-ours")
    (line,) = captured(shared, "input", 1)
    assert line["captureData"]["endpointInput"]["encoding"] == "BASE64"
    assert base64.b64decode(line["captureData"]["endpointInput"]["data"]) == b"[1]"
    assert "endpointOutput" not in line["captureData"]


def test_a_share_of_the_requests_is_kept(shared: Cloud) -> None:
    endpoint(shared, "share", InitialSamplingPercentage=25)
    for number in range(8):
        ask(shared, "share", str(number).encode())
    assert [line["captureData"]["endpointInput"]["data"] for line in captured(shared, "share", 2)] == ["3", "7"]


def test_nothing_is_kept_where_it_is_turned_off_or_the_role_may_not_write(shared: Cloud) -> None:
    endpoint(shared, "off", EnableCapture=False)
    ask(shared, "off", b"1")
    endpoint(shared, "denied")
    shared.memory.forbidden.add((ROLE, "s3:PutObject"))
    ask(shared, "denied", b"1")
    deadline = time.monotonic() + 20
    while not any(asked[1] == "s3:PutObject" for asked in shared.memory.asked):
        assert time.monotonic() < deadline
    shared.memory.forbidden.clear()
    assert not any("/off/" in key or "/denied/" in key for _, key in shared.memory.objects)


def test_a_serverless_endpoint_captures_nothing_so_it_is_refused(shared: Cloud) -> None:
    variant = {
        "VariantName": "v",
        "ModelName": "echo",
        "ServerlessConfig": {"MemorySizeInMB": 1024, "MaxConcurrency": 1},
    }
    capture = {
        "InitialSamplingPercentage": 1,
        "DestinationS3Uri": "s3://captured/data",
        "CaptureOptions": [{"CaptureMode": "Input"}],
    }
    with pytest.raises(ClientError, match="cannot be specified for a serverless endpoint"):
        shared.client("sagemaker").create_endpoint_config(
            EndpointConfigName="serverless", ProductionVariants=[variant], DataCaptureConfig=capture
        )
