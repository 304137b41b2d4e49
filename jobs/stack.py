"""The deployed stack: which machine runs its jobs, which bucket holds their data, and clients for both."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from jobs.errors import NO_AWS, CommandError, code_of, message_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

OUTPUTS = ("BatchJobArn", "ResultsBucketUri")
"""The stack's outputs that the client reads."""

CONNECTIONS = 32
"""Requests to S3 that may be under way at once."""

States = Any
"""A Step Functions client: its stubs are not installed."""


@dataclass(frozen=True)
class Stack:
    """Where jobs run: the ARN of their machine, and the bucket of data sets and results."""

    name: str
    machine_arn: str
    bucket: str
    s3: S3Client
    states: States

    def execution_arn(self, job: str) -> str:
        """The ARN of the execution that is the job."""
        return f"{self.machine_arn.replace(':stateMachine:', ':execution:')}:{job}"

    def uri(self, key: str) -> str:
        """A place in the bucket as people and tools write it."""
        return f"s3://{self.bucket}/{key}"


def connect(name: str, *, profile: str | None = None, region: str | None = None) -> Stack:
    """Finds the stack's outputs. Raises `CommandError` when they are not there, botocore's errors otherwise."""
    # boto3 reads AWS_DEFAULT_REGION only; other AWS tools read AWS_REGION first.
    session = boto3.Session(profile_name=profile, region_name=region or os.environ.get("AWS_REGION") or None)
    config = Config(max_pool_connections=CONNECTIONS)
    try:
        formation = session.client("cloudformation")
        s3, states = session.client("s3", config=config), session.client("stepfunctions")
    except BotoCoreError:
        raise
    except ValueError as problem:  # botocore's word for an endpoint that is no URL
        raise CommandError(f"{problem}: check AWS_ENDPOINT_URL", NO_AWS) from problem
    found = _outputs(formation, name)
    if missing := [output for output in OUTPUTS if output not in found]:
        raise CommandError(
            f"stack {name} has no output {' or '.join(missing)}: deploy its present version with cdk deploy", NO_AWS
        )
    bucket = found["ResultsBucketUri"].removeprefix("s3://").partition("/")[0]
    return Stack(name, found["BatchJobArn"], bucket, s3, states)


def _outputs(formation: Any, name: str) -> dict[str, str]:
    try:
        stacks = formation.describe_stacks(StackName=name)["Stacks"]
    except ClientError as error:
        if code_of(error) == "ValidationError" and "does not exist" in message_of(error):
            where = formation.meta.region_name
            raise CommandError(
                f"no stack {name} in region {where}: deploy it, or name another with --stack or SLUICE_STACK", NO_AWS
            ) from error
        raise
    return {output["OutputKey"]: output["OutputValue"] for output in stacks[0].get("Outputs", [])}
