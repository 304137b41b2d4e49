"""What a change of the mode changes: the data stays where it is, and no two resources meet under one name."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from itertools import pairwise, permutations
from pathlib import Path
from typing import Any

import pytest

from local.cdk import CLI, node
from local.embedded import clean_environment
from tests.synthesis import MODES, STACKS, Assembly

STACK = "InferenceStack"
PAIRS = [*permutations(MODES.values(), 2), ("prod", "prod-async"), ("prod-async", "prod")]
"""Of variants: any two modes on a laptop, and in production two whose stacks differ in most."""

AT_REST = {"AWS::S3::Bucket", "AWS::S3::BucketPolicy", "AWS::KMS::Key"}
"""What results and data sets lie in, and what they can be read with."""

IN_PLACE = {"AWS::S3::Bucket": {"LifecycleConfiguration"}}
"""What may change of it, by CloudFormation without interruption: of a bucket, only another name is another bucket.
https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-s3-bucket.html
"""

NAMES = re.compile(
    r"(Alarm|Api|Bucket|Dashboard|Endpoint|EndpointConfig|Function|Group|LogGroup|Model|Queue|Role|Rule|"
    r"StateMachine|Topic)?Name"
)
"""How a resource type's property for a name of one's own is called."""

REFERENCE = re.compile(r"<\w+(\.\w+)?>")
"""To another resource of the stack, as `tests.synthesis.plain` writes it."""

GONE = re.compile(r"^\[[~-]\] (?P<type>\S+) .*\b(may be replaced|replace|destroy|orphan)\b", re.M)
"""How `cdk diff` shows a resource that a deployment makes again, or takes out of the stack."""

ENDPOINT = "AWS::SageMaker::Endpoint"
Resource = dict[str, Any]


@pytest.fixture(params=PAIRS, ids="-to-".join)
def pair(request: pytest.FixtureRequest, synthesized: Callable[[str], Assembly]) -> list[Assembly]:
    """Two assemblies: what is deployed, and what is to be."""
    return [synthesized(variant) for variant in request.param]


def resources(assembly: Assembly, stack: str) -> dict[str, Resource]:
    return dict(assembly.stacks[stack].template["Resources"])


@pytest.mark.parametrize("stack", STACKS)
def test_what_holds_the_data_is_neither_replaced_nor_lost(pair: list[Assembly], stack: str) -> None:
    old, new = (
        {name: it for name, it in resources(assembly, stack).items() if it["Type"] in AT_REST} for assembly in pair
    )
    assert old.keys() == new.keys()
    for name, resource in old.items():
        before, after = resource.get("Properties", {}), new[name].get("Properties", {})
        changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
        assert changed <= IN_PLACE.get(resource["Type"], set()), name
        assert {**resource, "Properties": {}} == {**new[name], "Properties": {}}


def test_no_name_is_given_to_two_resources_that_may_meet(synthesized: Callable[[str], Assembly]) -> None:
    given: dict[tuple[str, str, str], set[str]] = {}
    for variant in {variant for pair in PAIRS for variant in pair}:
        for stack, it in synthesized(variant).stacks.items():
            for logical, resource in it.resources.items():
                for name, value in resource.get("Properties", {}).items():
                    if NAMES.fullmatch(name) and not REFERENCE.fullmatch(value):
                        given.setdefault((stack, resource["Type"], value), set()).add(logical)
    # Those that an endpoint's deployment names; they are the same resources in each mode.
    assert given == {
        ("InferenceStack", "AWS::CloudWatch::Alarm", f"<AWS::StackName>-{title}"): {f"Observability{title}"}
        for title in ("ModelErrors", "ModelLatency")
    }


def test_cdk_diff_shows_the_same(synthesized: Callable[[str], Assembly], tmp_path: Path) -> None:
    """From each mode to the next, and back to the first: the CLI takes a second and a half for each."""
    ring = [*MODES.values(), next(iter(MODES.values()))]
    running = [
        subprocess.Popen(
            [
                *(str(node()), str(CLI), "diff", STACK, "--no-notices", "--no-color"),
                *("--app", str(synthesized(new).folder)),
                *("--template", str(synthesized(old).folder / f"{STACK}.template.json")),
            ],
            cwd=tmp_path,
            env=clean_environment(tmp_path, CDK_DISABLE_CLI_TELEMETRY="1"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for old, new in pairwise(ring)
    ]
    gone = set()
    for new, process in zip(ring[1:], running, strict=True):
        shown, _ = process.communicate(timeout=60)
        assert process.returncode == 0, shown
        made = re.findall(rf"^\[\+\] {ENDPOINT} ", shown, re.M)
        assert len(made) == len([it for it in resources(synthesized(new), STACK).values() if it["Type"] == ENDPOINT])
        gone |= {it["type"] for it in GONE.finditer(shown)}
    assert gone >= {ENDPOINT, "AWS::SageMaker::Model"}
    assert not gone & AT_REST
