"""The order that lets all tests share one deployment, and one that some share beside it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.deployment import Deployment, deployed

TOPIC = "arn:aws:sns:us-east-1:000000000000:alarms"


@pytest.fixture(scope="session")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """An embedded AWS whose stacks are watched, with their alarms' topic, and whose jobs start by themselves."""
    settings = {"observability": "true", "alarm_topic_arn": TOPIC, "on_arrival": "true", "schedule": "rate(1 hour)"}
    with deployed(tmp_path_factory.mktemp("watched"), stage="local", **settings) as found:
        assert found.client("sns").create_topic(Name="alarms")["TopicArn"] == TOPIC
        yield found


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What all runs have used is looked at after them; what changes or destroys what they share comes last."""
    last = ("test_triggers.py", "test_unused_grants.py", "test_mode_updates.py", "test_life_cycle.py")
    items.sort(key=lambda item: last.index(item.path.name) + 1 if item.path.name in last else 0)
