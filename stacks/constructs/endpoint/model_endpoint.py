"""What every SageMaker endpoint of a model has: a name, an ARN, a variant, and who may ask it."""

from __future__ import annotations

from typing import Any

from aws_cdk import Annotations
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from lambda_src.contract import CHALLENGER, PRODUCTION
from stacks.acknowledgements import acknowledge
from stacks.constructs.endpoint import scaling
from stacks.constructs.endpoint.deployment import deployment_config, grant_alarms
from stacks.constructs.guard import decisions
from stacks.constructs.guard.protection import Protection
from stacks.constructs.model.served_model import ServedModel
from stacks.constructs.watch.alarms import answers_too
from stacks.settings import Settings
from stacks.settings.instance_types import has_disks


class ModelEndpoint(Construct):
    """An endpoint of one mode; each mode is a class of its own, and its endpoint another resource.

    AWS makes no serverless endpoint of one with instances, so the mode of an endpoint never changes: CloudFormation
    makes the new one before it deletes the old. Nothing has a fixed name: a change of the model or of the
    configuration makes a new configuration, and the endpoint moves to it without a break (see `deployment_config`);
    CloudFormation deletes the old model and configuration when that is done.
    `config` has what the mode adds to an endpoint configuration. A `challenger` answers a part of the requests, or
    gets a copy of them, on as many instances as the model.
    """

    action = "InvokeEndpoint"

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        model: ServedModel,
        settings: Settings,
        variant: dict[str, Any],
        challenger: ServedModel | None = None,
        **config: Any,
    ) -> None:
        super().__init__(scope, construct_id)
        self.model = model
        for served in (model, *([challenger] if challenger else [])):
            grant_alarms(served.role, settings)
        self.config = sagemaker.CfnEndpointConfig(
            self,
            "Config",
            **variants(model, challenger, settings, variant),
            **config,
        )
        if config.get("kms_key_id") is None:
            acknowledge(self.config, decisions.AWS_KEY_ON_DISKS)
        self.endpoint = sagemaker.CfnEndpoint(
            self,
            scaling.endpoint_id(settings),
            endpoint_config_name=self.config.attr_endpoint_config_name,
            deployment_config=deployment_config(settings),
            **scaling.retained(settings),
        )
        if settings.scaled:
            scaling.Scaling(self, "Scaling", endpoint=self.name, variant=PRODUCTION, settings=settings)
            if answers_too(settings):
                scaling.Scaling(self, "ChallengerScaling", endpoint=self.name, variant=CHALLENGER, settings=settings)

    @property
    def name(self) -> str:
        return self.endpoint.attr_endpoint_name

    @property
    def arn(self) -> str:
        """As AWS writes it: in lower case, so an ARN made from the name may match nothing."""
        return self.endpoint.ref

    def grant_invoke(self, grantee: iam.IGrantable) -> iam.Grant:
        """Lets the grantee ask this endpoint for predictions, in the way of its mode."""
        return iam.Grant.add_to_principal(
            grantee=grantee, actions=[f"sagemaker:{self.action}"], resource_arns=[self.arn]
        )


def variants(
    model: ServedModel, challenger: ServedModel | None, settings: Settings, variant: dict[str, Any]
) -> dict[str, Any]:
    """The variants of an endpoint configuration, by their weights: a shadow's is beside the production variant's 1.

    https://docs.aws.amazon.com/sagemaker/latest/dg/model-shadow-deployment.html
    """

    def made(name: str, served: ServedModel, weight: float) -> sagemaker.CfnEndpointConfig.ProductionVariantProperty:
        return sagemaker.CfnEndpointConfig.ProductionVariantProperty(
            variant_name=name, model_name=served.model.attr_model_name, initial_variant_weight=weight, **variant
        )

    if challenger is None:
        return {"production_variants": [made(PRODUCTION, model, 1)]}
    share = (settings.challenger_percentage or 0) / 100
    second = made(CHALLENGER, challenger, share)
    if settings.challenger_shadow:
        return {"production_variants": [made(PRODUCTION, model, 1)], "shadow_production_variants": [second]}
    return {"production_variants": [made(PRODUCTION, model, round(1 - share, 2)), second]}


def instances(settings: Settings) -> dict[str, Any]:
    """A variant's instances. One that scales to zero starts with one: AWS makes no endpoint without any."""
    return {
        "instance_type": settings.model_instance_type,
        "initial_instance_count": max(settings.model_instances, 1),
    }


def disk_key(scope: Construct, settings: Settings, protection: Protection) -> str | None:
    """The key for the instances' disks: the endpoint could not be made with one where they have disks of their own.

    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateEndpointConfig.html
    """
    if protection.key is None:
        return None
    if has_disks(settings.model_instance_type):
        Annotations.of(scope).add_info_v2(
            "sluice:OwnDisks",
            f"model_instance_type: {settings.model_instance_type} has disks of its own, which its hardware "
            "encrypts; SageMaker takes no customer key for them",
        )
        return None
    return protection.key.key_arn
