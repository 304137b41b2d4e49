"""Every fault of the table, injected or sent: nothing is lost, nothing is there twice, and every count is true."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.names import generated
from stacks.settings.modes import DEFAULTS, REALTIME
from tests.e2e.client import Client
from tests.e2e.updates import Moving
from tests.faults.check import check
from tests.faults.fault import Case, Fault, Over
from tests.faults.place import Place
from tests.faults.table import FAULTS, runs
from tests.injection import faults

OTHERS = [(mode, *run) for mode in DEFAULTS if mode != REALTIME for run in runs(mode)]


@pytest.mark.parametrize(
    ("fault", "case", "over"),
    runs(REALTIME),
    ids=[f"{fault.name}-{over.name.lower()}" for fault, _, over in runs(REALTIME)],
)
def test_nothing_is_lost(client: Client, fault: Fault, case: Case, over: Over) -> None:
    carry_out(client, fault, case, over)


@pytest.mark.parametrize(
    ("mode", "fault", "case", "over"),
    OTHERS,
    ids=[f"{fault.name}-{over.name.lower()}-{mode}" for mode, fault, _, over in OTHERS],
)
def test_nothing_is_lost_in_another_mode(
    moving: Moving, tmp_path: Path, mode: str, fault: Fault, case: Case, over: Over
) -> None:
    carry_out(Client(moving.to(mode), tmp_path), fault, case, over)


def carry_out(client: Client, fault: Fault, case: Case, over: Over) -> None:
    """One run of a row, and all that is to be said of it."""
    place = Place(client, over, generated(fault.name), case.sent)
    with place.cleanup:
        with faults(client.deployment.ready, *case.rules(place)) as place.seen:
            case.play(place)
        check(place, case.expect)
        case.then(place)


def test_each_row_has_a_name_of_its_own_that_can_be_asked_for() -> None:
    names = [fault.name for fault in FAULTS]
    assert len(set(names)) == len(names)
    assert all(name.replace("-", "").isalnum() and name.islower() for name in names)


def test_no_row_runs_the_same_kind_twice() -> None:
    for fault in FAULTS:
        kinds = [over for case in fault.cases for over in case.over]
        assert kinds
        assert len(set(kinds)) == len(kinds), fault.name
