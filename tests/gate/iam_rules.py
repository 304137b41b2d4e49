"""The IAM gate's rules: what is wrong with a role, in words. A role without findings may be deployed."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator

from cloudsplaining.scan.policy_document import PolicyDocument
from policy_sentry.querying.actions import get_action_data
from policy_sentry.querying.all import get_all_actions

from tests.roles import Role, owned

WITHOUT_NARROWER_FORM = {
    "cloudwatch:PutMetricData",
    "ec2:DescribeDhcpOptions",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcs",
    "ecr:GetAuthorizationToken",
    "states:SendTaskFailure",
    "states:SendTaskSuccess",
    "logs:CreateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:DescribeLogGroups",
    "logs:DescribeResourcePolicies",
    "logs:GetLogDelivery",
    "logs:ListLogDeliveries",
    "logs:PutResourcePolicy",
    "logs:UpdateLogDelivery",
    "xray:GetSamplingRules",
    "xray:GetSamplingTargets",
    "xray:PutTelemetryRecords",
    "xray:PutTraceSegments",
}
"""The calls that may be allowed on every resource: AWS defines no resource that they could be scoped to."""

CONDITIONED = {"cloudwatch:PutMetricData": "cloudwatch:namespace"}
"""Those of them that AWS lets a condition narrow, and the key: they have to have it."""

WIDE = {
    "arn:aws:ec2:us-east-1:<AWS::AccountId>:network-interface/*": (
        "Lambda and SageMaker make a function's and a model's interfaces in a network, whose names nobody knows before"
    ),
    "arn:aws:sagemaker:us-east-1:<AWS::AccountId>:transform-job/inferencestack-*": (
        "transform jobs are named when they start: their names begin with the stack's, which no other there has"
    ),
    "arn:aws:logs:us-east-1:<AWS::AccountId>:log-group:/aws/sagemaker/TransformJobs*": (
        "all transform jobs of an account have their streams in this one group"
    ),
    "arn:aws:logs:us-east-1:<AWS::AccountId>:log-group:/aws/sagemaker/Endpoints/*": (
        "SageMaker names the group after the endpoint, whose name is not known before the model's role is"
    ),
}
"""Resources with a wildcard before anything of the stack is named, and why."""

PULLED = "SageMaker pulls the image with it; the token reads no more than the role may, one repository"
ACKNOWLEDGED = {
    (role, "credentials exposure: ecr:GetAuthorizationToken"): PULLED for role in ("ModelRole", "ChallengerRole")
}
"""What cloudsplaining finds and we accept: of which role, the exact finding, and why."""

ACCOUNT = "<AWS::AccountId>"
SOURCES = {
    "lambda.amazonaws.com": None,
    "sagemaker.amazonaws.com": f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:*",
    "states.amazonaws.com": f"arn:aws:states:us-east-1:{ACCOUNT}:stateMachine:*",
}
"""The services that may assume a role, and the source ARN that each sends, as in `stacks.constructs.guard.trust`."""


def findings(role: Role) -> Iterator[str]:
    """What is wrong with the role; nothing when it may be deployed."""
    yield from of_trust(role)
    yield from of_statements(role)
    yield from (found for found in of_cloudsplaining(role) if (role.name, found) not in ACKNOWLEDGED)


def of_trust(role: Role) -> Iterator[str]:
    """One statement, one service, for this account alone, from the source that the service sends."""
    if len(role.trust) != 1:
        yield f"trust: expected one statement, received {len(role.trust)}"
        return
    statement = role.trust[0]
    principal = statement.get("Principal")
    service = principal.get("Service") if isinstance(principal, dict) and set(principal) == {"Service"} else None
    if not isinstance(service, str) or service not in SOURCES:
        yield f"trust: expected one service of {', '.join(SOURCES)}, received {json.dumps(principal)}"
        return
    if statement.get("Action") != "sts:AssumeRole":
        yield f"trust: expected sts:AssumeRole alone, received {statement.get('Action')}"
    expected = {"StringEquals": {"aws:SourceAccount": ACCOUNT}}
    if source := SOURCES[service]:
        expected["ArnLike"] = {"aws:SourceArn": source}
    if statement.get("Condition") != expected:
        yield f"trust: expected the condition {json.dumps(expected)}, received {json.dumps(statement.get('Condition'))}"


def of_statements(role: Role) -> Iterator[str]:
    """Each action exists and is written out, each resource is as narrow as AWS lets it be."""
    if role.managed:
        yield f"managed policies: expected none, received {role.managed}"
    for statement in role.statements:
        if not well_formed(statement):
            yield f"statement: expected what it allows, action by action, received {json.dumps(statement)}"
    for it in role.allowed:
        if "*" in it.action or "?" in it.action:
            yield f"{it.action}: expected each action by its name"
        elif it.action not in actions():
            yield f"{it.action}: AWS has no such action"
        elif it.resource != "*":
            if "*" in it.resource and not owned(it.resource) and it.resource not in WIDE:
                yield f"{it.action}: expected a resource that names something of the stack, received {it.resource}"
        elif it.action not in WITHOUT_NARROWER_FORM or scopable(it.action):
            yield f"{it.action}: expected a narrower resource than *"
        elif (key := CONDITIONED.get(it.action)) and key not in json.dumps(it.condition):
            yield f"{it.action}: expected a condition on {key}, received {json.dumps(it.condition)}"


def well_formed(statement: dict[str, object]) -> bool:
    """Whether it says what it allows: no NotAction, no NotResource, no Deny that only seems to narrow another."""
    return statement.get("Effect") == "Allow" and {"Action", "Resource"} <= set(statement)


@functools.cache
def actions() -> frozenset[str]:
    """Every action of AWS, as policy_sentry took them from AWS's Service Authorization Reference."""
    return frozenset(get_all_actions())


def scopable(action: str) -> bool:
    """Whether AWS defines a resource type for the action: then `*` is never the narrowest form."""
    service, _, name = action.partition(":")
    return any(row["resource_arn_format"] != "*" for row in get_action_data(service, name)[service])


def judged(role: Role, *, scoped: bool = False) -> PolicyDocument:
    """All of the role's policies together, for cloudsplaining.

    It takes only what is allowed on `*` for a risk; with `scoped`, what is allowed on any resource.
    """
    statements = [statement for statement in role.statements if well_formed(statement)]
    return PolicyDocument(
        {"Statement": statements}, flag_conditional_statements=True, flag_resource_arn_statements=scoped
    )


def of_cloudsplaining(role: Role) -> Iterator[str]:
    """Its findings over all of the role's policies together.

    A way to more rights is one on any resource. The other kinds judge what is allowed on every resource: to read and
    to write what is named is what a role is for, and `of_statements` sees to it that it is of the stack.
    """
    for path in judged(role, scoped=True).allows_privilege_escalation:
        yield f"privilege escalation: {path['type']}"
    document = judged(role)
    kinds = {
        "data exfiltration": document.allows_data_exfiltration_actions,
        "resource exposure": document.permissions_management_without_constraints,
        "infrastructure modification": document.infrastructure_modification,
        "credentials exposure": document.credentials_exposure,
        "service wildcard": document.service_wildcard,
    }
    for kind, found in kinds.items():
        for action in found:
            yield f"{kind}: {action}"
