"""The data bucket and its access logs: private, encrypted, versioned, and tidied up, in every stage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.synthesis import STACKS, STAGES, Assembly, Stack

PRIVATE = {
    "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
    "PublicAccessBlockConfiguration": {
        "BlockPublicAcls": True,
        "BlockPublicPolicy": True,
        "IgnorePublicAcls": True,
        "RestrictPublicBuckets": True,
    },
    "VersioningConfiguration": {"Status": "Enabled"},
}
TIDY: dict[str, Any] = {
    "Status": "Enabled",
    "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
    "NoncurrentVersionExpiration": {"NoncurrentDays": 30},
}


def encrypted(**default: str) -> dict[str, Any]:
    return {"ServerSideEncryptionConfiguration": [{"ServerSideEncryptionByDefault": default}]}


@pytest.fixture(params=[(stage, name) for stage in STAGES for name in STACKS], ids="-".join)
def stack(request: pytest.FixtureRequest, synthesized: Callable[[str], Assembly]) -> Stack:
    stage, name = request.param
    return synthesized(stage).stacks[name]


def test_the_data_bucket_is_private_versioned_and_logged(stack: Stack) -> None:
    assert stack.of_type("AWS::S3::Bucket")["DataBucket"] == {
        **PRIVATE,
        "BucketEncryption": stack.of_type("AWS::S3::Bucket")["DataBucket"]["BucketEncryption"],
        "LifecycleConfiguration": {"Rules": [{**TIDY, "ExpiredObjectDeleteMarker": True}]},
        "LoggingConfiguration": {"DestinationBucketName": "<DataLogs>", "LogFilePrefix": "access/"},
    }


@pytest.mark.parametrize("stage", ["local", "dev"])  # with a key of its own: see test_customer_key.py
def test_the_data_bucket_is_encrypted(synthesized: Callable[[str], Assembly], stage: str) -> None:
    for stack in synthesized(stage).stacks.values():
        assert stack.of_type("AWS::S3::Bucket")["DataBucket"]["BucketEncryption"] == encrypted(SSEAlgorithm="AES256")


def test_the_access_logs_are_private_too_and_go_after_their_time(stack: Stack) -> None:
    assert stack.of_type("AWS::S3::Bucket")["DataLogs"] == {
        **PRIVATE,
        "BucketEncryption": encrypted(SSEAlgorithm="AES256"),
        "LifecycleConfiguration": {"Rules": [{**TIDY, "ExpirationInDays": 90}]},
    }


def refused(bucket: str, operator: str, condition: dict[str, Any]) -> dict[str, Any]:
    return {
        "Effect": "Deny",
        "Principal": {"AWS": "*"},
        "Action": "s3:*",
        "Resource": [f"<{bucket}.Arn>", f"<{bucket}.Arn>/*"],
        "Condition": {operator: condition},
    }


@pytest.mark.parametrize("bucket", ["DataBucket", "DataLogs"])
def test_a_bucket_refuses_plain_http_and_what_is_older_than_tls_1_2(stack: Stack, bucket: str) -> None:
    statements = stack.of_type("AWS::S3::BucketPolicy")[f"{bucket}Policy"]["PolicyDocument"]["Statement"]
    assert statements[:2] == [
        refused(bucket, "Bool", {"aws:SecureTransport": "false"}),
        refused(bucket, "NumericLessThan", {"s3:TlsVersion": 1.2}),
    ]


def test_only_s3s_own_log_delivery_may_write_logs_and_for_this_bucket_alone(stack: Stack) -> None:
    policies = stack.of_type("AWS::S3::BucketPolicy")
    assert len(policies["DataBucketPolicy"]["PolicyDocument"]["Statement"]) == 2
    assert policies["DataLogsPolicy"]["PolicyDocument"]["Statement"][2:] == [
        {
            "Effect": "Allow",
            "Principal": {"Service": "logging.s3.amazonaws.com"},
            "Action": "s3:PutObject",
            "Resource": "<DataLogs.Arn>/access/*",
            "Condition": {
                "ArnLike": {"aws:SourceArn": "<DataBucket.Arn>"},
                "StringEquals": {"aws:SourceAccount": "<AWS::AccountId>"},
            },
        }
    ]


def test_production_keeps_its_data_when_the_stack_goes(synthesized: Callable[[str], Assembly]) -> None:
    for name in STACKS:
        resources = synthesized("prod").stacks[name].resources
        for logical in ("DataBucket", "DataLogs", "WorkflowLogs"):
            assert resources[logical]["DeletionPolicy"] == "Retain"
            assert resources[logical]["UpdateReplacePolicy"] == "Retain"
