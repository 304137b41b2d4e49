"""docs/reliability.md, made from the table of faults and the templates' own bounds."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

from stacks.constructs.states.failures import KILLED
from stacks.settings import PROD
from stacks.settings.modes import DEFAULTS
from tests.faults.fault import Fault, Over
from tests.faults.table import FAULTS, runs
from tests.retries import bound_for, bounds_of
from tests.synthesis import ROOT, Stack

PAGE = ROOT / "docs" / "reliability.md"
TEMPLATE = Path(__file__).with_name("promise.md")

WHERE = {frozenset({"InferenceStack"}): "endpoint", frozenset({"MlWorkflowStack"}): "function", frozenset(): "–"}


def page(inference: Stack) -> str:
    """The whole document. `inference` is the synthesized stack whose retries it tells of."""
    states = inference.definition["States"]
    transient = bound_for(bounds_of(states["PreprocessData"]), "Lambda.TooManyRequestsException")
    killed = {bound_for(bounds_of(states["PreprocessData"]), name).tries for name in KILLED}
    unknown = bound_for(bounds_of(states["InferenceModel"]), "SageMakerRuntime.Unforeseen").tries
    assert killed == {unknown}
    return TEMPLATE.read_text("utf-8").format(
        tries=transient.tries - 1,
        seconds=transient.seconds,
        cap=max(transient.waits),
        killed=unknown - 1,
        split=PROD.split_calls,
        rows=len(FAULTS),
        runs=sum(len(runs(mode)) for mode in DEFAULTS),
        table=table(FAULTS),
    )


def table(faults: Sequence[Fault]) -> str:
    """The rows under a heading a group."""
    text = ""
    for group, rows in itertools.groupby(faults, key=lambda fault: fault.group):
        text += f"\n### {heading(group)}\n\n"
        text += "| fault | request | job | also in mode | what happens | NAME |\n|---|---|---|---|---|---|\n"
        text += "".join(f"| {line(fault)} |\n" for fault in rows)
    return text


def heading(group: str) -> str:
    """The title of a group's rows."""
    return f"In mode {group}" if group in DEFAULTS else group.capitalize()


def line(fault: Fault) -> str:
    """One row's cells."""
    request, job = (where([kind for kind in fault.over if kind.is_job is of_jobs]) for of_jobs in (False, True))
    cells = (fault.what, request, job, ", ".join(fault.also) or "–", fault.happens, f"`{fault.name}`")
    return " | ".join(cell.replace("|", "\\|") for cell in cells)


def where(kinds: Sequence[Over]) -> str:
    """Where the model was in these kinds of run."""
    return WHERE.get(frozenset(kind.stack for kind in kinds), "both")
