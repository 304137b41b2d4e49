"""A model behind a SageMaker real-time endpoint."""

from __future__ import annotations

from pathlib import Path

from aws_cdk import Annotations, ArnFormat, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3_assets as assets
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from stacks.acknowledgements import acknowledge
from stacks.constructs import decisions
from stacks.constructs.model_image import model_image
from stacks.constructs.protection import Protection
from stacks.constructs.trust import sagemaker_here
from stacks.instance_types import has_disks
from stacks.settings import Settings

METRICS_NAMESPACE = "/aws/sagemaker/Endpoints"
LOG_GROUP_NAMED_LATER = (
    "SageMaker makes the log group and names it after the endpoint, which has its name only when the role is there: "
    "the policy names the groups of endpoints."
)

VARIANT = "AllTraffic"
"""The variant that serves."""


class ModelEndpoint(Construct):
    """Serves a `model.tar.gz` in script mode.

    Nothing has a fixed name, so every change of the model or of its instances makes a new model and a new
    configuration, and the endpoint moves to it without a break.
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, archive: Path, settings: Settings, protection: Protection
    ) -> None:
        super().__init__(scope, construct_id)
        self.asset = assets.Asset(self, "Archive", path=str(archive))
        image = model_image(self, settings)
        self.role = iam.Role(self, "Role", assumed_by=sagemaker_here(self))
        image.repository.grant_pull(self.role)
        self._grant_model_data(self.role)
        self._grant_monitoring(self.role)
        if protection.network is not None:
            protection.network.grant_model_interfaces(self.role)
            protection.network.allow(["s3:GetObject"], [self._archive])

        self.model = sagemaker.CfnModel(
            self,
            "Model",
            execution_role_arn=self.role.role_arn,
            # The container reaches nothing and nobody; SageMaker brings it the archive and the requests.
            enable_network_isolation=True,
            vpc_config=self._place(protection),
            primary_container=sagemaker.CfnModel.ContainerDefinitionProperty(
                image=image.uri,
                model_data_url=self.asset.s3_object_url,
                # Where the container's toolkit looks for the code: the archive is unpacked to /opt/ml/model.
                # Not confirmed against AWS: whether a newer toolkit still needs them.
                environment={
                    "SAGEMAKER_PROGRAM": "inference.py",
                    "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code",
                },
            ),
        )
        # SageMaker reads the archive with the role while it creates the model: its policy has to be there.
        self.model.node.add_dependency(self.role)
        acknowledge(self.model, decisions.ROLE_FIRST)
        acknowledge(self.role, decisions.INLINE_POLICY, decisions.EVERY_RESOURCE)
        disk_key = self._disk_key(settings, protection)
        self.config = sagemaker.CfnEndpointConfig(
            self,
            "Config",
            production_variants=[
                sagemaker.CfnEndpointConfig.ProductionVariantProperty(
                    variant_name=VARIANT,
                    model_name=self.model.attr_model_name,
                    instance_type=settings.model_instance_type,
                    initial_instance_count=settings.model_instances,
                    initial_variant_weight=1,
                )
            ],
            kms_key_id=disk_key,
        )
        if disk_key is None:
            acknowledge(self.config, decisions.AWS_KEY_ON_DISKS)
        self.endpoint = sagemaker.CfnEndpoint(
            self, "Endpoint", endpoint_config_name=self.config.attr_endpoint_config_name
        )

    @property
    def name(self) -> str:
        return self.endpoint.attr_endpoint_name

    @property
    def arn(self) -> str:
        """As AWS writes it: in lower case, so an ARN made from the name may match nothing."""
        return self.endpoint.ref

    def grant_invoke(self, grantee: iam.IGrantable) -> iam.Grant:
        """Lets the grantee ask this endpoint for predictions."""
        return iam.Grant.add_to_principal(
            grantee=grantee, actions=["sagemaker:InvokeEndpoint"], resource_arns=[self.arn]
        )

    @property
    def _archive(self) -> str:
        return self.asset.bucket.arn_for_objects(self.asset.s3_object_key)

    def _place(self, protection: Protection) -> sagemaker.CfnModel.VpcConfigProperty | None:
        """Where the instances stand. The archive then comes through the network, though the container is isolated.

        https://docs.aws.amazon.com/sagemaker/latest/dg/mkt-algo-model-internet-free.html
        """
        if protection.network is None:
            return None
        return sagemaker.CfnModel.VpcConfigProperty(
            security_group_ids=[protection.network.model.security_group_id],
            subnets=[subnet.subnet_id for subnet in protection.network.vpc.isolated_subnets],
        )

    def _disk_key(self, settings: Settings, protection: Protection) -> str | None:
        """The key for the instances' disks: the endpoint could not be made with one where they have disks of their own.

        https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateEndpointConfig.html
        """
        if protection.key is None:
            return None
        if has_disks(settings.model_instance_type):
            Annotations.of(self).add_info_v2(
                "sluice:OwnDisks",
                f"model_instance_type: {settings.model_instance_type} has disks of its own, which its hardware "
                "encrypts; SageMaker takes no customer key for them",
            )
            return None
        return protection.key.key_arn

    def _grant_model_data(self, grantee: iam.IGrantable) -> None:
        iam.Grant.add_to_principal(
            grantee=grantee,
            actions=["s3:GetObject"],
            resource_arns=[self._archive],
        )

    def _grant_monitoring(self, grantee: iam.IGrantable) -> None:
        """The container's log and the instances' metrics. SageMaker makes the log group, named after the
        endpoint, whose name is not known before the role is.
        https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html#sagemaker-roles-createmodel-perms
        """
        group = Stack.of(self).format_arn(
            service="logs",
            resource="log-group",
            resource_name=f"{METRICS_NAMESPACE}/*",
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )
        acknowledge(self.role, decisions.wildcard(LOG_GROUP_NAMED_LATER, group))
        iam.Grant.add_to_principal(
            grantee=grantee,
            actions=[
                "logs:CreateLogGroup",
                "logs:CreateLogStream",
                "logs:DescribeLogStreams",
                "logs:PutLogEvents",
            ],
            resource_arns=[group],
        )
        iam.Grant.add_to_principal(
            grantee=grantee,
            actions=["cloudwatch:PutMetricData"],
            resource_arns=["*"],  # AWS has no narrower form but the namespace
            conditions={"StringEquals": {"cloudwatch:namespace": METRICS_NAMESPACE}},
        )
