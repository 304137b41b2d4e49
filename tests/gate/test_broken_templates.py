"""A template that is broken in one way: which tools see it, and by which rule. So that the gate is known to bite."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App, Stack
from aws_cdk.cloudformation_include import CfnInclude

from tests.gate.findings import Finding, Templates
from tests.gate.gate import Gate, Verdict
from tests.gate.nag import PACKS
from tests.synthesis import Synthesis

STACK, VARIANT = "InferenceStack", "prod"
INCLUDED = "Included"

Resources = dict[str, dict[str, Any]]


def first(resources: Resources, name: str) -> dict[str, Any]:
    """The properties of the resource whose logical id begins so, before its hash."""
    (found,) = (it for logical_id, it in resources.items() if logical_id[:-8] == name)
    properties: dict[str, Any] = found["Properties"]
    return properties


def allow_every_action(resources: Resources) -> None:
    first(resources, "StoreResultsRoleDefaultPolicy")["PolicyDocument"]["Statement"][0]["Action"] = "s3:*"


def open_the_bucket(resources: Resources) -> None:
    del first(resources, "DataBucket")["PublicAccessBlockConfiguration"]


def allow_plain_http(resources: Resources) -> None:
    statements = first(resources, "DataBucketPolicy")["PolicyDocument"]["Statement"]
    statements[:] = [it for it in statements if "aws:SecureTransport" not in json.dumps(it)]


def keep_no_access_logs(resources: Resources) -> None:
    del first(resources, "DataBucket")["LoggingConfiguration"]


def keep_logs_for_ever(resources: Resources) -> None:
    del first(resources, "WorkflowLogs")["RetentionInDays"]


def attach_a_managed_policy(resources: Resources) -> None:
    policy = "arn:aws:iam::aws:policy/AmazonSageMakerFullAccess"
    first(resources, "ModelRole")["ManagedPolicyArns"] = [policy]


def name_the_bucket(resources: Resources) -> None:
    first(resources, "DataBucket")["BucketName"] = "my-results"


def trust_two_services(resources: Resources) -> None:
    (statement,) = first(resources, "ModelRole")["AssumeRolePolicyDocument"]["Statement"]
    statement["Principal"]["Service"] = ["sagemaker.amazonaws.com", "lambda.amazonaws.com"]


def trust_everybody(resources: Resources) -> None:
    (statement,) = first(resources, "ModelRole")["AssumeRolePolicyDocument"]["Statement"]
    statement["Principal"] = {"AWS": "*"}


def store_in_the_clear(resources: Resources) -> None:
    del first(resources, "DataBucket")["BucketEncryption"]


def leave_the_models_disks_in_the_clear(resources: Resources) -> None:
    (config,) = (it for it in resources.values() if it["Type"] == "AWS::SageMaker::EndpointConfig")
    del config["Properties"]["KmsKeyId"]


def misspell_a_property(resources: Resources) -> None:
    first(resources, "StoreResultsFunction")["Timeoutt"] = 3


def run_a_python_of_old(resources: Resources) -> None:
    first(resources, "StoreResultsFunction")["Runtime"] = "python3.8"


def name_no_resource(resources: Resources) -> None:
    first(resources, "StoreResultsFunction")["Role"] = {"Fn::GetAtt": ["Nobody", "Arn"]}


def rewrite_the_definition(resources: Resources, old: str, new: str) -> None:
    machine = first(resources, "WorkflowStateMachine")
    text = json.dumps(machine["DefinitionString"])
    assert old in text
    machine["DefinitionString"] = json.loads(text.replace(old, new, 1))


def go_on_to_nowhere(resources: Resources) -> None:
    rewrite_the_definition(resources, r"\"Next\":\"InferenceModel\"", r"\"Next\":\"InferenceModle\"")


def leave_a_state_that_nothing_reaches(resources: Resources) -> None:
    rewrite_the_definition(resources, r"\"States\":{", r"\"States\":{\"Alone\":{\"Type\":\"Succeed\"},")


BUCKET, FUNCTION, MACHINE = "Data/Bucket/Resource", "StoreResults/Function/Resource", "Workflow/StateMachine/Resource"
ROLE, POLICY, LOGS = "Model/Role/Resource", "StoreResults/Role/DefaultPolicy/Resource", "Workflow/Logs/Resource"

BROKEN: list[tuple[Callable[[Resources], None], str, set[str]]] = [
    (
        allow_every_action,
        POLICY,
        {
            "AwsSolutions::AwsSolutions-IAM5[Action::s3:*]",
            "PCI.DSS.321::PCI.DSS.321-IAMPolicyNoStatementsWithFullAccess",
        },
    ),
    (
        open_the_bucket,
        BUCKET,
        {"HIPAA.Security::HIPAA.Security-S3BucketPublicReadProhibited", "checkov::CKV_AWS_53"},
    ),
    (allow_plain_http, BUCKET, {"AwsSolutions::AwsSolutions-S10", "PCI.DSS.321::PCI.DSS.321-S3BucketSSLRequestsOnly"}),
    (keep_no_access_logs, BUCKET, {"AwsSolutions::AwsSolutions-S1", "checkov::CKV_AWS_18"}),
    (
        keep_logs_for_ever,
        LOGS,
        {"Guard::log_groups_end", "Serverless::Serverless-CloudWatchLogGroupRetentionPeriod", "checkov::CKV_AWS_66"},
    ),
    (
        attach_a_managed_policy,
        ROLE,
        {
            "Guard::no_managed_policy",
            "AwsSolutions::AwsSolutions-IAM4[Policy::arn:aws:iam::aws:policy/AmazonSageMakerFullAccess]",
        },
    ),
    (name_the_bucket, BUCKET, {"Guard::no_fixed_name"}),
    (trust_two_services, ROLE, {"Guard::one_service_a_role"}),
    (trust_everybody, ROLE, {"Guard::one_service_a_role", "checkov::CKV_AWS_60"}),
    (store_in_the_clear, BUCKET, {"Guard::buckets_are_encrypted"}),
    (
        leave_the_models_disks_in_the_clear,
        "Realtime/Config",
        {
            "Guard::a_key_is_used_for_everything",
            "NIST.800.53.R5::NIST.800.53.R5-SageMakerEndpointConfigurationKMSKeyConfigured",
        },
    ),
    (misspell_a_property, FUNCTION, {"cfn-lint::E3002", "CloudFormation-Validate::F3002"}),
    (
        run_a_python_of_old,
        FUNCTION,
        {"cfn-lint::W2531", "CloudFormation-Validate::W2531", "AwsSolutions::AwsSolutions-L1"},
    ),
    (name_no_resource, FUNCTION, {"cfn-lint::E1010", "CloudFormation-Validate::F1020"}),
    (go_on_to_nowhere, MACHINE, {"asl-validator::MISSING_TRANSITION_TARGET"}),
    (leave_a_state_that_nothing_reaches, MACHINE, {"asl-validator::MISSING_TRANSITION_TARGET"}),
]


@pytest.mark.parametrize(
    ("break_it", "where", "seen_by"), [pytest.param(*it, id=it[0].__name__.replace("_", " ")) for it in BROKEN]
)
def test_the_gate_sees_what_is_broken(
    gate: Gate,
    verdicts: Mapping[str, Verdict],
    synthesized: Callable[[str], Synthesis],
    tmp_path: Path,
    break_it: Callable[[Resources], None],
    where: str,
    seen_by: set[str],
) -> None:
    broken = Templates(tmp_path, (STACK,))
    for path in synthesized(VARIANT).folder.glob(f"{STACK}.*.json"):
        shutil.copy(path, tmp_path)
    template = json.loads(broken.paths[STACK].read_text())
    break_it(template["Resources"])
    broken.paths[STACK].write_text(json.dumps(template))

    expected = {Finding(finding_id, f"{STACK}/{where}") for finding_id in seen_by}
    assert not expected & set(verdicts[VARIANT].findings)
    assert expected <= judged(gate, broken, {it.tool for it in expected}, verdicts[VARIANT].reasons)


def judged(gate: Gate, templates: Templates, tools: set[str], reasons: Mapping[tuple[str, str], str]) -> set[Finding]:
    """What is left to mend in a template; for cdk-nag, which reads constructs, it is read back into some."""
    app = App()
    if tools & set(PACKS):
        CfnInclude(Stack(app, STACK), INCLUDED, template_file=str(templates.paths[STACK]))
    findings = gate.findings(app, templates, tools)
    return set(Verdict(tuple(named(it, templates) for it in findings), reasons, {}).open)


def named(finding: Finding, templates: Templates) -> Finding:
    """A finding with the construct's path in the app, where it has that of a construct that was read back."""
    stack, _, logical_id = finding.resource.partition(f"/{INCLUDED}/")
    return replace(finding, resource=templates.constructs[stack, logical_id]) if logical_id else finding


def test_an_acknowledgement_hides_its_own_finding_on_its_own_resource_only() -> None:
    known, below = (
        Finding("checkov::CKV_AWS_18", "Stack/Data/Logs"),
        Finding("checkov::CKV_AWS_18", "Stack/Data/Logs/A"),
    )
    others = [
        Finding("checkov::CKV_AWS_18", "Stack/Data/LogsOfOthers"),
        Finding("checkov::CKV_AWS_1", "Stack/Data/Logs"),
    ]
    verdict = Verdict((known, below, *others), {("Stack/Data/Logs", "checkov::CKV_AWS_18"): "a reason"}, {})
    assert set(verdict.acknowledged) == {known, below}
    assert verdict.open == others


def test_an_acknowledgement_that_hides_nothing_is_idle() -> None:
    verdict = Verdict((), {("Stack/Data", "Guard::no_fixed_name"): "a reason"}, {})
    assert verdict.idle == [("Stack/Data", "Guard::no_fixed_name")]
