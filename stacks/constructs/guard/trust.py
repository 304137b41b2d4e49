"""Who may assume a role: one service, on behalf of this account alone."""

from __future__ import annotations

import functools

from aws_cdk import ArnFormat, Aws, Stack
from aws_cdk import aws_iam as iam
from constructs import Construct


@functools.cache
def lambda_here() -> iam.IPrincipal:
    """Lambda, for this account's functions, whichever: one principal serves all roles.

    AWS's documentation names no condition for the roles of functions; AWS's own samples have this one. The
    function's ARN as the source is not confirmed, and its name is not known before its role is made.
    """
    account = {"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}}
    return iam.ServicePrincipal("lambda.amazonaws.com", conditions=account)


def sagemaker_here(scope: Construct) -> iam.IPrincipal:
    """SageMaker, for this account's models in this region. For inference it names no one model or endpoint.

    https://docs.aws.amazon.com/sagemaker/latest/dg/security-confused-deputy-prevention.html#security-confused-deputy-inference
    """
    stack = Stack.of(scope)
    source = stack.format_arn(service="sagemaker", resource="*", arn_format=ArnFormat.NO_RESOURCE_NAME)
    conditions = {"ArnLike": {"aws:SourceArn": source}, "StringEquals": {"aws:SourceAccount": stack.account}}
    return iam.ServicePrincipal("sagemaker.amazonaws.com", conditions=conditions)
