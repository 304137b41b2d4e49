"""The bucket that data sets and results lie in."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from constructs import Construct

from stacks.settings import Settings


class DataBucket(Construct):
    """A private, encrypted bucket, with grants as narrow as a step: `Bucket.grant_*` are far wider."""

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings) -> None:
        super().__init__(scope, construct_id)
        self.bucket = s3.Bucket(
            self,
            "Bucket",
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=settings.encrypted_transport_only,
            removal_policy=settings.removal_policy,
        )

    def grant_store(self, grantee: iam.IGrantable, *keys: str) -> iam.Grant:
        """Lets the grantee write objects with such keys (`requests/*`), and read them to compare."""
        return iam.Grant.add_to_principal(
            grantee=grantee, actions=["s3:GetObject", "s3:PutObject"], resource_arns=self.arns(keys)
        )

    def grant_read(self, grantee: iam.IGrantable, *keys: str) -> iam.Grant:
        """Lets the grantee read objects with such keys."""
        return iam.Grant.add_to_principal(grantee=grantee, actions=["s3:GetObject"], resource_arns=self.arns(keys))

    def grant_list(self, grantee: iam.IGrantable, keys: str) -> iam.Grant:
        """Lets the grantee list objects with such keys."""
        statement = self.list_statement(keys)
        return iam.Grant.add_to_principal(
            grantee=grantee,
            actions=statement.actions,
            resource_arns=statement.resources,
            conditions=statement.conditions,
        )

    def list_statement(self, keys: str) -> iam.PolicyStatement:
        """Allows to list objects with such keys."""
        return iam.PolicyStatement(
            actions=["s3:ListBucket"],
            resources=[self.bucket.bucket_arn],
            conditions={"StringLike": {"s3:prefix": keys}},
        )

    def arns(self, keys: Sequence[str]) -> list[str]:
        """What policies call the objects with such keys."""
        return [self.bucket.arn_for_objects(pattern) for pattern in keys]
