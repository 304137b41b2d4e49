"""Counts the rows of the fault suite that passed."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from tests.faults.fault import Fault


@dataclass
class Tally:
    """The tests of each row by name: those selected, and those that passed. A skipped one has not passed."""

    expected: dict[str, set[str]] = field(default_factory=dict)
    passed: set[str] = field(default_factory=set)

    @staticmethod
    def fault_of(item: pytest.Item) -> str | None:
        """The name of the row that the test is of."""
        call = getattr(item, "callspec", None)
        fault = call.params.get("fault") if call else None
        return fault.name if isinstance(fault, Fault) else None

    def take(self, report: pytest.TestReport) -> None:
        """Takes down what a test did. A test that was expected to fail reports how it did so."""
        if report.when == "call" and report.passed and not hasattr(report, "wasxfail"):
            self.passed.add(report.nodeid)
        elif report.failed:
            self.passed.discard(report.nodeid)

    @property
    def rows(self) -> list[str]:
        """The rows with a test in this session."""
        return [name for name, tests in self.expected.items() if tests]

    @property
    def complete(self) -> bool:
        """Whether every row passed."""
        return all(self.expected[name] <= self.passed for name in self.rows)

    def line(self) -> str:
        """`92 rows passed of 92`."""
        done = [name for name in self.rows if self.expected[name] <= self.passed]
        return f"{len(done)} rows passed of {len(self.rows)}, in {sum(map(len, self.expected.values()))} runs"
