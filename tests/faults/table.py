"""The table: every row of the fault suite, in the document's order."""

from __future__ import annotations

from tests.faults import data_sets, functions, model, orchestration, records, requests, restart, store
from tests.faults.fault import Case, Fault, Over

FAULTS: tuple[Fault, ...] = (
    *records.FAULTS,
    *data_sets.FAULTS,
    *requests.FAULTS,
    *functions.FAULTS,
    *model.FAULTS,
    *store.FAULTS,
    *orchestration.FAULTS,
    *restart.FAULTS,
)


def runs() -> list[tuple[Fault, Case, Over]]:
    """Every row in every kind of run that it is over."""
    return [(fault, case, over) for fault in FAULTS for case in fault.cases for over in case.over]
