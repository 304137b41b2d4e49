"""The modes in which SageMaker serves the model, and which settings belong to which."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

REALTIME, SERVERLESS, ASYNC, TRANSFORM = "realtime", "serverless", "async", "transform"

NOT_GIVEN: Any = None
"""The default of a setting that belongs to some modes only: so that one given in vain can be told and refused."""

SCALING: Mapping[str, Any] = {"model_instances_max": None, "scaling_percentage": 70}

DEPLOYING: Mapping[str, Any] = {
    "deployment": "all-at-once",
    "deployment_percentage": None,
    "deployment_wait": None,
    "deployment_bake": None,
    "rollback": False,
}
"""https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails.html: for endpoints with instances."""

COMPARING: Mapping[str, Any] = {
    "challenger": None,
    "challenger_percentage": None,
    "challenger_shadow": False,
    "capture_percentage": None,
}
"""SageMaker has none of it for serverless endpoints, and no shadow for asynchronous ones, whose requests and answers
lie in S3 anyway. https://docs.aws.amazon.com/sagemaker/latest/dg/shadow-tests-exclusions.html
"""

DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    REALTIME: {
        "model_instances": 1,
        "endpoint_concurrency": 4,
        "machine_timeout": 300,
        **SCALING,
        **DEPLOYING,
        **COMPARING,
    },
    SERVERLESS: {"serverless_memory": 2_048, "serverless_concurrency": 20, "machine_timeout": 300},
    ASYNC: {
        "model_instances": 1,
        "endpoint_concurrency": 4,
        "async_timeout": 900,
        "machine_timeout": 7_200,
        **SCALING,
        **DEPLOYING,
    },
    TRANSFORM: {
        "transform_instances": 1,
        "transform_concurrency": 4,
        "transform_timeout": 600,
        "machine_timeout": 28_800,
    },
}
"""The settings that each mode has of its own, and what they are where nothing is given."""

OWN = frozenset(name for own in DEFAULTS.values() for name in own)


def defaults(mode: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The mode's own settings that were not given. Raises `ValueError`, naming one that belongs to other modes."""
    own = DEFAULTS[mode]
    for name in sorted(OWN - own.keys()):
        if given[name] is not NOT_GIVEN:
            others = [other for other, names in DEFAULTS.items() if name in names]
            raise ValueError(
                f"{name}: expected none in mode {mode}, received {given[name]}; it is a setting of mode "
                f"{' and '.join(others)}"
            )
    return {name: value for name, value in own.items() if given[name] is NOT_GIVEN}


def without_others(mode: str) -> dict[str, Any]:
    """What takes the settings of other modes back, where settings go over to `mode`."""
    return {"mode": mode, **dict.fromkeys((OWN - DEFAULTS[mode].keys()) | {"machine_timeout"}, NOT_GIVEN)}
