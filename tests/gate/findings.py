"""What the gate's tools find, all in one form."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.synthesis import STACKS

TOOLS = (
    "AwsSolutions",
    "NIST.800.53.R5",
    "HIPAA.Security",
    "PCI.DSS.321",
    "Serverless",
    "CloudFormation-Validate",
    "Guard",
    "cfn-lint",
    "checkov",
    "asl-validator",
)
"""Each tool, and each pack of cdk-nag, by the name that stands before `::` in what it finds."""


@dataclass(frozen=True, order=True)
class Finding:
    """`id` is the tool, `::`, and what the tool calls it; `resource` the construct's path, its stack first."""

    id: str
    resource: str
    message: str = field(default="", compare=False)

    @property
    def tool(self) -> str:
        return self.id.partition("::")[0]

    def __str__(self) -> str:
        return f"{self.id} on {self.resource}: {self.message}"


@dataclass(frozen=True)
class Templates:
    """The templates in a folder that a synth wrote, of some stacks."""

    folder: Path
    stacks: Sequence[str] = STACKS

    @property
    def paths(self) -> Mapping[str, Path]:
        """Each stack's, by its name."""
        return {name: self.folder / f"{name}.template.json" for name in self.stacks}

    @cached_property
    def constructs(self) -> Mapping[tuple[str, str], str]:
        """Each construct's path, by its stack and its logical id."""
        return {(stack, logical_id): path for stack in self.stacks for path, logical_id in self._logical_ids(stack)}

    def finding(self, tool: str, *, rule: str, template: str, resource: str, message: str) -> Finding:
        """What a tool says of a resource, a logical id, in a template's file; of all of it where it names none."""
        stack = Path(template).name.removesuffix(".template.json")
        return Finding(f"{tool}::{rule}", self.constructs.get((stack, resource), stack), message)

    def _logical_ids(self, stack: str) -> Iterator[tuple[str, str]]:
        metadata: dict[str, list[dict[str, Any]]] = json.loads((self.folder / f"{stack}.metadata.json").read_text())
        for path, entries in metadata.items():
            yield from ((path.lstrip("/"), it["data"]) for it in entries if it["type"] == "aws:cdk:logicalId")
