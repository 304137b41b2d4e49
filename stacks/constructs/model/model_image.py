"""The container image that serves the model: one of AWS's, or one's own."""

from __future__ import annotations

from dataclasses import dataclass

from aws_cdk import Stack, region_info
from aws_cdk import aws_ecr as ecr
from constructs import Construct

from stacks.constructs.model.framework_accounts import ACCOUNTS
from stacks.settings import InvalidSettings
from stacks.settings.model import PYTORCH, SKLEARN, XGBOOST

IMAGES = {
    PYTORCH: ("pytorch-inference", "2.6.0-cpu-py312-ubuntu22.04-sagemaker"),
    SKLEARN: ("sagemaker-scikit-learn", "1.4-2-py312-cpu-py3"),
    XGBOOST: ("sagemaker-xgboost", "3.2-0"),
}
"""Repository and tag by framework. The PyTorch container serves any code in script mode; the sample model needs no
more than its numpy.

That the tags exist is from AWS's lists; that every region has them is not confirmed.
https://github.com/aws/deep-learning-containers/blob/master/available_images.md
https://github.com/aws/sagemaker-python-sdk/tree/master/sagemaker-core/src/sagemaker/core/image_uri_config
"""


@dataclass(frozen=True)
class ModelImage:
    """An image: its repository, to grant pulls from, and its tag or digest."""

    repository: ecr.IRepository
    version: str

    @property
    def uri(self) -> str:
        return self.repository.repository_uri_for_tag_or_digest(self.version)


def framework_image(scope: Construct, framework: str, region: str) -> ModelImage:
    """AWS's own container of a framework in a region. Raises `InvalidSettings` in a region that has none."""
    name, version = IMAGES[framework]
    learning = framework == PYTORCH
    account = region_info.RegionInfo.get(region).dlc_repository_account if learning else ACCOUNTS.get(region)
    if account is None:
        raise InvalidSettings(
            f"region: expected one with AWS's {framework} containers, or a model_image; received {region}"
        )
    return _image(scope, account, region, name, version)


def own_image(scope: Construct, uri: str) -> ModelImage:
    """An image in ECR by its URI with a tag or a digest."""
    host, _, path = uri.partition("/")
    name, _, version = path.partition("@" if "@" in path else ":")
    return _image(scope, host.split(".")[0], host.split(".")[3], name, version)


def _image(scope: Construct, account: str, region: str, name: str, version: str) -> ModelImage:
    stack = Stack.of(scope)
    arn = stack.format_arn(service="ecr", account=account, region=region, resource="repository", resource_name=name)
    repository = ecr.Repository.from_repository_attributes(scope, "Image", repository_arn=arn, repository_name=name)
    return ModelImage(repository, version)
