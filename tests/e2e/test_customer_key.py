"""The stacks with a key and a network of their own: all of it runs, and each role needs each use of the key."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError

from model import examples, train
from tests.e2e.client import client_of
from tests.e2e.deployment import Deployment, deployed
from tests.e2e.grants import Grant, grants_of, without
from tests.e2e.runs import Jobs
from tests.e2e.test_job_grants import REFUSAL, UNNAMED
from tests.synthesis import STACKS, unhashed

STACK = "InferenceStack"


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """An embedded AWS beside the one that the other tests share."""
    with deployed(tmp_path_factory.mktemp("key"), stage="local", customer_key="true", vpc="true") as found:
        yield found


@pytest.fixture(scope="module")
def runs(keyed: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jobs]:
    with client_of(keyed, tmp_path_factory.mktemp("key-jobs")) as client:
        yield Jobs(client, STACK)


def test_what_is_stored_is_encrypted_with_the_stacks_own_key(keyed: Deployment) -> None:
    uri = keyed.execute(STACK, {"records": examples.request(train.load())[:1]}).output["results"]
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    head = keyed.client("s3").head_object(Bucket=bucket, Key=key)
    assert head["ServerSideEncryption"] == "aws:kms"
    assert head["SSEKMSKeyId"].rpartition("/")[2] == keyed.named(STACK, "Key")


def test_both_workflows_and_a_job_run_with_it(keyed: Deployment, runs: Jobs) -> None:
    for stack in STACKS:
        assert keyed.execute(stack, {"records": examples.request(train.load())}).status == "SUCCEEDED"
    status, told = runs.run(objects=True)
    assert status == "SUCCEEDED", told


def condition_of(keyed: Deployment, grant: Grant) -> str:
    """What the grant is bound to, as text."""
    policy = keyed.assembly.stacks[STACK].template["Resources"][grant.policy]["Properties"]["PolicyDocument"]
    return json.dumps(policy["Statement"][grant.statement]["Condition"])


def test_each_use_of_it_is_needed_by_the_very_call_that_is_refused_without(
    keyed: Deployment, runs: Jobs, subtests: pytest.Subtests
) -> None:
    grants = [grant for grant in grants_of(keyed, STACK) if grant.action.startswith("kms:")]
    assert len(grants) == 14
    for grant in grants:
        role, bound = unhashed(grant.role), condition_of(keyed, grant)
        if "SourceArn" in bound:
            continue  # here a machine's log needs no delivery, which would use the key
        with subtests.test(f"{grant} {bound}"), without(keyed, [grant]):
            if "stateMachineArn" in bound:
                output = "BatchJobArn" if role.startswith("Job") else "StateMachineArn"
                arn = keyed.outputs[STACK][output]
                with pytest.raises(ClientError, match=f"KmsAccessDeniedException.* perform: {grant.action} on"):
                    keyed.client("stepfunctions").start_execution(stateMachineArn=arn, input="{}")
                continue
            objects = role == "PreprocessDataRole"
            _, told = runs.run(objects=objects, again=role == "StoreResultsRole")
            # Where S3 may refuse what is not there as well, a function says so without IAM's words.
            unnamed = (
                UNNAMED.get((role.replace("Data", ""), "s3:GetObject"), "-") if grant.action == "kms:Decrypt" else "-"
            )
            assert grant.action in {it["action"] for it in REFUSAL.finditer(told)} or re.search(unnamed, told), told
