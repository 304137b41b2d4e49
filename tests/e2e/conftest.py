"""The order that lets all tests share one deployment."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The life cycle comes last: it changes what the others share, and in the end destroys it."""
    items.sort(key=lambda item: item.path.name == "test_life_cycle.py")
