"""State machine definitions as CloudFormation would hand them to Step Functions, references and all resolved."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

ACCOUNT, REGION = "123456789012", "us-east-1"
PSEUDO = {
    "AWS::AccountId": ACCOUNT,
    "AWS::Partition": "aws",
    "AWS::Region": REGION,
    "AWS::URLSuffix": "amazonaws.com",
}
ARNS = {
    "AWS::Lambda::Function": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{{}}",
    "AWS::SageMaker::Endpoint": f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:endpoint/{{}}",
    "AWS::StepFunctions::StateMachine": f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{{}}",
    "AWS::S3::Bucket": "arn:aws:s3:::{}",
    "AWS::KMS::Key": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{{}}",
}
REF_IS_ARN = ("AWS::SageMaker::Endpoint", "AWS::StepFunctions::StateMachine")


def definitions(template: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The definition of each state machine of a template, by its logical id."""
    resources = template["Resources"]
    return {
        name: json.loads(resolved(resource["Properties"]["DefinitionString"], resources))
        for name, resource in resources.items()
        if resource["Type"] == "AWS::StepFunctions::StateMachine"
    }


def resolved(value: Any, resources: Mapping[str, Any]) -> str:
    """An intrinsic as text. A resource is called by its logical id, in lower case, as a bucket has to be."""
    match value:
        case str():
            return value
        case {"Ref": str(name)} if name in PSEUDO:
            return PSEUDO[name]
        case {"Ref": str(name)}:
            kind = resources[name]["Type"]
            return (ARNS[kind] if kind in REF_IS_ARN else "{}").format(name.lower())
        case {"Fn::GetAtt": [str(name), "Arn"]}:
            return ARNS[resources[name]["Type"]].format(name.lower())
        case {"Fn::GetAtt": [str(name), str()]}:
            return name.lower()
        case {"Fn::Join": [str(separator), list(parts)]}:
            return separator.join(resolved(part, resources) for part in parts)
    raise ValueError(f"a state machine's definition: expected an intrinsic that is known here, received {value}")
