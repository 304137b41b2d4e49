"""Fixtures: an embedded SageMaker for one test, and one that a module's tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.local.sagemaker import around


@pytest.fixture
def cloud() -> Iterator[around.Cloud]:
    with around.cloud() as made:
        yield made


@pytest.fixture(scope="module")
def shared() -> Iterator[around.Cloud]:
    with around.cloud() as made:
        yield made
