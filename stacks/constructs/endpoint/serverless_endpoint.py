"""A model that is paid by the request: no server while nobody asks."""

from __future__ import annotations

from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from stacks.constructs.endpoint.model_endpoint import ModelEndpoint
from stacks.constructs.model.served_model import ServedModel
from stacks.settings import Settings


class ServerlessEndpoint(ModelEndpoint):
    """https://docs.aws.amazon.com/sagemaker/latest/dg/serverless-endpoints.html"""

    def __init__(self, scope: Construct, construct_id: str, *, model: ServedModel, settings: Settings) -> None:
        super().__init__(
            scope,
            construct_id,
            model=model,
            settings=settings,
            variant={
                "serverless_config": sagemaker.CfnEndpointConfig.ServerlessConfigProperty(
                    memory_size_in_mb=settings.serverless_memory, max_concurrency=settings.serverless_concurrency
                )
            },
        )
