"""The bucket that data sets and results lie in."""

from __future__ import annotations

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

    def grant_store(self, grantee: iam.IGrantable, prefix: str) -> iam.Grant:
        """Lets the grantee write objects whose keys begin with `prefix`, and read them to compare."""
        return iam.Grant.add_to_principal(
            grantee=grantee,
            actions=["s3:GetObject", "s3:PutObject"],
            resource_arns=[self.bucket.arn_for_objects(f"{prefix}*")],
        )
