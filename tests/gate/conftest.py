"""The gate, once a session: it judges what the other tests synthesize too."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping

import pytest

from tests.gate.document import figures
from tests.gate.gate import Gate, Verdict
from tests.synthesis import VARIANTS, Synthesis


@pytest.fixture(scope="session")
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.close()


@pytest.fixture(scope="session")
def verdicts(gate: Gate, synthesized: Callable[[str], Synthesis]) -> Mapping[str, Verdict]:
    """By variant. Prints how long each tool took, and what it found: `pytest -s` shows it."""
    start = time.perf_counter()
    verdicts = gate.judge((variant, synthesized(variant)) for variant in VARIANTS)
    print(f"\nthe template gate: {time.perf_counter() - start:.1f} s\n{figures(verdicts)}")
    return verdicts
