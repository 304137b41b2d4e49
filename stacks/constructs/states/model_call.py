"""One call of the model, as a state makes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aws_cdk import aws_stepfunctions as sfn

from stacks.constructs.states.failures import Caught


@dataclass(frozen=True, kw_only=True)
class ModelCall:
    """What a predictor sends, and what comes after it.

    `instances` is a JSONata expression without its `{% %}`; `outputs` and `assign` may use the predictor's `answer`.
    """

    instances: str
    outputs: Any
    failed: sfn.IChainable
    """The state that a call that failed for good goes to."""
    caught: Caught
    """Where a batch that the model refuses goes."""
    assign: Mapping[str, Any] | None = None
