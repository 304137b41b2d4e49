"""Which model made a prediction: the variant of the endpoint that answered, and the version of its model."""

from __future__ import annotations

import os

from lambda_src.contract import CHALLENGER, Json

MAX_VERSION = 128
"""What a version may have of characters, as an image's tag: each prediction carries it."""


def made_by(answer: dict[str, Json]) -> dict[str, str]:
    """What a prediction says of its model: `{"variant", "modelVersion"}`, without what nobody knows.

    `answer` may have both: `variant` is whom the endpoint asked, `version` what the model said beside its
    predictions. While an update shifts traffic, a variant has an old model and a new one, so
    only the model's own answer is exact.
    """
    variant = answer.get("variant")
    version = version_of(answer.get("version"), variant)
    return {**({"variant": variant} if variant else {}), **({"modelVersion": version} if version else {})}


def version_of(said: Json, variant: str | None = None) -> str | None:
    """The version that the model said, or, where that is no name, the one that was deployed for the variant."""
    if isinstance(said, str | int) and not isinstance(said, bool) and 0 < len(name := str(said)) <= MAX_VERSION:
        return name
    return os.environ.get("CHALLENGER_VERSION" if variant == CHALLENGER else "MODEL_VERSION")
