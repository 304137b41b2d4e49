"""One client for all rows, and the line that counts the rows that passed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.client import Client, client_of
from tests.e2e.deployment import Deployment
from tests.faults.tally import Tally

TALLY = Tally()


@pytest.fixture(scope="module")
def client(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with client_of(deployment, tmp_path_factory.mktemp("faults")) as client:
        yield client


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if (fault := TALLY.fault_of(item)) is not None:
            TALLY.expected.setdefault(fault, set()).add(item.nodeid)


def pytest_deselected(items: list[pytest.Item]) -> None:
    for item in items:
        if (fault := TALLY.fault_of(item)) is not None and fault in TALLY.expected:
            TALLY.expected[fault].discard(item.nodeid)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    TALLY.take(report)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A row that was skipped, or allowed to fail, fails the session."""
    if not TALLY.complete and session.exitstatus == pytest.ExitCode.OK and not session.config.option.collectonly:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if TALLY.rows and not terminalreporter.config.option.collectonly:
        terminalreporter.write_line(f"fault suite: {TALLY.line()}")
