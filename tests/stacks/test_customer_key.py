"""The stack's own key: what it encrypts, and that each role may use it for its own work alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.roles import as_list, roles_of
from tests.synthesis import STACKS, VARIANTS, Assembly, Stack

WITH_KEY = ("prod", "prod-vpc", "prod-async", "prod-transform", "dev-key")
KEY = "<Key.Arn>"


@pytest.fixture(params=[(variant, name) for variant in WITH_KEY for name in STACKS], ids="-".join)
def named(request: pytest.FixtureRequest, synthesized: Callable[[str], Assembly]) -> tuple[str, Stack]:
    variant, name = request.param
    return name, synthesized(variant).stacks[name]


@pytest.fixture
def stack(named: tuple[str, Stack]) -> Stack:
    return named[1]


def uses(stack: Stack) -> dict[str, list[dict[str, Any]]]:
    """What each role may do with the key: its statements, without what is the same in all."""
    found = {}
    for role in roles_of(stack):
        statements = [it for it in role.statements if KEY in as_list(it["Resource"])]
        if statements:
            assert all((it["Effect"], it["Resource"]) == ("Allow", KEY) for it in statements)
            found[role.name] = [{key: it[key] for key in ("Action", "Condition")} for it in statements]
    return found


def test_the_key_rotates_and_can_be_used_by_the_accounts_policies_and_the_logs(named: tuple[str, Stack]) -> None:
    name, stack = named
    key = stack.of_type("AWS::KMS::Key")["Key"]
    assert key["EnableKeyRotation"] is True
    assert key["PendingWindowInDays"] == 30
    context = "kms:EncryptionContext"
    assert key["KeyPolicy"]["Statement"] == [
        {
            "Effect": "Allow",
            "Principal": {"AWS": "arn:aws:iam::<AWS::AccountId>:root"},
            "Action": "kms:*",
            "Resource": "*",
        },
        {
            "Effect": "Allow",
            "Principal": {"Service": "logs.us-east-1.amazonaws.com"},
            "Action": [
                "kms:Decrypt",
                "kms:DescribeKey",
                "kms:Encrypt",
                "kms:GenerateDataKey",
                "kms:ReEncryptFrom",
                "kms:ReEncryptTo",
            ],
            "Resource": "*",
            "Condition": {
                "ArnLike": {f"{context}:aws:logs:arn": f"arn:aws:logs:us-east-1:<AWS::AccountId>:log-group:{name}-*"}
            },
        },
        {
            "Effect": "Allow",
            "Principal": {"Service": "delivery.logs.amazonaws.com"},
            "Action": "kms:Decrypt",
            "Resource": "*",
            "Condition": {"StringEquals": {f"{context}:SourceArn": "arn:aws:logs:us-east-1:<AWS::AccountId>:*"}},
        },
    ]


def test_what_a_role_may_use_the_key_for_is_what_it_does_with_the_bucket_and_its_executions(stack: Stack) -> None:
    bucket = {
        "StringEquals": {
            "kms:ViaService": "s3.us-east-1.amazonaws.com",
            "kms:EncryptionContext:aws:s3:arn": "<DataBucket.Arn>",
        }
    }
    read = {"Action": "kms:Decrypt", "Condition": bucket}
    store = {"Action": ["kms:Decrypt", "kms:GenerateDataKey"], "Condition": bucket}
    logs = {"kms:EncryptionContext:SourceArn": "arn:aws:logs:us-east-1:<AWS::AccountId>:*"}

    def executions(machine: str) -> list[dict[str, Any]]:
        arns = [f"<{machine}>", f"<{machine}>/*"]
        own = {"StringLike": {"kms:EncryptionContext:aws:states:stateMachineArn": arns}}
        return [
            {"Action": ["kms:Decrypt", "kms:GenerateDataKey"], "Condition": own},
            {"Action": "kms:GenerateDataKey", "Condition": {"StringEquals": logs}},
        ]

    triggered = {"TriggersStartJobRole": [read]}
    asynchronous = {
        "ModelRole": [store],
        "AsyncModelSubmitInferenceRole": [store],
        "AsyncModelResumeInferenceRole": [read],
    }
    # Production in a network captures a share, and has a challenger.
    capturing = {"ModelRole": [store], "ChallengerRole": [store]} if "ChallengerRole" in stack.resources else {}
    served = "ModelRole" in stack.resources
    preprocess = "PreprocessDataRole" if served else "PreprocessRole"
    transform = served and not stack.of_type("AWS::SageMaker::EndpointConfig")
    through_sagemaker = {
        "Bool": {"kms:GrantIsForAWSResource": True},
        "StringEquals": {"kms:ViaService": "sagemaker.us-east-1.amazonaws.com"},
    }
    disks = [{"Action": "kms:CreateGrant", "Condition": through_sagemaker}] if transform else []
    assert uses(stack) == {
        preprocess: [store if transform else read],
        "StoreResultsRole": [store],
        "WorkflowStateMachineRole": [*disks, *executions("WorkflowStateMachine")],
        "JobCheckJobRole": [read],
        "JobSummarizeRole": [store],
        "JobWorkflowStateMachineRole": [*disks, store, *executions("JobWorkflowStateMachine")],
        **({"ModelRole": [store]} if transform else {}),
        **capturing,
        **(asynchronous if "AsyncConfig" in stack.resources else {}),
        **(triggered if "TriggersStartJobRole" in stack.resources else {}),
    }


def test_it_encrypts_the_bucket_by_a_bucket_key_but_not_the_access_logs(stack: Stack) -> None:
    buckets = stack.of_type("AWS::S3::Bucket")
    (rule,) = buckets["DataBucket"]["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": KEY}
    assert rule == {"BucketKeyEnabled": True, "ServerSideEncryptionByDefault": default}
    (rule,) = buckets["DataLogs"]["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule == {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}


def test_it_encrypts_every_log_every_machine_and_the_models_disks(stack: Stack) -> None:
    for group in stack.of_type("AWS::Logs::LogGroup").values():
        assert group["KmsKeyId"] == KEY
    for machine in stack.of_type("AWS::StepFunctions::StateMachine").values():
        assert machine["EncryptionConfiguration"] == {"Type": "CUSTOMER_MANAGED_KMS_KEY", "KmsKeyId": KEY}
    for config in stack.of_type("AWS::SageMaker::EndpointConfig").values():
        assert config["KmsKeyId"] == KEY


def test_without_the_switch_there_is_no_key(synthesized: Callable[[str], Assembly]) -> None:
    for variant in set(VARIANTS) - set(WITH_KEY):
        for stack in synthesized(variant).stacks.values():
            assert stack.of_type("AWS::KMS::Key") == {}
            assert uses(stack) == {}


def test_production_keeps_the_key_with_what_it_encrypts(synthesized: Callable[[str], Assembly]) -> None:
    for stack in synthesized("prod").stacks.values():
        assert stack.resources["Key"]["DeletionPolicy"] == "Retain"
