"""A model as SageMaker serves it: its archive, its container, and the role that it runs as."""

from __future__ import annotations

from aws_cdk import Annotations, ArnFormat, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3_assets as assets
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from stacks.acknowledgements import acknowledge
from stacks.constructs.guard import decisions
from stacks.constructs.guard.protection import Protection
from stacks.constructs.guard.trust import sagemaker_here
from stacks.constructs.model.model_image import framework_image, own_image
from stacks.constructs.model.model_source import ModelSource
from stacks.settings import Settings
from stacks.settings.modes import SERVERLESS, TRANSFORM

ENDPOINTS, TRANSFORM_JOBS = "/aws/sagemaker/Endpoints", "/aws/sagemaker/TransformJobs"
"""The metrics' namespace, and how the log group's name begins: an endpoint has a group of its own, transform jobs
share one. https://docs.aws.amazon.com/sagemaker/latest/dg/logging-cloudwatch.html
"""
LOG_GROUP_NAMED_LATER = (
    "SageMaker makes the log group and names it after the endpoint, which has its name only when the role is there: "
    "the policy names the groups of endpoints."
)


class ServedModel(Construct):
    """A model from its source. Nothing has a fixed name, so every change of it makes a new model."""

    def __init__(
        self, scope: Construct, construct_id: str, *, source: ModelSource, settings: Settings, protection: Protection
    ) -> None:
        super().__init__(scope, construct_id)
        self.source = source
        self.role = iam.Role(self, "Role", assumed_by=sagemaker_here(self))
        container = (
            self._package(source, protection) if source.package_arn else self._parts(source, settings, protection)
        )
        self._grant_monitoring(self.role, transform=settings.mode == TRANSFORM)
        if protection.network is not None:
            protection.network.grant_model_interfaces(self.role)

        self.model = sagemaker.CfnModel(
            self,
            "Model",
            execution_role_arn=self.role.role_arn,
            # The container reaches nothing and nobody; SageMaker brings it the archive and the requests. Serverless
            # endpoints do not have it: their containers are not of this account.
            # https://docs.aws.amazon.com/sagemaker/latest/dg/serverless-endpoints.html
            enable_network_isolation=settings.mode != SERVERLESS,
            vpc_config=self._place(protection),
            primary_container=container,
        )
        # SageMaker reads the archive with the role while it creates the model: its policy has to be there.
        self.model.node.add_dependency(self.role)
        acknowledge(self.model, decisions.ROLE_FIRST)
        if settings.mode == SERVERLESS:
            acknowledge(self.model, decisions.SERVERLESS_CONTAINER)
        elif source.image is None and source.archive is not None and source.archive.requirements:
            Annotations.of(self.model).add_warning_v2(
                "sluice:Requirements",
                f"model_archive: code/requirements.txt asks for {', '.join(source.archive.requirements)}; the "
                "container has no network to install anything, so it has to be in AWS's image already, or in your own",
            )
        acknowledge(self.role, decisions.INLINE_POLICY, decisions.EVERY_RESOURCE)

    def _parts(
        self, source: ModelSource, settings: Settings, protection: Protection
    ) -> sagemaker.CfnModel.ContainerDefinitionProperty:
        """An image and, but for one that brings its own model, an archive."""
        asset = assets.Asset(self, "Archive", path=str(source.archive.path)) if source.archive else None
        image = (
            own_image(self, source.image) if source.image else framework_image(self, source.framework, settings.region)
        )
        image.repository.grant_pull(self.role)
        version = {"MODEL_VERSION": source.version}
        if asset is None:
            return sagemaker.CfnModel.ContainerDefinitionProperty(image=image.uri, environment=version)
        self._grant_model_data(asset.bucket.arn_for_objects(asset.s3_object_key), protection)
        return sagemaker.CfnModel.ContainerDefinitionProperty(
            image=image.uri,
            model_data_url=asset.s3_object_url,
            # Where the container's toolkit looks for the code: the archive is unpacked to /opt/ml/model.
            # Not confirmed against AWS: whether a newer toolkit still needs them.
            environment={
                "SAGEMAKER_PROGRAM": "inference.py",
                "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code",
                **version,
            },
        )

    def _package(self, source: ModelSource, protection: Protection) -> sagemaker.CfnModel.ContainerDefinitionProperty:
        """A package has its image and data in the registry, where a synth does not look: the settings name them.

        To read the package itself is for who creates the model, CloudFormation; that the role needs no
        sagemaker:DescribeModelPackage is not confirmed.
        https://docs.aws.amazon.com/sagemaker/latest/dg/security-iam-awsmanpol-model-registry.html
        """
        if source.package_image is not None:
            own_image(self, source.package_image).repository.grant_pull(self.role)
        if source.package_data is not None:
            arn = Stack.of(self).format_arn(
                service="s3",
                region="",
                account="",
                resource=source.package_data.removeprefix("s3://"),
                arn_format=ArnFormat.NO_RESOURCE_NAME,
            )
            self._grant_model_data(arn, protection)
        # Over what the package has of variables, as the SageMaker SDK's own ModelPackage gives its `env`.
        return sagemaker.CfnModel.ContainerDefinitionProperty(
            model_package_name=source.package_arn, environment={"MODEL_VERSION": source.version}
        )

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

    def _grant_model_data(self, objects: str, protection: Protection) -> None:
        iam.Grant.add_to_principal(grantee=self.role, actions=["s3:GetObject"], resource_arns=[objects])
        if protection.network is not None:
            protection.network.allow(["s3:GetObject"], [objects])

    def _grant_monitoring(self, grantee: iam.IGrantable, *, transform: bool) -> None:
        """The container's log and the instances' metrics. SageMaker makes the log group, named after the
        endpoint, whose name is not known before the role is.
        https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html#sagemaker-roles-createmodel-perms
        """
        group = Stack.of(self).format_arn(
            service="logs",
            resource="log-group",
            resource_name=f"{TRANSFORM_JOBS}*" if transform else f"{ENDPOINTS}/*",
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
            conditions={"StringEquals": {"cloudwatch:namespace": TRANSFORM_JOBS if transform else ENDPOINTS}},
        )
