"""The grants of the synthesized templates, one by one, and a deployment in which one of them is missing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from lambda_src import contract
from tests.e2e.deployment import Deployment
from tests.synthesis import plain, unhashed

Document = dict[str, Any]

NO_TRACES = "nothing here keeps X-Ray's traces"
NO_DELIVERY = (
    "AWS asks for them when a machine with a log is made, no run does; here the machine's log needs no delivery"
)

NEVER_ASKED = {
    "xray:GetSamplingRules": NO_TRACES,
    "xray:GetSamplingTargets": NO_TRACES,
    "xray:PutTelemetryRecords": NO_TRACES,
    "xray:PutTraceSegments": NO_TRACES,
    "logs:CreateLogDelivery": NO_DELIVERY,
    "logs:DeleteLogDelivery": NO_DELIVERY,
    "logs:DescribeLogGroups": NO_DELIVERY,
    "logs:DescribeResourcePolicies": NO_DELIVERY,
    "logs:GetLogDelivery": NO_DELIVERY,
    "logs:ListLogDeliveries": NO_DELIVERY,
    "logs:PutResourcePolicy": NO_DELIVERY,
    "logs:UpdateLogDelivery": NO_DELIVERY,
}
"""What neither a request nor a job in the embedded AWS asks IAM for, and why."""

JOB_FOLDERS = (f"/{contract.INCOMING}", f"/{contract.job_prefix('')}")
"""What lies in these, only a job reads and writes."""


@dataclass(frozen=True)
class Grant:
    """One action on one resource: what a statement of a role's policy allows, at its smallest.

    `statement` and `position` say where it stands; `role` and `policy` are logical ids, `resource` is as the
    template has it, with references as `<Data.Arn>`.
    """

    stack: str
    role: str
    policy: str
    statement: int
    action: str
    position: int
    resource: str

    def __str__(self) -> str:
        return f"{self.stack}/{unhashed(self.role)}: {self.action} on {self.resource}"


def grants_of(deployment: Deployment, stack: str) -> list[Grant]:
    """Every grant that the stack's template gives to a role of its own."""
    template = deployment.assembly.stacks[stack].template
    found = []
    for policy, resource in template["Resources"].items():
        if resource["Type"] != "AWS::IAM::Policy":
            continue
        properties = resource["Properties"]
        for role in properties["Roles"]:
            for number, statement in enumerate(properties["PolicyDocument"]["Statement"]):
                for action in as_list(statement["Action"]):
                    for position, on in enumerate(as_list(statement["Resource"])):
                        found.append(Grant(stack, role["Ref"], policy, number, action, position, str(plain(on))))
    return found


def grants_of_requests(deployment: Deployment, stack: str) -> list[Grant]:
    """Those that the workflow for requests runs with; the rest are the batch job's.

    The workflow's roles are its machine's, those of the functions it names, and the model's.
    """
    template = deployment.assembly.stacks[stack].template
    resources = template["Resources"]
    machine = resources[template["Outputs"]["StateMachineArn"]["Value"]["Ref"]]["Properties"]
    roles = {machine["RoleArn"]["Fn::GetAtt"][0]}
    for name, resource in resources.items():
        if resource["Type"] == "AWS::SageMaker::Model":
            roles.add(resource["Properties"]["ExecutionRoleArn"]["Fn::GetAtt"][0])
        elif resource["Type"] == "AWS::Lambda::Function" and f'"{name}"' in json.dumps(machine["DefinitionString"]):
            roles.add(resource["Properties"]["Role"]["Fn::GetAtt"][0])
    return [
        grant
        for grant in grants_of(deployment, stack)
        if grant.role in roles and not any(folder in grant.resource for folder in JOB_FOLDERS)
    ]


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


@contextmanager
def without(deployment: Deployment, grants: Iterable[Grant]) -> Iterator[None]:
    """Within it, the deployed roles' policies lack these grants and keep all others."""
    iam = deployment.client("iam")
    by_policy: dict[tuple[str, str, str], list[Grant]] = {}
    for grant in grants:
        by_policy.setdefault((grant.stack, grant.role, grant.policy), []).append(grant)
    kept: list[tuple[str, str, str]] = []
    try:
        for (stack, role, policy), taken in by_policy.items():
            name = deployment.physical[stack][role]
            template = deployment.assembly.stacks[stack].template["Resources"][policy]["Properties"]
            inline = iam.get_role_policy(RoleName=name, PolicyName=template["PolicyName"])
            whole: Document = inline["PolicyDocument"]
            kept.append((name, inline["PolicyName"], json.dumps(whole)))
            less = json.dumps(lessened(whole, {(it.statement, it.action, it.position) for it in taken}))
            iam.put_role_policy(RoleName=name, PolicyName=inline["PolicyName"], PolicyDocument=less)
        yield
    finally:
        for name, policy, document in kept:
            iam.put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=document)


def lessened(document: Document, taken: set[tuple[int, str, int]]) -> Document:
    """The policy with one statement for each grant that stays."""
    statements = [
        {**statement, "Action": action, "Resource": resource}
        for number, statement in enumerate(document["Statement"])
        for action in as_list(statement["Action"])
        for position, resource in enumerate(as_list(statement["Resource"]))
        if (number, action, position) not in taken
    ]
    # A policy without statements is none; what nobody asks for stands for it.
    nothing = {"Effect": "Deny", "Action": "sts:GetSessionToken", "Resource": "*"}
    return {**document, "Statement": statements or [nothing]}
