"""The CDK app: picks the stage (`-c stage=prod`; without it `local`) and builds both stacks.

Any setting can be given too: `-c mode=serverless -c serverless_memory=4096 -c customer_key=true`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from typing import Any

from aws_cdk import App

from stacks.constructs.function.function_build import BuildError
from stacks.inference import InferenceStack
from stacks.ml_workflow import MlWorkflowStack
from stacks.settings import STAGES, InvalidSettings, Settings
from stacks.settings.overrides import check_names, overridden

CONTEXT: dict[str, list[str]] = {"aws:cdk:bundling-stacks": []}
"""Functions go up as they were built: no stack is left for the CDK to bundle in Docker. The CLI sends a
value of its own, so this has to come after it."""

SETTING = re.compile(r"[a-z][a-z0-9_]*")
"""How a setting's name looks; the CDK's own context has other characters too."""


def build(context: Mapping[str, Any] | None = None, outdir: str | None = None, settings: Settings | None = None) -> App:
    """Both stacks, by default in the context's stage, to be written to `outdir` (by default where the CLI says).

    Raises `InvalidSettings` and `BuildError`.
    """
    app = App(context=context, outdir=outdir, post_cli_context=CONTEXT)
    settings = settings or stage_settings(app)
    MlWorkflowStack(app, "MlWorkflowStack", settings=settings)
    InferenceStack(app, "InferenceStack", settings=settings)
    return app


def stage_settings(app: App) -> Settings:
    """The settings of the context's stage, with those that it gives; raises `InvalidSettings`."""
    given = {name: value for name, value in app.node.get_all_context().items() if SETTING.fullmatch(name)}
    stage = str(given.pop("stage", "local"))
    if stage not in STAGES:
        raise InvalidSettings(f"stage: expected one of {', '.join(STAGES)}, received {stage}")
    check_names(list(given))
    return overridden(STAGES[stage], given)


if __name__ == "__main__":
    try:
        build().synth()
    except (BuildError, InvalidSettings) as error:
        sys.exit(str(error))
