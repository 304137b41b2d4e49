"""The gate, once a session: it judges what the other tests synthesize too."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping

import pytest

from tests.gate.document import figures
from tests.gate.gate import Gate, Verdict
from tests.synthesis import VARIANTS, Synthesis

FIGURES = pytest.StashKey[str]()


@pytest.fixture(scope="session")
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.close()


@pytest.fixture(scope="session")
def verdicts(
    request: pytest.FixtureRequest, gate: Gate, synthesized: Callable[[str], Synthesis]
) -> Mapping[str, Verdict]:
    """By variant."""
    start = time.perf_counter()
    verdicts = gate.judge((variant, synthesized(variant)) for variant in VARIANTS)
    request.config.stash[FIGURES] = f"{figures(verdicts)}\nall together {time.perf_counter() - start:.1f} s"
    return verdicts


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """How long each tool took, and what it found."""
    if FIGURES in config.stash:
        terminalreporter.section("template gate: seconds, findings (acknowledged)")
        terminalreporter.write_line(config.stash[FIGURES])
