"""The instance types that SageMaker knows for endpoints: synth is offline, so the list is here.

From its API model; a test holds the list against the one that botocore ships.
https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ProductionVariant.html
"""

from __future__ import annotations

_FAMILIES_BY_SIZES = {
    "large xlarge 2xlarge 4xlarge 8xlarge": "c4",
    "large xlarge 2xlarge 4xlarge 9xlarge 18xlarge": "c5 c5d",
    "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge": "c6g c6gd c6gn c7g m6g m6gd r6g r6gd",
    "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 32xlarge": "c6i c6in m6i r6i",
    "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 48xlarge": "c7i m7i r7i",
    "medium large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 48xlarge": "c8g m8g r8g",
    "24xlarge": "dl1 p4d p4de",
    "xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge": "g4dn",
    "xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 48xlarge": "g5 g6 g6e",
    "2xlarge 4xlarge 8xlarge 12xlarge 24xlarge 48xlarge": "g7 g7e",
    "xlarge 2xlarge 6xlarge 24xlarge": "inf1",
    "xlarge 8xlarge 24xlarge 48xlarge": "inf2",
    "xlarge 2xlarge 4xlarge 10xlarge 16xlarge": "m4",
    "large xlarge 2xlarge 4xlarge 12xlarge 24xlarge": "m5 m5d r5 r5d",
    "xlarge 8xlarge 16xlarge": "p2",
    "2xlarge 8xlarge 16xlarge": "p3",
    "4xlarge 48xlarge": "p5",
    "48xlarge": "p5e p5en p6-b200 p6-b300 trn2",
    "36xlarge": "p6e-gb200",
    "medium large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge": "r7gd",
    "medium large xlarge 2xlarge": "t2",
    "2xlarge 32xlarge": "trn1",
    "32xlarge": "trn1n",
}

SIZES = {family: sizes.split() for sizes, families in _FAMILIES_BY_SIZES.items() for family in families.split()}
"""The sizes of each family."""

_WITH_DISKS = {
    *("c5d", "c6gd", "m5d", "m6gd", "r5d", "r6gd", "r7gd"),
    *("g4dn", "g5", "g6", "g6e", "g7", "g7e", "dl1"),
    *("p4d", "p4de", "p5", "p5e", "p5en", "p6-b200", "p6-b300", "p6e-gb200"),
    *("trn1", "trn1n", "trn2"),
}


def allowed(instance_type: str) -> str | None:
    """What an instance type must be, in words, when it is none that SageMaker knows; else None."""
    service, _, rest = instance_type.partition(".")
    family, _, size = rest.partition(".")
    if service != "ml" or family not in SIZES:
        return "an instance type such as ml.m5.large"
    if size not in SIZES[family]:
        return f"a size of ml.{family} ({', '.join(SIZES[family])})"
    return None


def has_disks(instance_type: str) -> bool:
    """Whether the instances have disks of their own (NVMe), which their hardware encrypts.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/InstanceStorage.html#instance-store-volumes
    """
    return instance_type.split(".")[1] in _WITH_DISKS
