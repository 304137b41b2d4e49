"""One embedded AWS with both stacks for all end-to-end tests, and the order that lets them share it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local.cdk import Cdk
from local.embedded import embedded
from tests.e2e.deployment import Deployment


@pytest.fixture(scope="session")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Deployed once. A wait of a second between two tries lasts a millisecond."""
    folder = tmp_path_factory.mktemp("e2e")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("SLUICE_WAIT_SCALE", "0.001")
        with embedded(folder / "aws.log", folder, port=0) as ready:
            cdk = Cdk(ready, folder)
            cdk.prepare("local")
            cdk.deploy()
            yield Deployment(ready, folder)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The life cycle comes last: it changes what the others share, and in the end destroys it."""
    items.sort(key=lambda item: item.path.name == "test_life_cycle.py")
