"""The two stacks in the stage that runs on a laptop."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.stacks.chains import Run, runner
from tests.synthesis import Assembly, Stack


@pytest.fixture(scope="session")
def ml_workflow(synthesized: Callable[[str], Assembly]) -> Stack:
    return synthesized("local").stacks["MlWorkflowStack"]


@pytest.fixture(scope="session")
def inference(synthesized: Callable[[str], Assembly]) -> Stack:
    return synthesized("local").stacks["InferenceStack"]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a machine on an input, with functions as they are but for S3 and the model."""
    return runner(monkeypatch)
