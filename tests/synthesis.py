"""The synthesized app as the tests read it: each stack's template with references as plain text."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from aws_cdk import App, CloudFormationValidatePlugin, ValidationRuleSource, Validations

import app
from stacks.acknowledgements import Acknowledgement, take_acknowledgements
from stacks.settings import DEV, LOCAL, PROD, Settings
from stacks.settings import STAGES as SETTINGS
from stacks.settings.modes import ASYNC, DEFAULTS, REALTIME, SERVERLESS, TRANSFORM

ROOT = Path(__file__).parents[1]
STACKS = ("MlWorkflowStack", "InferenceStack")
STAGES = ("local", "dev", "prod")
VARIANTS: Mapping[str, Settings] = {
    **SETTINGS,
    "dev-key": replace(
        DEV,
        customer_key=True,
        model_package_arn="arn:aws:sagemaker:us-east-1:123456789012:model-package/tumours/3",
        model_package_data="s3://models-of-the-team/tumours/3/model.tar.gz",
        model_package_image="123456789012.dkr.ecr.us-east-1.amazonaws.com/tumours:3",
    ),
    "prod-vpc": replace(
        PROD,
        vpc=True,
        alarm_topic_arn="arn:aws:sns:us-east-1:123456789012:alarms",
        scaling_invocations=600,
        on_arrival=True,
        schedule="rate(1 day)",
        trigger_prefix="incoming/daily/",
        challenger="model",
        challenger_percentage=10,
        capture_percentage=5,
    ),
    "dev-serverless": DEV.in_mode(SERVERLESS, on_arrival=True),
    "prod-async": PROD.in_mode(ASYNC, model_instances=0, deployment="all-at-once", schedule="cron(0 20 * * ? *)"),
    "prod-transform": PROD.in_mode(TRANSFORM, vpc=True),
}
"""What the template gate judges: each stage, and each choice that changes what a stage deploys."""
MODES: Mapping[str, str] = {mode: "local" if mode == REALTIME else f"local-{mode}" for mode in DEFAULTS}
"""Each mode's variant in the stage that runs on a laptop."""
BRIEF: Mapping[str, Mapping[str, int]] = {ASYNC: {"async_timeout": 2}}
"""What a mode has for tests that wait until a time limit is over: a notification that got lost."""
FROM_ZERO = "local-from-zero"
"""The variant in which a queue without requests has no instance."""
LOCALS: Mapping[str, Settings] = {
    **{variant: LOCAL.in_mode(mode, **BRIEF.get(mode, {})) for mode, variant in MODES.items()},
    FROM_ZERO: LOCAL.in_mode(ASYNC, model_instances=0, model_instances_max=2),
}
GUARD_RULES = ROOT / "tests" / "gate" / "rules.guard"


@dataclass(frozen=True)
class Stack:
    """One stack's template; `resources` are those of `plain`, by logical id without its hash."""

    template: dict[str, Any]

    @cached_property
    def resources(self) -> dict[str, dict[str, Any]]:
        return {unhashed(name): plain(resource) for name, resource in self.template["Resources"].items()}

    def of_type(self, kind: str) -> dict[str, dict[str, Any]]:
        """The properties of each resource of a type, by logical id without its hash."""
        return {name: it.get("Properties", {}) for name, it in self.resources.items() if it["Type"] == kind}

    @cached_property
    def definitions(self) -> dict[str, dict[str, Any]]:
        """The definition of each state machine, by logical id without its hash."""
        machines = self.of_type("AWS::StepFunctions::StateMachine")
        return {name: dict(json.loads(machine["DefinitionString"])) for name, machine in machines.items()}

    @property
    def definition(self) -> dict[str, Any]:
        """The definition of the machine that takes requests."""
        return self.definitions["WorkflowStateMachine"]

    @property
    def job(self) -> dict[str, Any]:
        """The definition of the machine that takes jobs."""
        return self.definitions["JobWorkflowStateMachine"]

    def statements(self, role: str) -> list[dict[str, Any]]:
        """What the policy of a role allows."""
        return list(self.resources[f"{role}DefaultPolicy"]["Properties"]["PolicyDocument"]["Statement"])


@dataclass(frozen=True)
class Assembly:
    """What one synth wrote."""

    folder: Path

    @cached_property
    def stacks(self) -> dict[str, Stack]:
        return {name: Stack(json.loads((self.folder / f"{name}.template.json").read_text())) for name in STACKS}

    def contents(self) -> dict[str, bytes]:
        """Every file but the assets' own, by name."""
        return {path.name: path.read_bytes() for path in sorted(self.folder.glob("*.json"))}


@dataclass(frozen=True)
class Synthesis(Assembly):
    """What one synth in this process wrote, with its construct tree and what that acknowledges."""

    app: App
    acknowledgements: tuple[Acknowledgement, ...]


@functools.cache
def validation() -> CloudFormationValidatePlugin:
    """The library's own rules and our CloudFormation Guard rules: one engine a process, it takes seconds to make."""
    rules = ValidationRuleSource(name=GUARD_RULES.name, content=GUARD_RULES.read_text())
    return CloudFormationValidatePlugin(guard_rules=[rules])


def synthesize(variant: str, folder: Path) -> Synthesis:
    """The app in a variant, with the feature flags that users get from cdk.json.

    What validation finds stands in `validation-report.json`; only the gate's tests judge it.
    """
    context = json.loads((ROOT / "cdk.json").read_text())["context"]
    take_acknowledgements()
    built = app.build(
        {**context, "@aws-cdk/core:failSynthOnValidationErrors": False},
        outdir=str(folder),
        settings={**VARIANTS, **LOCALS}[variant],
    )
    Validations.of(built).add_plugins(validation())
    built.synth()
    return Synthesis(folder, built, take_acknowledgements())


def plain(value: Any) -> Any:
    """A template's value with `{"Ref": "Data1A2B3C4D"}` as `<Data>`, attributes as `<Data.Arn>`, and texts joined."""
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    match value:
        case {"Ref": "AWS::Partition"}:
            return "aws"
        case {"Ref": "AWS::URLSuffix"}:
            return "amazonaws.com"
        case {"Ref": str(name)}:
            return f"<{unhashed(name)}>"
        case {"Fn::GetAtt": [str(name), str(attribute)]}:
            return f"<{unhashed(name)}.{attribute}>"
        case {"Fn::Join": [str(separator), list(parts)]}:
            return separator.join(plain(part) for part in parts)
        case {"Fn::Select": [index, {"Fn::Split": [str(separator), text]}]}:
            return f"{plain(text)}[{separator}{index}]"
        case {"Fn::Sub": str(text)}:
            return text
    return {key: plain(inner) for key, inner in value.items()}


def unhashed(logical_id: str) -> str:
    """`DataBucketE6B0FAA8` as `DataBucket`: the hash is the CDK's business."""
    return re.sub(r"[0-9A-F]{8}$", "", logical_id)
