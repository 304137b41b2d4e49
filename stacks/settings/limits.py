"""What AWS lets one call of the model take in each mode: the figures that settings, tests and docs/modes.md go by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from stacks.settings.modes import ASYNC, REALTIME, SERVERLESS, TRANSFORM


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Of one call: the bytes of its body, and the seconds that the model may work on it. `source` is AWS's page."""

    payload: int
    seconds: int
    source: str


PAYLOAD_MB, MOST_AT_ONCE_MB = 6, 100
"""How much one object of a transform job may weigh here, and how much one of its instances is given at once.
https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateTransformJob.html
"""

LIMITS: Mapping[str, Limits] = {
    # The API's own model has 6 MiB; AWS's pages name 25 MB as well. The smaller holds wherever it was deployed.
    REALTIME: Limits(
        payload=6 * 2**20,
        seconds=60,
        source="https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html",
    ),
    SERVERLESS: Limits(
        payload=4 * 2**20,
        seconds=60,
        source="https://docs.aws.amazon.com/sagemaker/latest/dg/serverless-endpoints-invoke.html",
    ),
    ASYNC: Limits(
        payload=2**30,
        seconds=3_600,
        source="https://docs.aws.amazon.com/sagemaker/latest/dg/async-inference.html",
    ),
    TRANSFORM: Limits(
        payload=100 * 2**20,
        seconds=3_600,
        source="https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateTransformJob.html",
    ),
}
"""By mode. Step Functions lets no more than `lambda_src.contract.MAX_STATE_BYTES` through where a batch travels in a
state, which is less than any of them."""
