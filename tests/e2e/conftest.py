"""The order that lets all tests share one deployment."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What all runs have used is looked at after them; what changes or destroys what they share comes last."""
    last = ("test_unused_grants.py", "test_mode_updates.py", "test_life_cycle.py")
    items.sort(key=lambda item: last.index(item.path.name) + 1 if item.path.name in last else 0)
