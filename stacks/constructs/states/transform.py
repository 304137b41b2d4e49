"""A model that runs only while there is work: SageMaker starts instances for a transform job, and ends them after."""

from __future__ import annotations

import functools

from aws_cdk import Duration, Stack
from aws_cdk import aws_iam as iam
from constructs import Construct

from lambda_src.contract import AGAIN, FIRST, TRANSFORM
from stacks.acknowledgements import acknowledge
from stacks.constructs.data_bucket import DataBucket
from stacks.constructs.endpoint.model_endpoint import disk_key
from stacks.constructs.guard import decisions
from stacks.constructs.guard.protection import Protection
from stacks.constructs.model.served_model import ServedModel
from stacks.settings import Settings

KEPT_DAYS = 7
"""How long what goes to and fro is kept after the longest job: what it came to is stored as results."""

RULE = "StepFunctionsGetEventsForSageMakerTransformJobsRule"
"""The one rule of an account by which Step Functions learns that a transform job has ended."""

NAME_CHARACTERS = 20
"""How much of the stack's name begins the name of a transform job, which has 63 characters at most."""

NAMED_WHEN_THEY_START = (
    "Transform jobs are named when they start: the policy names those of this stack, by the beginning of their names."
)


class Transform(Construct):
    """The model for `TransformJob` states, with objects of `data` as its input and output.

    SageMaker reads and writes them as the model's role. That it lists the inputs' prefix as that role, and asks for
    nothing of S3 besides, is not confirmed.
    https://docs.aws.amazon.com/sagemaker/latest/dg/batch-transform.html
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        model: ServedModel,
        data: DataBucket,
        settings: Settings,
        protection: Protection,
    ) -> None:
        super().__init__(scope, construct_id)
        self.model = model
        self.data = data
        self.settings = settings
        self.key = protection.key
        self.disk_key = disk_key(model, settings, protection)
        self.job_names = f"{Stack.of(self).stack_name.lower()[:NAME_CHARACTERS]}-"
        acknowledge(Stack.of(self), decisions.wildcard(NAMED_WHEN_THEY_START, self._jobs))
        days = KEPT_DAYS + settings.job_timeout // 86_400
        data.bucket.add_lifecycle_rule(prefix=TRANSFORM, expiration=Duration.days(days))
        data.grant_read(model.role, f"{TRANSFORM}*/in/*")
        data.grant_list(model.role, f"{TRANSFORM}*")
        data.grant_write(model.role, f"{TRANSFORM}*/out/*")

    def grant_steps(self, before: iam.Role, after: iam.Role) -> None:
        """Lets the function before the model write its input, and the one after it read and send again."""
        self.data.grant_write(before, *(f"{TRANSFORM}*/{FIRST}/{kind}/*" for kind in ("in", "parts")))
        self.data.grant_read(after, f"{TRANSFORM}*")
        self.data.grant_list(after, f"{TRANSFORM}*")
        self.data.grant_write(after, *(f"{TRANSFORM}*/{AGAIN}/{kind}/*" for kind in ("in", "parts")))

    @functools.cached_property
    def _jobs(self) -> str:
        """What policies call this stack's transform jobs."""
        return Stack.of(self).format_arn(
            service="sagemaker", resource="transform-job", resource_name=f"{self.job_names}*"
        )

    def statements(self) -> list[iam.PolicyStatement]:
        """What a machine needs to run a transform job to its end.

        https://docs.aws.amazon.com/step-functions/latest/dg/sagemaker-iam.html
        """
        stack = Stack.of(self)
        rule = stack.format_arn(service="events", resource="rule", resource_name=RULE)
        calls = ("CreateTransformJob", "DescribeTransformJob", "StopTransformJob", "ListTags")
        found = [
            iam.PolicyStatement(actions=[f"sagemaker:{call}" for call in calls], resources=[self._jobs]),
            iam.PolicyStatement(
                actions=["iam:PassRole"],
                resources=[self.model.role.role_arn],
                conditions={"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
            ),
            iam.PolicyStatement(
                actions=["events:PutTargets", "events:PutRule", "events:DescribeRule"], resources=[rule]
            ),
        ]
        if self.disk_key is not None:
            # https://docs.aws.amazon.com/sagemaker/latest/dg/api-permissions-reference.html
            found.append(
                iam.PolicyStatement(
                    actions=["kms:CreateGrant"],
                    resources=[self.disk_key],
                    conditions={
                        "Bool": {"kms:GrantIsForAWSResource": True},
                        "StringEquals": {"kms:ViaService": f"sagemaker.{stack.region}.amazonaws.com"},
                    },
                )
            )
        return found
