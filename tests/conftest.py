"""What many tests share: the synthesized app, once a session."""

from __future__ import annotations

import functools
import os
import sysconfig
from collections.abc import Callable

import pytest

from tests.synthesis import Synthesis, synthesize

# jsii runs the first Node.js it finds: the pinned one beside this Python, whoever started the tests.
os.environ["PATH"] = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)])


@pytest.fixture(scope="session")
def synthesized(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Synthesis]:
    """The app in a stage, synthesized when a test first asks for it."""
    return functools.cache(lambda stage: synthesize(stage, tmp_path_factory.mktemp(stage) / "cdk.out"))
