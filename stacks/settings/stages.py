"""What differs from one stage to another: `LOCAL`, `DEV` and `PROD`."""

from __future__ import annotations

import platform
import sys

from aws_cdk import RemovalPolicy
from aws_cdk.aws_logs import RetentionDays

from stacks.settings import changes
from stacks.settings.settings import Settings

MACHINE_NAMES = {"aarch64": "arm64", "arm64": "arm64", "x86_64": "x86_64", "amd64": "x86_64"}

LOCAL = Settings(
    stage="local",
    python_version=f"{sys.version_info.major}.{sys.version_info.minor}",
    architecture=MACHINE_NAMES.get(platform.machine().lower(), platform.machine()),
    on_this_machine=True,
    log_retention=RetentionDays.ONE_DAY,
)
DEV = Settings(stage="dev", log_retention=RetentionDays.ONE_WEEK)
PROD = Settings(
    stage="prod",
    function_memory=1_024,
    model_instances=2,
    # As many batches at once as the functions with the model inside take (8 instances with 4 each, and 32): a job is
    # no slower behind the endpoint, and the bill has an end.
    model_instances_max=8,
    log_retention=RetentionDays.ONE_YEAR,
    customer_key=True,
    termination_protection=True,
    observability=True,
    deployment=changes.CANARY,
    rollback=True,
    removal_policy=RemovalPolicy.RETAIN,
)

STAGES = {settings.stage: settings for settings in (LOCAL, DEV, PROD)}
"""Each stage by the name that `-c stage=` takes."""
