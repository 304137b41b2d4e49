"""The line at the end of a run: only what was run and passed has passed."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from tests.faults.tally import Tally

Outcome = Literal["passed", "failed", "skipped"]


def report(test: str, outcome: Outcome, when: Any = "call", **more: Any) -> pytest.TestReport:
    return pytest.TestReport(test, ("", 0, ""), {}, outcome, None, when, **more)


@pytest.mark.parametrize(
    ("reports", "passed"),
    [
        ([report("a", "passed"), report("b", "passed")], True),
        ([report("a", "passed")], False),
        ([report("a", "passed"), report("b", "failed")], False),
        ([report("a", "passed"), report("b", "skipped")], False),
        ([report("a", "passed"), report("b", "skipped", "setup")], False),
        ([report("a", "passed"), report("b", "passed"), report("b", "failed", "teardown")], False),
        ([report("a", "passed"), report("b", "passed", wasxfail="known")], False),
    ],
    ids=["all", "one not run", "failed", "skipped", "skipped at once", "failed at its end", "expected to fail"],
)
def test_a_row_has_passed_when_each_of_its_runs_has(reports: list[pytest.TestReport], passed: bool) -> None:
    tally = Tally({"row": {"a", "b"}, "deselected": set()})
    for one in reports:
        tally.take(one)
    assert tally.complete is passed
    assert tally.line() == f"{int(passed)} rows passed of 1, in 2 runs"
