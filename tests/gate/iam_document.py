"""`docs/iam.md`, role by role, and the roles' figures in `docs/security.md`: both from the templates."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.gate.iam_rules import ACKNOWLEDGED, WIDE, judged
from tests.gate.iam_sources import Source, source_of
from tests.roles import Allowed, Role, roles_of
from tests.synthesis import ROOT, STACKS, Assembly

IAM = ROOT / "docs" / "iam.md"
SECURITY = ROOT / "docs" / "security.md"
START, END = "<!-- roles: written by `python -m tests.gate` -->\n", "<!-- roles: end -->\n"

HEAD = """# What each role may do

Every role of every variant, as the templates have it: written by `python -m tests.gate`; a test fails when the two
differ. `<Data.Arn>` is an attribute of the stack's own `Data`. Nothing here is written by hand in a policy: the last
column is the code that derives it.
"""

Row = tuple[str, str, Source]
"""Resource, condition, and the code behind: actions with the same three stand in one line."""


def documents(variants: Mapping[str, Assembly]) -> dict[Path, str]:
    """What each document has to hold, from the assemblies by variant."""
    return {IAM: table(variants), SECURITY: security(variants, SECURITY.read_text())}


def table(variants: Mapping[str, Assembly]) -> str:
    """`docs/iam.md`."""
    text = [HEAD]
    for stack in STACKS:
        text.append(f"\n## {stack}\n")
        roles: dict[str, dict[str, Role]] = defaultdict(dict)
        for variant, assembly in variants.items():
            for role in roles_of(assembly.stacks[stack]):
                roles[role.name][variant] = role
        for name, by_variant in roles.items():
            text += section(name, by_variant, len(variants))
    text.append("\n## Accepted, and why\n\n")
    text += [f"- `{resource}`: {reason}\n" for resource, reason in WIDE.items()]
    text += [f"- {role}, {finding}: {reason}\n" for (role, finding), reason in ACKNOWLEDGED.items()]
    return "".join(text)


def section(name: str, roles: Mapping[str, Role], variants: int) -> Iterator[str]:
    """A role: whom it trusts, and a line for each resource. Variants are named where not all have it."""
    yield f"\n### {name}{only(roles, variants)}\n\n"
    for trust in {trust_of(role): None for role in roles.values()}:
        yield f"For {trust}.\n\n"
    rows: dict[Row, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for variant, role in roles.items():
        for allowed in role.allowed:
            row = (shown(allowed.resource), condition_of(allowed), source_of(role, allowed))
            rows[row][allowed.action].append(variant)
    yield "| action | on | derived by |\n|---|---|---|\n"
    for (resource, condition, source), actions in rows.items():
        listed = ", ".join(f"`{it}`{only(where, variants)}" for it, where in sorted(actions.items()))
        yield f"| {listed} | `{resource}`{condition} | {source} |\n"


def only(where: Mapping[str, Role] | list[str], variants: int) -> str:
    """The variants in brackets, where they are not all."""
    return f" ({', '.join(where)})" if len(where) < variants else ""


def trust_of(role: Role) -> str:
    """The service, and the conditions under which it may assume the role."""
    conditions = role.trust[0]["Condition"].values()
    when = " and ".join(f"`{key}` is `{value}`" for it in conditions for key, value in sorted(it.items()))
    return f"`{', '.join(role.services)}` when {when}"


def condition_of(allowed: Allowed) -> str:
    """A narrowing condition, in words."""
    pairs = [pair for it in allowed.condition.values() for pair in it.items()]
    texts = [(key, value if isinstance(value, str) else json.dumps(value)) for key, value in pairs]
    return "".join(f", where `{key}` is `{text}`" for key, text in texts)


def shown(resource: str) -> str:
    """The resource without the digests of assets: they are other ones with every change of a model."""
    return re.sub(r"[0-9a-f]{64}", "<digest>", resource)


def security(variants: Mapping[str, Assembly], text: str) -> str:
    """`docs/security.md` with the roles' figures written anew."""
    before, found, rest = text.partition(START)
    _, found_end, after = rest.partition(END)
    if not (found and found_end):
        raise ValueError(f"{SECURITY.name}: expected the lines {START.strip()} and {END.strip()}")
    return f"{before}{START}\n{figures(variants)}\n{END}{after}"


def figures(variants: Mapping[str, Assembly]) -> str:
    """A line for each stack, and one more for each variant that differs; the samples' above them."""
    lines = [
        "| | actions | services | actions on every resource | ways to more rights |",
        "|---|---|---|---|---|",
        "| the samples: one shared role | 987 | 33 | 523 | 3 |",
    ]
    for stack in STACKS:
        alike: dict[tuple[int, ...], list[str]] = defaultdict(list)
        for variant, assembly in variants.items():
            alike[counts(roles_of(assembly.stacks[stack]))].append(variant)
        for numbers, names in alike.items():
            lines.append(f"| {stack}: {', '.join(names)} | {' | '.join(map(str, numbers))} |")
    return "\n".join(lines) + "\n"


def counts(roles: list[Role]) -> tuple[int, ...]:
    """Actions over all roles, their services, those on every resource, and ways to more rights on any resource."""
    allowed = [it for role in roles for it in role.allowed]
    actions = {it.action for it in allowed}
    everywhere = {it.action for it in allowed if it.resource == "*"}
    ways = sum(len(judged(role, scoped=True).allows_privilege_escalation) for role in roles)
    return len(actions), len({it.partition(":")[0] for it in actions}), len(everywhere), ways
