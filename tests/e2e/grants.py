"""The grants of the synthesized templates, one by one, and a deployment in which one of them is missing."""

from __future__ import annotations

import json
import re
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

NO_IMAGE = "the model server is a process of this machine: no image is pulled"
IN_ONE_PART = "results of many megabytes are uploaded in parts; these jobs' are not"
NO_SECOND_PASS = "on AWS's list for a machine with transform jobs; CreateTransformJob itself does not ask for it"
OWN_CHILDREN = "here a Map Run's children are a part of it: none is asked about by name"

NEVER_ASKED = {
    "cloudwatch:PutMetricData": "the container's own metrics: CloudWatch is not asked here",
    "ecr:BatchCheckLayerAvailability": NO_IMAGE,
    "ecr:BatchGetImage": NO_IMAGE,
    "ecr:GetAuthorizationToken": NO_IMAGE,
    "ecr:GetDownloadUrlForLayer": NO_IMAGE,
    "logs:DescribeLogStreams": "the log agent of AWS's container looks a stream up before it writes; nothing here does",
    "s3:AbortMultipartUpload": IN_ONE_PART,
    "s3:GetObject of a machine's results": "AWS's own list for a ResultWriter has it; here none is read again",
    "s3:ListMultipartUploadParts": IN_ONE_PART,
    "states:DescribeExecution": OWN_CHILDREN,
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
"""What no run in the embedded AWS asks IAM for, and why: the list of what may be unused.

All other grants are taken away one at a time, and each has to have been used when all tests have run.
"""

NEVER_ASKED_IN_MODES = {
    **NEVER_ASKED,
    "iam:PassRole": NO_SECOND_PASS,
    "sagemaker:ListTags": NO_SECOND_PASS,
    "sagemaker:StopTransformJob": "asked when an execution is stopped under a transform job: tests/local/states has it",
}
"""The same with what only other modes than the default one grant."""

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

    @property
    def use(self) -> str:
        """What the grant is for, where its action alone does not tell."""
        of_results = self.resource.endswith("/jobs/*/map/*") and "StateMachine" in self.role
        return f"{self.action} of a machine's results" if of_results and "GetObject" in self.action else self.action

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


def deployed_policy(deployment: Deployment, grant: Grant) -> tuple[str, str, Document]:
    """The deployed policy that the grant stands in: its role's and its own name, and its document."""
    template = deployment.assembly.stacks[grant.stack].template["Resources"][grant.policy]["Properties"]
    role, name = deployment.physical[grant.stack][grant.role], template["PolicyName"]
    document = deployment.client("iam").get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
    return role, name, document


def resource_of(deployment: Deployment, grant: Grant) -> str:
    """The grant's resource as it was deployed."""
    document = deployed_policy(deployment, grant)[2]
    return str(as_list(document["Statement"][grant.statement]["Resource"])[grant.position])


def used(deployment: Deployment, grant: Grant, allowed: list[tuple[str, str, str]]) -> bool:
    """Whether IAM has allowed the role something by this grant: its action on what its resource matches."""
    role = deployment.physical[grant.stack][grant.role]
    pattern = ".*".join(map(re.escape, resource_of(deployment, grant).split("*")))
    return any(
        action == grant.action and f":assumed-role/{role}/" in caller and re.fullmatch(pattern, resource)
        for caller, action, resource in allowed
    )


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
        for taken in by_policy.values():
            role, policy, whole = deployed_policy(deployment, taken[0])
            kept.append((role, policy, json.dumps(whole)))
            less = json.dumps(lessened(whole, {(it.statement, it.action, it.position) for it in taken}))
            iam.put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=less)
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
