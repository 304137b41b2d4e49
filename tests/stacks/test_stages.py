"""What sets the stages apart, on top of what every stack has."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from stacks.settings import PROD
from tests.synthesis import STACKS, STAGES, Assembly


def deployed_with(assembly: Assembly, stack: str) -> dict[str, Any]:
    """What the CDK CLI tells CloudFormation beside the template."""
    manifest = json.loads((assembly.folder / "manifest.json").read_text())
    return dict(manifest["artifacts"][stack]["properties"])


@pytest.mark.parametrize("stage", STAGES)
def test_every_resource_is_tagged_by_its_stack(synthesized: Callable[[str], Assembly], stage: str) -> None:
    for stack in STACKS:
        assert deployed_with(synthesized(stage), stack)["tags"] == {"project": "sluice", "stage": stage}


@pytest.mark.parametrize("stage", STAGES)
def test_only_production_refuses_to_be_deleted(synthesized: Callable[[str], Assembly], stage: str) -> None:
    for stack in STACKS:
        protected = deployed_with(synthesized(stage), stack).get("terminationProtection", False)
        assert protected is (stage == "prod")


def test_production_has_an_instance_to_lose(synthesized: Callable[[str], Assembly]) -> None:
    assert PROD.model_instances >= 2
    (config,) = synthesized("prod").stacks["InferenceStack"].of_type("AWS::SageMaker::EndpointConfig").values()
    assert config["ProductionVariants"][0]["InitialInstanceCount"] == PROD.model_instances


@pytest.mark.parametrize("stage", STAGES)
def test_the_models_container_reaches_nobody(synthesized: Callable[[str], Assembly], stage: str) -> None:
    (model,) = synthesized(stage).stacks["InferenceStack"].of_type("AWS::SageMaker::Model").values()
    assert model["EnableNetworkIsolation"] is True
