"""How a changed model takes over, a second one beside it, and what is captured: which settings can work together."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stacks.settings import Settings

ALL_AT_ONCE, CANARY, LINEAR = "all-at-once", "canary", "linear"
DEPLOYMENTS = (ALL_AT_ONCE, CANARY, LINEAR)

PERCENTAGE, WAIT, BAKE = 20, 300, 300
"""What a step, the wait after it and the last look are where nothing is given."""

MOST_SECONDS = 3_600
"""https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_BlueGreenUpdatePolicy.html"""

MOST_IN_ALL = 28_800
"""What an update may take: same page."""

STARTING = 3_600
"""How long new instances may take to come up, beside the waits."""

ALARM_SECONDS = 180
"""How long the alarm on the model's errors looks before it rings."""


def check(settings: Settings) -> None:
    """Raises `ValueError`: the setting, what is allowed, what was received. For the modes with instances."""
    _check_deployment(settings)
    _check_rollback(settings)
    if settings.capture_percentage is not None:
        _within("capture_percentage", settings.capture_percentage, 0, 100)
    _check_challenger(settings)


def steps(settings: Settings) -> int:
    """How many parts the traffic goes over in."""
    if settings.deployment == ALL_AT_ONCE:
        return 1
    return 2 if settings.deployment == CANARY else -(-100 // (settings.deployment_percentage or PERCENTAGE))


def waits(settings: Settings) -> int:
    """How many seconds an update is watched in all."""
    wait, bake = settings.deployment_wait, settings.deployment_bake
    between = 0 if settings.deployment == ALL_AT_ONCE else (WAIT if wait is None else wait) * (steps(settings) - 1)
    return between + (BAKE if bake is None else bake)


def _check_deployment(settings: Settings) -> None:
    """https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-exclusions.html"""
    kind, guarded = settings.deployment, settings.deployment != ALL_AT_ONCE or settings.rollback
    if kind not in DEPLOYMENTS:
        raise ValueError(f"deployment: expected one of {', '.join(DEPLOYMENTS)}, received {kind}")
    if kind == ALL_AT_ONCE:
        for name in ("deployment_percentage", "deployment_wait"):
            if (value := getattr(settings, name)) is not None:
                raise ValueError(f"{name}: expected None where all traffic goes over at once, received {value}")
    elif settings.model_instances < 2:
        # https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_TrafficRoutingConfig.html
        raise ValueError(
            f"deployment: expected {ALL_AT_ONCE} where model_instances is {settings.model_instances}, as a step is "
            f"half of the instances at most, received {kind}"
        )
    if guarded and settings.model_instance_type.startswith("ml.inf1."):
        raise ValueError(
            "model_instance_type: expected no inf1 with deployment canary or linear or with rollback, which SageMaker "
            f"leaves out for them without a word, received {settings.model_instance_type}"
        )
    for name, least, most in (
        ("deployment_percentage", 10 if kind == LINEAR else 1, 50),
        ("deployment_wait", 0, MOST_SECONDS),
        ("deployment_bake", 0, MOST_SECONDS),
    ):
        if (value := getattr(settings, name)) is not None:
            _within(name, value, least, most)
    if waits(settings) + STARTING > MOST_IN_ALL:
        raise ValueError(
            f"deployment_wait: expected at most {MOST_IN_ALL - STARTING} seconds in all steps, as SageMaker ends an "
            f"update after {MOST_IN_ALL}, received {waits(settings)}"
        )


def _check_rollback(settings: Settings) -> None:
    if not settings.rollback:
        return
    if not settings.observability:
        raise ValueError("rollback: expected false without observability, as there are no alarms then, received true")
    name = "deployment_bake" if settings.deployment == ALL_AT_ONCE else "deployment_wait"
    seconds = getattr(settings, name)
    if seconds is not None and seconds < ALARM_SECONDS:
        raise ValueError(
            f"{name}: expected {ALARM_SECONDS} or more with rollback, as an alarm does not ring sooner, "
            f"received {seconds}"
        )


def _check_challenger(settings: Settings) -> None:
    given = {"challenger_percentage": settings.challenger_percentage, "challenger_shadow": settings.challenger_shadow}
    if settings.challenger is None:
        for name, value in given.items():
            if value not in (None, False):
                raise ValueError(f"{name}: expected none without a challenger, received {value}")
        return
    if settings.challenger_percentage is None:
        raise ValueError("challenger_percentage: expected the share of the traffic for the challenger, received None")
    # All of the traffic is for a model that is the model; a copy of all of it a shadow may have.
    _within("challenger_percentage", settings.challenger_percentage, 1, 100 if settings.challenger_shadow else 99)


def _within(name: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise ValueError(f"{name}: expected {least} to {most}, received {value}")
