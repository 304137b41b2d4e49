"""The container image that serves the model."""

from __future__ import annotations

from dataclasses import dataclass

from aws_cdk import Stack, region_info
from aws_cdk import aws_ecr as ecr
from constructs import Construct

from stacks.settings import Settings

REPOSITORY = "pytorch-inference"
TAG = "2.6.0-cpu-py312-ubuntu22.04-sagemaker"
"""The PyTorch container serves any code in script mode; the sample model needs no more than its numpy.

That the tag exists is from AWS's list of images; that every region has it is not confirmed.
https://github.com/aws/deep-learning-containers/blob/master/available_images.md
"""


@dataclass(frozen=True)
class ModelImage:
    """An image: its repository, to grant pulls from, and its tag or digest."""

    repository: ecr.IRepository
    version: str

    @property
    def uri(self) -> str:
        return self.repository.repository_uri_for_tag_or_digest(self.version)


def model_image(scope: Construct, settings: Settings) -> ModelImage:
    """The settings' image, or AWS's deep-learning container in the stage's region.

    Raises `ValueError` in a region that has none.
    """
    stack = Stack.of(scope)
    if settings.model_image is None:
        account = region_info.RegionInfo.get(settings.region).dlc_repository_account
        if account is None:
            raise ValueError(
                f"region: expected one with AWS deep-learning containers, or a model_image; received {settings.region}"
            )
        region, name, version = settings.region, REPOSITORY, TAG
    else:
        host, _, path = settings.model_image.partition("/")
        name, _, version = path.partition("@" if "@" in path else ":")
        account, region = host.split(".")[0], host.split(".")[3]
    arn = stack.format_arn(service="ecr", account=account, region=region, resource="repository", resource_name=name)
    repository = ecr.Repository.from_repository_attributes(scope, "Image", repository_arn=arn, repository_name=name)
    return ModelImage(repository, version)
