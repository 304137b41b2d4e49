"""The table: every row of the fault suite, in the document's order."""

from __future__ import annotations

from stacks.settings.modes import DEFAULTS
from tests.faults import (
    asynchronous,
    data_sets,
    functions,
    model,
    orchestration,
    records,
    requests,
    restart,
    store,
    transforming,
)
from tests.faults.fault import ENDPOINT, Case, Fault, Over

FAULTS: tuple[Fault, ...] = (
    *records.FAULTS,
    *data_sets.FAULTS,
    *requests.FAULTS,
    *functions.FAULTS,
    *model.FAULTS,
    *store.FAULTS,
    *orchestration.FAULTS,
    *restart.FAULTS,
    *asynchronous.FAULTS,
    *transforming.FAULTS,
)


def runs(mode: str) -> list[tuple[Fault, Case, Over]]:
    """Every row of a mode in every kind of run that it is over: but in the default one, only those with an endpoint."""
    kinds = tuple(Over) if mode == next(iter(DEFAULTS)) else ENDPOINT
    return [
        (fault, case, over)
        for fault in FAULTS
        if mode in fault.modes
        for case in fault.cases
        for over in case.over
        if over in kinds
    ]
