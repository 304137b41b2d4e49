"""The gate's two documents: what is acknowledged, and the figures by tool and variant."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from pathlib import Path

from stacks.constructs.guard.decisions import THIS_MACHINES_PYTHON
from tests.gate.findings import TOOLS
from tests.gate.gate import Verdict
from tests.synthesis import ROOT

ACKNOWLEDGED = ROOT / "docs" / "acknowledgements.md"
SECURITY = ROOT / "docs" / "security.md"
START, END = "<!-- template gate: written by `python -m tests.gate` -->\n", "<!-- template gate: end -->\n"

HEAD = """# What the template gate acknowledges

Every finding that stays, by its reason. Below each reason are the tools' exact ids, then each resource that has all of
them, with the variants where it is not every one. Written by `python -m tests.gate` from what stands beside the
resources in `stacks/`; a test fails when the two differ.

The stage local has one more on a machine whose Python is not Lambda's newest, {ids}: {reason}
"""


def acknowledged(verdicts: Mapping[str, Verdict]) -> str:
    """`docs/acknowledgements.md`."""
    found: dict[str, dict[str, dict[str, list[str]]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for variant, verdict in verdicts.items():
        for finding, key in verdict.acknowledged.items():
            found[verdict.reasons[key]][finding.id][finding.resource.removesuffix("/Resource")].append(variant)
    ids = ", ".join(f"`{it}`" for it in THIS_MACHINES_PYTHON.findings)
    text = [HEAD.format(reason=THIS_MACHINES_PYTHON.reason, ids=ids)]
    for reason, by_id in sorted(found.items()):
        text.append(f"\n---\n\n{reason}\n")
        alike: dict[str, list[str]] = defaultdict(list)
        for finding_id, resources in sorted(by_id.items()):
            lines = [f"- {path}{among(variants, verdicts)}\n" for path, variants in sorted(resources.items())]
            alike["".join(lines)].append(f"`{finding_id}`")
        text += (f"\n{', '.join(names)}:\n\n{lines}" for lines, names in alike.items())
    return "".join(text)


def among(variants: Collection[str], every: Collection[str]) -> str:
    return "" if len(variants) == len(every) else f" ({', '.join(variants)})"


def figures(verdicts: Mapping[str, Verdict]) -> str:
    """A line a tool: seconds over all variants, then findings and how many are acknowledged, by variant."""
    counts = {variant: verdict.counts() for variant, verdict in verdicts.items()}
    lines = []
    for tool in TOOLS:
        seconds = sum(verdict.seconds.get(tool, 0) for verdict in verdicts.values())
        found = ", ".join(f"{it} {found[tool]} ({known[tool]})" for it, (found, known) in counts.items())
        lines.append(f"{tool:24} {seconds:5.1f} s  {found}")
    return "\n".join(lines)


def table(verdicts: Mapping[str, Verdict]) -> str:
    """The figures of `docs/security.md`."""
    counts = {variant: verdict.counts() for variant, verdict in verdicts.items()}
    rows = [f"| tool | {' | '.join(counts)} |", f"|---|{'---|' * len(counts)}"]
    for tool in TOOLS:
        cells = [f"{found[tool]} / {known[tool]} / {found[tool] - known[tool]}" for found, known in counts.values()]
        rows.append(f"| {tool} | {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def security(verdicts: Mapping[str, Verdict], text: str) -> str:
    """`docs/security.md` with the gate's part written anew."""
    before, found, rest = text.partition(START)
    _, found_end, after = rest.partition(END)
    if not (found and found_end):
        raise ValueError(f"{SECURITY.name}: expected the lines {START.strip()} and {END.strip()}")
    return f"{before}{START}\n{table(verdicts)}\n{END}{after}"


def documents(verdicts: Mapping[str, Verdict]) -> dict[Path, str]:
    """What each document has to hold, on any machine: with whatever Python the stage local is synthesized."""
    everywhere = {variant: verdict.without(THIS_MACHINES_PYTHON) for variant, verdict in verdicts.items()}
    return {ACKNOWLEDGED: acknowledged(everywhere), SECURITY: security(everywhere, SECURITY.read_text())}
