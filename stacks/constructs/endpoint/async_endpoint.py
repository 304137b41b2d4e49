"""A model with a queue: input and answer lie in S3, and a notification tells of each answer."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sagemaker as sagemaker
from aws_cdk import aws_sns as sns
from constructs import Construct

from lambda_src.contract import ASYNC, ASYNC_FAILURES, ASYNC_INPUTS, ASYNC_OUTPUTS
from stacks.constructs.data_bucket import DataBucket
from stacks.constructs.endpoint.model_endpoint import ModelEndpoint, disk_key, instances
from stacks.constructs.guard.protection import Protection
from stacks.constructs.model.served_model import ServedModel
from stacks.settings import Settings

KEPT_DAYS = 7
"""How long inputs, answers and tokens of requests are kept: what they came to is stored as results."""


class AsyncEndpoint(ModelEndpoint):
    """Answers and failures go to `data`; `answered` and `failed` are the topics that tell of them.

    The model's role reads and writes for it: https://docs.aws.amazon.com/sagemaker/latest/dg/async-inference-create-endpoint-prerequisites.html
    """

    action = "InvokeEndpointAsync"

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
        # Made below the model, which is there before this construct is.
        self.answered = _topic(model, "Answered", protection)
        self.failed = _topic(model, "Failed", protection)
        bucket = data.bucket.s3_url_for_object()
        super().__init__(
            scope,
            construct_id,
            model=model,
            settings=settings,
            variant=instances(settings),
            kms_key_id=disk_key(model, settings, protection),
            async_inference_config=sagemaker.CfnEndpointConfig.AsyncInferenceConfigProperty(
                client_config=sagemaker.CfnEndpointConfig.AsyncInferenceClientConfigProperty(
                    max_concurrent_invocations_per_instance=settings.endpoint_concurrency
                ),
                output_config=sagemaker.CfnEndpointConfig.AsyncInferenceOutputConfigProperty(
                    s3_output_path=f"{bucket}/{ASYNC_OUTPUTS.rstrip('/')}",
                    s3_failure_path=f"{bucket}/{ASYNC_FAILURES.rstrip('/')}",
                    kms_key_id=protection.key.key_arn if protection.key else None,
                    notification_config=sagemaker.CfnEndpointConfig.AsyncInferenceNotificationConfigProperty(
                        success_topic=self.answered.topic_arn, error_topic=self.failed.topic_arn
                    ),
                ),
            ),
        )
        data.bucket.add_lifecycle_rule(prefix=ASYNC, expiration=Duration.days(KEPT_DAYS))
        data.grant_read(model.role, f"{ASYNC_INPUTS}*")
        data.grant_write(model.role, f"{ASYNC_OUTPUTS}*", f"{ASYNC_FAILURES}*")
        iam.Grant.add_to_principal(
            grantee=model.role,
            actions=["sns:Publish"],
            resource_arns=[self.answered.topic_arn, self.failed.topic_arn],
        )


def _topic(scope: Construct, construct_id: str, protection: Protection) -> sns.Topic:
    """A topic that is encrypted with AWS's own key for SNS: what is published names objects, and holds none.

    A customer's key would have to be opened to SageMaker's role and to SNS for no secret.
    """
    key = kms.Alias.from_alias_name(scope, f"{construct_id}Key", "alias/aws/sns")
    return sns.Topic(scope, construct_id, master_key=key, enforce_ssl=True)
