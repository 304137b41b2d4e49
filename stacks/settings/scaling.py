"""Which minimum and maximum of an endpoint's instances can work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stacks.settings.modes import ASYNC

if TYPE_CHECKING:
    from stacks.settings import Settings

MOST = 1_000
LEAST_PERCENTAGE, MOST_PERCENTAGE = 10, 100
"""Of an instance's concurrency. Above 100 a job could not make the endpoint scale to its maximum: it has no more
under way than the maximum takes at once."""


def check(settings: Settings) -> None:
    """Raises `ValueError`: the setting, what is allowed, what was received. For the modes with instances."""
    least, most = settings.model_instances, settings.model_instances_max
    if settings.mode != ASYNC and least == 0:
        # Requests have nowhere to wait: AWS scales to zero what has a queue, and inference components.
        # https://docs.aws.amazon.com/sagemaker/latest/dg/endpoint-auto-scaling-zero-instances.html
        raise ValueError(
            f"model_instances: expected 1 to {MOST} in mode {settings.mode}, where nobody would answer; mode {ASYNC} "
            "scales from 0, received 0"
        )
    if not 0 <= least <= MOST:
        raise ValueError(f"model_instances: expected {int(settings.mode != ASYNC)} to {MOST}, received {least}")
    if most is None and least == 0:
        raise ValueError("model_instances_max: expected 1 or more where model_instances is 0, received None")
    if most is not None and not max(least, 1) <= most <= MOST:
        raise ValueError(
            f"model_instances_max: expected {max(least, 1)} to {MOST}, as model_instances is {least}, received {most}"
        )
    if settings.scaled and settings.model_instance_type.startswith("ml.t2."):
        # As others found: https://github.com/aws-controllers-k8s/community/pull/1633
        raise ValueError(
            "model_instance_type: expected no burstable type where instances scale, as AWS scales none, received "
            f"{settings.model_instance_type!r}"
        )
    if not LEAST_PERCENTAGE <= settings.scaling_percentage <= MOST_PERCENTAGE:
        raise ValueError(
            f"scaling_percentage: expected {LEAST_PERCENTAGE} to {MOST_PERCENTAGE}, received "
            f"{settings.scaling_percentage:g}"
        )
    if settings.scaling_invocations is not None and settings.scaling_invocations <= 0:
        raise ValueError(f"scaling_invocations: expected more than 0, received {settings.scaling_invocations:g}")
