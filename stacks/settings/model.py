"""The settings that say which model is served, and which of them contradict each other."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

PYTORCH, SKLEARN, XGBOOST = "pytorch", "sklearn", "xgboost"

FRAMEWORKS = (PYTORCH, SKLEARN, XGBOOST)
"""Those whose containers of AWS's serve an archive in script mode."""

IMAGE = re.compile(
    r"\d{12}\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/[a-z0-9._/-]+(:[\w.-]+|@sha256:[0-9a-f]{64})"
)
PACKAGE = re.compile(r"arn:aws[a-z-]*:sagemaker:([a-z0-9-]+):\d{12}:model-package/([a-zA-Z0-9-]{1,63}/[1-9]\d{0,8})")
DATA = re.compile(r"s3://[a-z0-9.-]{3,63}/[^*?]*[^*?/]")

OTHERS: Mapping[str, tuple[str, ...]] = {
    "model_package_arn": ("model_archive", "model_framework", "model_image"),
    "model_image": ("model_framework",),
}
"""What cannot be given beside a setting, as that already says it."""

REASONS: Mapping[str, str] = {
    "model_package_arn": "the package names its image and its data itself",
    "model_image": "a framework stands for an image of AWS's",
}


def package_name(arn: str) -> str:
    """`group/version` of a version in the Model Registry."""
    return arn.partition(":model-package/")[2]


def check_model(given: Mapping[str, Any]) -> None:
    """Raises `ValueError` for a value that no model has, and for two settings that name different models."""
    region = given["region"]
    if (framework := given["model_framework"]) is not None and framework not in FRAMEWORKS:
        raise ValueError(f"model_framework: expected one of {', '.join(FRAMEWORKS)}, received {framework}")
    for name in ("model_image", "model_package_image"):
        if (image := given[name]) is not None:
            example = f"123456789012.dkr.ecr.{region}.amazonaws.com/model:1"
            _here(name, image, IMAGE, "an image in ECR with its tag or digest", example, region)
    if (arn := given["model_package_arn"]) is not None:
        example = f"arn:aws:sagemaker:{region}:123456789012:model-package/churn/3"
        _here("model_package_arn", arn, PACKAGE, "the ARN of a version in the Model Registry", example, region)
    if (data := given["model_package_data"]) is not None and not DATA.fullmatch(data):
        raise ValueError(
            f"model_package_data: expected the package's object such as s3://models/churn/3/model.tar.gz, "
            f"received {data!r}"
        )
    for name, others in OTHERS.items():
        for other in others:
            if given[name] is not None and given[other] is not None:
                raise ValueError(f"{other}: expected none beside {name}, received {given[other]}; {REASONS[name]}")
    for name in ("model_package_data", "model_package_image"):
        if given[name] is not None and given["model_package_arn"] is None:
            raise ValueError(f"{name}: expected none without model_package_arn, received {given[name]}")


def _here(name: str, value: str, pattern: re.Pattern[str], allowed: str, example: str, region: str) -> None:
    """SageMaker takes images and packages of its own region only.

    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ContainerDefinition.html
    """
    found = pattern.fullmatch(value)
    if found is None:
        raise ValueError(f"{name}: expected {allowed}, such as {example}, received {value!r}")
    if found[1] != region:
        raise ValueError(f"{name}: expected one in the stage's region, {region}, received one in {found[1]}")
