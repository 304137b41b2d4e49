"""The IAM gate: every role of every variant, and that each rule sees what breaks it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.gate.iam_document import documents
from tests.gate.iam_rules import ACKNOWLEDGED, CONDITIONED, WIDE, WITHOUT_NARROWER_FORM, findings, scopable
from tests.gate.iam_sources import SOURCES, source_of, stands
from tests.roles import Allowed, Role, roles_of
from tests.synthesis import STACKS, VARIANTS, Assembly, Stack

ROLE_USERS = {
    "AWS::Lambda::Function": "Role",
    "AWS::StepFunctions::StateMachine": "RoleArn",
    "AWS::SageMaker::Model": "ExecutionRoleArn",
}
MOST_ACTIONS, MOST_ON_EVERYTHING = 32, 14
"""How many actions the roles of InferenceStack may have over all, and on every resource."""


@pytest.fixture(params=[(variant, name) for variant in VARIANTS for name in STACKS], ids="-".join)
def stack(request: pytest.FixtureRequest, synthesized: Callable[[str], Assembly]) -> Stack:
    variant, name = request.param
    return synthesized(variant).stacks[name]


@pytest.fixture(scope="module")
def every_role(synthesized: Callable[[str], Assembly]) -> list[Role]:
    return [role for it in VARIANTS for name in STACKS for role in roles_of(synthesized(it).stacks[name])]


def test_nothing_is_wrong_with_any_role(stack: Stack) -> None:
    roles = roles_of(stack)
    assert roles
    assert {role.name: found for role in roles if (found := list(findings(role)))} == {}


def test_each_function_machine_and_model_has_a_role_of_its_own(stack: Stack) -> None:
    users = [it[name] for kind, name in ROLE_USERS.items() for it in stack.of_type(kind).values()]
    assert sorted(users) == sorted(f"<{role.name}.Arn>" for role in roles_of(stack))


def test_inference_stacks_roles_have_few_actions_and_fewer_on_everything(
    synthesized: Callable[[str], Assembly],
) -> None:
    allowed = [it for role in roles_of(synthesized("dev").stacks["InferenceStack"]) for it in role.allowed]
    assert len({it.action for it in allowed}) <= MOST_ACTIONS
    assert len({it.action for it in allowed if it.resource == "*"}) <= MOST_ON_EVERYTHING


def test_what_the_rules_let_pass_is_there_to_be_let_pass(every_role: list[Role]) -> None:
    allowed = [it for role in every_role for it in role.allowed]
    assert {it.action for it in allowed if it.resource == "*"} == WITHOUT_NARROWER_FORM
    assert set(WIDE) <= {it.resource for it in allowed}
    assert {name for name, _ in ACKNOWLEDGED} <= {role.name for role in every_role}
    assert set(CONDITIONED) <= WITHOUT_NARROWER_FORM
    assert not any(scopable(action) for action in WITHOUT_NARROWER_FORM)


def test_the_documents_say_what_the_templates_say(synthesized: Callable[[str], Assembly]) -> None:
    for path, text in documents({variant: synthesized(variant) for variant in VARIANTS}).items():
        assert path.read_text() == text, f"{path.name} is not up to date: run `python -m tests.gate`, then read it"


def test_each_source_of_a_grant_is_there_and_derives_one(every_role: list[Role]) -> None:
    assert [str(source) for source in SOURCES if not stands(source)] == []
    made = {source_of(role, it) for role in every_role for it in role.allowed}
    assert [str(source) for source in SOURCES if source not in made] == []


def test_a_grant_of_no_known_source_is_an_error(every_role: list[Role]) -> None:
    with pytest.raises(LookupError, match="expected one source of s3:DeleteObject"):
        source_of(every_role[0], Allowed("s3:DeleteObject", "<DataBucket.Arn>/*"))


def and_allows(role: Role, action: Any, resource: Any = "<DataBucket.Arn>/*", **more: Any) -> Role:
    statement = {"Effect": "Allow", "Action": action, "Resource": resource, **more}
    return replace(role, statements=[*role.statements, statement])


def trusts(role: Role, **changes: Any) -> Role:
    return replace(role, trust=[{**role.trust[0], **changes}])


BREAKS: dict[str, tuple[Callable[[Role], Role], str]] = {
    "a wildcard action": (lambda role: and_allows(role, "s3:Get*"), "s3:Get*: expected each action by its name"),
    "an action that does not exist": (
        lambda role: and_allows(role, "sagemakerruntime:InvokeEndpoint"),
        "sagemakerruntime:InvokeEndpoint: AWS has no such action",
    ),
    "every object": (lambda role: and_allows(role, "s3:GetObject", "*"), "s3:GetObject: expected a narrower resource"),
    "every bucket's objects": (
        lambda role: and_allows(role, "s3:GetObject", "arn:aws:s3:::*/*"),
        "s3:GetObject: expected a resource that names something of the stack",
    ),
    "every function of the account": (
        lambda role: and_allows(role, "lambda:InvokeFunction", "arn:aws:lambda:us-east-1:<AWS::AccountId>:function:*"),
        "lambda:InvokeFunction: expected a resource that names something of the stack",
    ),
    "metrics of any namespace": (
        lambda role: and_allows(role, "cloudwatch:PutMetricData", "*"),
        "cloudwatch:PutMetricData: expected a condition on cloudwatch:namespace",
    ),
    "everything but": (
        lambda role: replace(
            role, statements=[{"Effect": "Allow", "NotAction": "iam:*", "Resource": "<DataBucket.Arn>"}]
        ),
        "statement: expected what it allows",
    ),
    "a managed policy": (
        lambda role: replace(role, managed=["arn:aws:iam::aws:policy/AmazonSageMakerFullAccess"]),
        "managed policies: expected none",
    ),
    "a way to more rights": (
        lambda role: and_allows(role, ["iam:PassRole", "lambda:CreateFunction", "lambda:InvokeFunction"]),
        "privilege escalation: ",
    ),
    "a way to more rights behind a condition": (
        lambda role: and_allows(role, "iam:PutRolePolicy", Condition={"StringEquals": {"aws:ResourceTag/team": "ml"}}),
        "privilege escalation: PutRolePolicy",
    ),
    "secrets on everything": (
        lambda role: and_allows(role, "secretsmanager:GetSecretValue", "*"),
        "data exfiltration: secretsmanager:GetSecretValue",
    ),
    "policies of every bucket": (
        lambda role: and_allows(role, "s3:PutBucketPolicy", "*"),
        "resource exposure: s3:PutBucketPolicy",
    ),
    "any endpoint's end": (
        lambda role: and_allows(role, "sagemaker:DeleteEndpoint", "*"),
        "infrastructure modification: sagemaker:DeleteEndpoint",
    ),
    "another account": (
        lambda role: trusts(role, Principal={"AWS": "arn:aws:iam::999999999999:root"}),
        "trust: expected one service of",
    ),
    "two services": (
        lambda role: trusts(role, Principal={"Service": ["lambda.amazonaws.com", "states.amazonaws.com"]}),
        "trust: expected one service of",
    ),
    "a service on anyone's behalf": (lambda role: trusts(role, Condition={}), "trust: expected the condition"),
    "a second statement of trust": (
        lambda role: replace(role, trust=role.trust * 2),
        "trust: expected one statement, received 2",
    ),
}


@pytest.mark.parametrize("broken", BREAKS)
def test_the_gate_sees(broken: str, synthesized: Callable[[str], Assembly]) -> None:
    role = next(it for it in roles_of(synthesized("dev").stacks["InferenceStack"]) if it.name == "StoreResultsRole")
    spoil, said = BREAKS[broken]
    assert list(findings(role)) == []
    assert [found for found in findings(spoil(role)) if found.startswith(said)]
