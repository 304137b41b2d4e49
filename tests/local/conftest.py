"""One embedded AWS for all tests of `local/`."""

from collections.abc import Iterator

import pytest

from tests.local_aws import LocalAws, running


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    with running(tmp_path_factory.mktemp("embedded-aws")) as started:
        yield started
