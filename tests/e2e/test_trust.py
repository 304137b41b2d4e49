"""Each role is for one service on behalf of this account: a trust that names another one stops what runs as it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote

import pytest

from model import examples, train
from tests.e2e.deployment import Deployment

OTHER = "999999999999"


@contextmanager
def trusting_another_account(deployment: Deployment, role: str) -> Iterator[None]:
    """Within it, the conditions of the role's trust name another account than this one."""
    iam = deployment.client("iam")
    document = iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]
    text = unquote(document) if isinstance(document, str) else json.dumps(document)
    account = deployment.ready.account
    assert account in text
    iam.update_assume_role_policy(RoleName=role, PolicyDocument=text.replace(account, OTHER))
    try:
        yield
    finally:
        iam.update_assume_role_policy(RoleName=role, PolicyDocument=text)


@pytest.mark.parametrize("role", ["PreprocessData", "WorkflowStateMachine"])
def test_a_function_and_a_machine_run_for_this_account_alone(deployment: Deployment, role: str) -> None:
    request: dict[str, Any] = {"records": examples.request(train.load())[:1]}
    assert deployment.execute("InferenceStack", request).status == "SUCCEEDED"
    with trusting_another_account(deployment, deployment.named("InferenceStack", f"{role}Role")):
        execution = deployment.execute("InferenceStack", request)
    assert execution.status == "FAILED"
    assert "authorized to assume the provided role" in execution.cause


def test_a_model_is_made_for_this_account_alone(deployment: Deployment) -> None:
    assert deployment.make_model_again() == ""
    with trusting_another_account(deployment, deployment.named("InferenceStack", "ModelRole")):
        assert 'its trust relationship policy allows the action "sts:AssumeRole"' in deployment.make_model_again()
