"""docs/reliability.md says what the suite tests."""

from __future__ import annotations

from collections.abc import Callable

from tests.faults import document
from tests.synthesis import Synthesis


def test_the_document_is_the_tables(synthesized: Callable[[str], Synthesis]) -> None:
    written = document.PAGE.read_text("utf-8")
    # Where this fails: python -m tests.faults
    assert written == document.page(synthesized("local").stacks["InferenceStack"])
