"""The CDK app: picks the stage (`-c stage=prod`; without it `local`) and builds both stacks.

`-c customer_key=true`, `-c vpc=true` and `-c observability=true` (or `false`) override those settings of the stage, and
`-c alarm_topic_arn=ARN` names the topic of its alarms.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from aws_cdk import App

from stacks.constructs.function_build import BuildError
from stacks.inference import InferenceStack
from stacks.ml_workflow import MlWorkflowStack
from stacks.settings import STAGES, Settings

CONTEXT: dict[str, list[str]] = {"aws:cdk:bundling-stacks": []}
"""Functions go up as they were built: no stack is left for the CDK to bundle in Docker. The CLI sends a
value of its own, so this has to come after it."""

SWITCHES = ("customer_key", "observability", "vpc")
"""The settings that the context may turn on and off in any stage."""

TEXTS = ("alarm_topic_arn",)
"""The settings that the context may give a value: what is of the account, not of the stage."""


def build(context: Mapping[str, Any] | None = None, outdir: str | None = None, settings: Settings | None = None) -> App:
    """Both stacks, by default in the context's stage, to be written to `outdir` (by default where the CLI says).

    Raises `ValueError` for an unknown stage or what is no switch's value, and `BuildError`."""
    app = App(context=context, outdir=outdir, post_cli_context=CONTEXT)
    settings = settings or stage_settings(app)
    MlWorkflowStack(app, "MlWorkflowStack", settings=settings)
    InferenceStack(app, "InferenceStack", settings=settings)
    return app


def stage_settings(app: App) -> Settings:
    """The settings of the context's stage, with its switches and mode; raises `ValueError` for an unknown one."""
    given = app.node.try_get_context("stage")
    stage = "local" if given is None else str(given)
    if stage not in STAGES:
        raise ValueError(f"stage: expected one of {', '.join(STAGES)}, received {stage}")
    settings = replace(STAGES[stage], **switched(app))
    mode = app.node.try_get_context("mode")
    return settings if mode is None else settings.in_mode(str(mode))


def switched(app: App) -> dict[str, Any]:
    """The settings that the context turns on or off, or gives."""
    given = {name: app.node.try_get_context(name) for name in SWITCHES}
    for name, value in given.items():
        if value is not None and str(value).lower() not in ("true", "false"):
            raise ValueError(f"{name}: expected true or false, received {value}")
    switches = {name: str(value).lower() == "true" for name, value in given.items() if value is not None}
    texts = {name: app.node.try_get_context(name) for name in TEXTS}
    return switches | {name: str(value) for name, value in texts.items() if value is not None}


if __name__ == "__main__":
    try:
        build().synth()
    except (BuildError, ValueError) as error:
        sys.exit(str(error))
