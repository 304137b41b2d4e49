"""What an endpoint is asked and answers, a share of it, in the data bucket."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sagemaker as sagemaker

from lambda_src.contract import CAPTURE
from stacks.constructs.data_bucket import DataBucket
from stacks.constructs.guard.protection import Protection
from stacks.settings import Settings

Config = sagemaker.CfnEndpointConfig

KEPT_DAYS = 30
"""How long it is kept: time to look into what an alarm or a comparison of two models has shown."""


def capture(
    data: DataBucket, roles: Sequence[iam.Role], settings: Settings, protection: Protection
) -> Config.DataCaptureConfigProperty | None:
    """Requests and answers as JSON Lines, each variant's under its name, written with its model's role.

    https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-data-capture-endpoint.html
    """
    if not settings.capture_percentage:
        return None
    data.bucket.add_lifecycle_rule(prefix=CAPTURE, expiration=Duration.days(KEPT_DAYS))
    for role in roles:
        data.grant_write(role, f"{CAPTURE}*")
    return Config.DataCaptureConfigProperty(
        enable_capture=True,
        initial_sampling_percentage=settings.capture_percentage,
        destination_s3_uri=f"{data.bucket.s3_url_for_object()}/{CAPTURE.rstrip('/')}",
        kms_key_id=protection.key.key_arn if protection.key else None,
        capture_options=[Config.CaptureOptionProperty(capture_mode=mode) for mode in ("Input", "Output")],
        capture_content_type_header=Config.CaptureContentTypeHeaderProperty(json_content_types=["application/json"]),
    )
