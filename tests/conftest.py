"""What many tests share, each once a session: the synthesized app, and its deployment in an embedded AWS."""

from __future__ import annotations

import functools
import os
import sysconfig
from collections.abc import Callable, Iterator

import pytest
from hypothesis import settings

from stacks.settings.modes import DEFAULTS, REALTIME
from tests.e2e.deployment import Deployment, account, deployed
from tests.e2e.updates import Moving
from tests.synthesis import Synthesis, synthesize

# jsii runs the first Node.js it finds: the pinned one beside this Python, whoever started the tests.
os.environ["PATH"] = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)])

# The same examples each time, whatever the machine's speed: a test fails for whoever runs it, or for nobody.
settings.register_profile("sluice", derandomize=True, deadline=None)
settings.load_profile("sluice")


@pytest.fixture(scope="session")
def synthesized(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Synthesis]:
    """The app in a stage, synthesized when a test first asks for it."""
    return functools.cache(lambda stage: synthesize(stage, tmp_path_factory.mktemp(stage) / "cdk.out"))


@pytest.fixture(scope="session")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Both stacks, deployed once."""
    with deployed(tmp_path_factory.mktemp("e2e"), stage="local") as deployment:
        yield deployment


OTHERS = [mode for mode in DEFAULTS if mode != REALTIME]
"""The modes that are not the default."""


@pytest.fixture(scope="session")
def moving(synthesized: Callable[[str], Synthesis], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moving]:
    """A second deployment, for all that the other modes are tested with."""
    folder = tmp_path_factory.mktemp("modes")
    with account(folder) as cdk:
        cdk.bootstrap()
        yield Moving(Deployment(cdk.ready, folder), synthesized)


@pytest.fixture(scope="session", params=OTHERS)
def mode(request: pytest.FixtureRequest) -> str:
    """Each mode but the default: pytest runs together what asks for the same one."""
    return str(request.param)


@pytest.fixture
def other(mode: str, moving: Moving) -> Deployment:
    """The stacks in that mode."""
    return moving.to(mode)
