"""The stack's own encryption key, and who may use it for what."""

from __future__ import annotations

from aws_cdk import ArnFormat, Duration, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from stacks.settings import Settings

DAYS_TO_THINK_AGAIN = 30
"""How long AWS waits before it deletes a key, and with it all that the key has encrypted."""


class CustomerKey(kms.Key):
    """A key with yearly rotation, for the data bucket, the logs, the state machines and the endpoint's disks.

    The account's own policies decide who may use it, as AWS advises. The grants below allow no role more than
    the one use, bound by the encryption context that the service sends along; the endpoint's disks need none,
    as SageMaker uses the key on behalf of whoever deploys.
    https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html
    """

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings) -> None:
        super().__init__(
            scope,
            construct_id,
            description=f"{Stack.of(scope).stack_name}: data, logs, executions and the model's disks",
            enable_key_rotation=True,
            pending_window=Duration.days(DAYS_TO_THINK_AGAIN),
            removal_policy=settings.removal_policy,
        )
        self._allow_logs()

    def grant_objects(self, grantee: iam.IGrantable, bucket: s3.IBucket, *actions: str) -> iam.Grant:
        """Lets the grantee have S3 use the key for objects of `bucket`, which has a bucket key.

        https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-key.html#bucket-key-changes
        """
        through_s3 = {
            "kms:ViaService": f"s3.{Stack.of(self).region}.amazonaws.com",
            "kms:EncryptionContext:aws:s3:arn": bucket.bucket_arn,
        }
        return iam.Grant.add_to_principal(
            grantee=grantee,
            actions=list(actions),
            resource_arns=[self.key_arn],
            conditions={"StringEquals": through_s3},
        )

    def encrypt_machine(self, machine: sfn.StateMachine) -> None:
        """Encrypts the machine's definition and executions.

        The library's own way writes an ARN without a name where the machine has none, and a wildcard action.
        https://docs.aws.amazon.com/step-functions/latest/dg/encryption-at-rest.html
        """
        resource = machine.node.default_child
        assert isinstance(resource, sfn.CfnStateMachine)
        resource.encryption_configuration = sfn.CfnStateMachine.EncryptionConfigurationProperty(
            type="CUSTOMER_MANAGED_KMS_KEY", kms_key_id=self.key_arn
        )
        # In a policy of its own: the machine waits for its role's first one, so that one cannot name the machine.
        policy = iam.Policy(machine, "KeyPolicy", roles=[machine.role])
        arn = machine.state_machine_arn
        # The second is what a Map Run's children may be called; which of both AWS sends is not confirmed.
        own = {"kms:EncryptionContext:aws:states:stateMachineArn": [arn, f"{arn}/*"]}
        iam.Grant.add_to_principal(
            grantee=policy,
            actions=["kms:Decrypt", "kms:GenerateDataKey"],
            resource_arns=[self.key_arn],
            conditions={"StringLike": own},
        )
        iam.Grant.add_to_principal(
            grantee=policy,
            actions=["kms:GenerateDataKey"],
            resource_arns=[self.key_arn],
            conditions={"StringEquals": {"kms:EncryptionContext:SourceArn": self._any_log}},
        )

    def _allow_logs(self) -> None:
        """CloudWatch encrypts the stack's log groups, and Step Functions' log delivery reads what machines send.

        The groups have no names of their own: CloudFormation begins theirs with the stack's. AWS documents the
        actions as ReEncrypt*, GenerateDataKey* and Describe*; these are theirs that symmetric keys have.
        https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
        """
        stack = Stack.of(self)
        groups = stack.format_arn(
            service="logs",
            resource="log-group",
            resource_name=f"{stack.stack_name}-*",
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )
        self._any_log = stack.format_arn(service="logs", resource="*", arn_format=ArnFormat.NO_RESOURCE_NAME)
        encrypt = ["Encrypt", "Decrypt", "ReEncryptFrom", "ReEncryptTo", "GenerateDataKey", "DescribeKey"]
        for service, actions, operator, context in (
            (f"logs.{stack.region}.amazonaws.com", encrypt, "ArnLike", {"aws:logs:arn": groups}),
            ("delivery.logs.amazonaws.com", ["Decrypt"], "StringEquals", {"SourceArn": self._any_log}),
        ):
            self.add_to_resource_policy(
                iam.PolicyStatement(
                    principals=[iam.ServicePrincipal(service)],
                    actions=[f"kms:{action}" for action in actions],
                    resources=["*"],  # in a key's policy: the key
                    conditions={operator: {f"kms:EncryptionContext:{name}": value for name, value in context.items()}},
                )
            )
