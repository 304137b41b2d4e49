"""The bucket that data sets and results lie in, and the one that notes every access to it."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from aws_cdk import Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from lambda_src.contract import INCOMING
from stacks.acknowledgements import acknowledge
from stacks.constructs.guard import decisions
from stacks.constructs.guard.protection import Protection
from stacks.settings import Settings

ABORT_AFTER, ACCESS_LOGS = 7, "access/"


class DataBucket(Construct):
    """A private, encrypted, versioned bucket, with grants as narrow as a step: `Bucket.grant_*` are far wider.

    Nobody reaches it in public or without TLS 1.2. Requests are noted in `logs` for `access_log_days`; what is
    overwritten or deleted can be had back for `noncurrent_days`.
    """

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings, protection: Protection) -> None:
        super().__init__(scope, construct_id)
        self.key = protection.key
        # S3 delivers its logs to no bucket with a customer's key.
        # https://docs.aws.amazon.com/AmazonS3/latest/userguide/ServerLogs.html
        self.logs = self._bucket("Logs", settings, expiration=Duration.days(settings.access_log_days))
        self.bucket = self._bucket("Bucket", settings, logs=self.logs, key=self.key)
        if protection.network is not None:
            protection.network.allow(["s3:GetObject", "s3:PutObject"], self.arns(["*"]))
            protection.network.allow(["s3:ListBucket"], [self.bucket.bucket_arn])
            if settings.triggered:
                protection.network.allow(["s3:GetObjectVersion"], self.arns([f"{INCOMING}*"]))
            if settings.schedule is not None:
                protection.network.allow(["s3:ListBucketVersions"], [self.bucket.bucket_arn])
            protection.network.log_to(self.logs)
        acknowledge(self.logs, decisions.NO_REPLICA, decisions.AWS_KEY_ON_ACCESS_LOGS, decisions.LOGS_OF_THE_LOGS)
        acknowledge(self.bucket, decisions.NO_REPLICA)
        if self.key is None:
            acknowledge(self.bucket, decisions.AWS_KEY_ON_THE_BUCKET)

    def _bucket(
        self,
        construct_id: str,
        settings: Settings,
        *,
        logs: s3.Bucket | None = None,
        expiration: Duration | None = None,
        key: kms.IKey | None = None,
    ) -> s3.Bucket:
        kept = Duration.days(settings.noncurrent_days)
        return s3.Bucket(
            self,
            construct_id,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            encryption=s3.BucketEncryption.KMS if key else s3.BucketEncryption.S3_MANAGED,
            encryption_key=key,
            bucket_key_enabled=True if key else None,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            versioned=True,
            lifecycle_rules=[
                s3.LifecycleRule(
                    abort_incomplete_multipart_upload_after=Duration.days(ABORT_AFTER),
                    expiration=expiration,
                    # What is left of a deleted object; an expiration by age takes it along itself.
                    expired_object_delete_marker=None if expiration else True,
                    noncurrent_version_expiration=kept,
                ),
            ],
            server_access_logs_bucket=logs,
            server_access_logs_prefix=ACCESS_LOGS if logs else None,
            removal_policy=settings.removal_policy,
        )

    def grant_store(self, grantee: iam.Role, *keys: str) -> iam.Grant:
        """Lets the grantee write objects with such keys (`requests/*`), and read them to compare."""
        self.grant_key(grantee, write=True)
        return self._grant(grantee, ["s3:GetObject", "s3:PutObject"], keys)

    def grant_write(self, grantee: iam.Role, *keys: str) -> iam.Grant:
        """Lets the grantee write objects with such keys."""
        self.grant_key(grantee, write=True)
        return self._grant(grantee, ["s3:PutObject"], keys)

    def grant_read(self, grantee: iam.Role, *keys: str) -> iam.Grant:
        """Lets the grantee read objects with such keys."""
        self.grant_key(grantee, write=False)
        return self._grant(grantee, ["s3:GetObject"], keys)

    def grant_read_versions(self, grantee: iam.Role, *keys: str) -> iam.Grant:
        """Lets a grantee that may read objects with such keys read a version of them by its id too.

        https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
        """
        return self._grant(grantee, ["s3:GetObjectVersion"], keys)

    def grant_list_versions(self, grantee: iam.Role, keys: str) -> iam.Grant:
        """Lets the grantee list the versions of objects with such keys."""
        return iam.Grant.add_to_principal(
            grantee=grantee,
            actions=["s3:ListBucketVersions"],
            resource_arns=[self._arn],
            conditions={"StringLike": {"s3:prefix": keys}},
        )

    def send_events(self) -> None:
        """Tells EventBridge of each object that is created or deleted.

        The library's own way deploys a function of its own, whose role may change any bucket's notifications.
        https://docs.aws.amazon.com/AmazonS3/latest/userguide/EventBridge.html
        """
        resource = self.bucket.node.default_child
        assert isinstance(resource, s3.CfnBucket)
        resource.notification_configuration = s3.CfnBucket.NotificationConfigurationProperty(
            event_bridge_configuration=s3.CfnBucket.EventBridgeConfigurationProperty(event_bridge_enabled=True)
        )

    def _grant(self, grantee: iam.Role, actions: list[str], keys: Sequence[str]) -> iam.Grant:
        arns = self.arns(keys)
        acknowledge(grantee, decisions.objects(arns))
        return iam.Grant.add_to_principal(grantee=grantee, actions=actions, resource_arns=arns)

    def grant_key(self, grantee: iam.IGrantable, *, write: bool) -> None:
        """Lets the grantee use the bucket's key, where it has one, for the objects that it may read, or also write.

        A part of a multipart upload is read again to be joined. Nothing derives this for a Distributed Map, whose
        reader and writer bring statements for S3 alone: https://github.com/aws/aws-cdk/issues/32144
        https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html#require-sse-kms
        """
        if self.key is not None:
            self.key.grant_objects(grantee, self.bucket, "kms:Decrypt", *(["kms:GenerateDataKey"] if write else []))

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
            resources=[self._arn],
            conditions={"StringLike": {"s3:prefix": keys}},
        )

    def arns(self, keys: Sequence[str]) -> list[str]:
        """What policies call the objects with such keys."""
        return [f"{self._arn}/{pattern}" for pattern in keys]

    @functools.cached_property
    def _arn(self) -> str:
        return self.bucket.bucket_arn
