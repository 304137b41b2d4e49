"""The template gate: every tool on every variant, and what is left when acknowledgements are taken off."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import cached_property

from aws_cdk import App, Stack

from stacks.acknowledgements import Acknowledgement, Decision
from tests.gate.findings import TOOLS, Finding, Templates
from tests.gate.nag import PACKS, nag
from tests.gate.validation import validate
from tests.gate.workers import SCANNERS, Answer, DefinitionValidator, Scanners
from tests.synthesis import Synthesis


@dataclass(frozen=True)
class Verdict:
    """What the tools found in a variant, what it acknowledges (the reason by path and finding), seconds by tool."""

    findings: tuple[Finding, ...]
    reasons: Mapping[tuple[str, str], str]
    seconds: Mapping[str, float]

    @cached_property
    def acknowledged(self) -> Mapping[Finding, tuple[str, str]]:
        """Each finding that stays, with the key of the reason that stands nearest."""
        return {finding: key for finding in self.findings for key in [self._nearest(finding)] if key}

    @property
    def open(self) -> list[Finding]:
        """What somebody has to mend, or to acknowledge."""
        return [finding for finding in self.findings if finding not in self.acknowledged]

    @property
    def idle(self) -> list[tuple[str, str]]:
        """The acknowledgements that hide nothing."""
        return sorted(self.reasons.keys() - set(self.acknowledged.values()))

    def without(self, decision: Decision) -> Verdict:
        """The verdict as it would be without the findings that a decision leaves as they are."""
        kept = [it for it in self.findings if self.reasons.get(self._nearest(it) or ("", "")) != decision.reason]
        return replace(self, findings=tuple(kept))

    def counts(self) -> tuple[Counter[str], Counter[str]]:
        """How many findings each tool has, and how many of them are acknowledged."""
        return Counter(it.tool for it in self.findings), Counter(it.tool for it in self.acknowledged)

    def _nearest(self, finding: Finding) -> tuple[str, str] | None:
        path = finding.resource
        while path and (path, finding.id) not in self.reasons:
            path = path.rpartition("/")[0]
        return (path, finding.id) if path else None


class Gate:
    """Its processes start with it and end with `close`."""

    def __init__(self) -> None:
        self._scanners = Scanners()
        self._validator = DefinitionValidator()

    def close(self) -> None:
        self._scanners.close()
        self._validator.close()

    def judge(self, variants: Iterable[tuple[str, Synthesis]]) -> dict[str, Verdict]:
        """The verdict on each variant; the other processes judge one while the next is synthesized."""
        asked = [(name, it, Templates(it.folder), self._ask(Templates(it.folder), TOOLS)) for name, it in variants]
        return {name: self._verdict(it, templates, answers) for name, it, templates, answers in asked}

    def findings(self, app: App, templates: Templates, tools: Collection[str]) -> set[Finding]:
        """What some of the tools find in an app and in its templates."""
        answers = self._ask(templates, tools)
        return {finding for _, found, _ in self._found(app, templates, tools, answers) for finding in found}

    def _ask(self, templates: Templates, tools: Collection[str]) -> list[Future[Answer]]:
        """Sets the other processes to work, those that have something to do."""
        paths, scanners = list(templates.paths.values()), [tool for tool in SCANNERS if tool in tools]
        asked = [self._scanners.judge(paths, scanners)] if scanners else []
        return [*asked, self._validator.judge(paths)] if "asl-validator" in tools else asked

    def _found(
        self, app: App, templates: Templates, tools: Collection[str], answers: Iterable[Future[Answer]]
    ) -> Iterator[tuple[str, list[Finding], float]]:
        """Each tool with what it finds and the seconds that it took; Guard runs within the library's validation."""
        for tool in [pack for pack in PACKS if pack in tools]:
            start = time.perf_counter()
            yield tool, list(nag(tool, app)), time.perf_counter() - start
        if "Guard" in tools or "CloudFormation-Validate" in tools:
            start = time.perf_counter()
            yield "CloudFormation-Validate", list(validate(app, templates)), time.perf_counter() - start
        for answer in answers:
            for tool, its in answer.result().items():
                yield tool, [templates.finding(tool, **found) for found in its["findings"]], its["seconds"]

    def _verdict(self, synthesis: Synthesis, templates: Templates, answers: Iterable[Future[Answer]]) -> Verdict:
        found = list(self._found(synthesis.app, templates, TOOLS, answers))
        findings = {finding for _, some, _ in found for finding in some}
        reasons = dict(entry for it in synthesis.acknowledgements for entry in resolved(it))
        return Verdict(tuple(sorted(findings)), reasons, {tool: seconds for tool, _, seconds in found})


def resolved(acknowledgement: Acknowledgement) -> Iterator[tuple[tuple[str, str], str]]:
    """An acknowledgement's path and each finding, tokens written as cdk-nag writes them, with the reason."""
    construct, decision = acknowledgement.construct, acknowledgement.decision
    path = construct.node.path
    for finding in decision.findings:
        text = flat(Stack.of(construct).resolve(finding)) if "${Token" in finding else finding
        yield (path, text), decision.reason


def flat(value: object) -> str:
    """An intrinsic in cdk-nag's short form: `<Bucket.Arn>/*`."""
    match value:
        case str():
            return value.replace("${", "<").replace("}", ">")
        case {"Fn::Join": [str(separator), list(parts)]}:
            return separator.join(flat(part) for part in parts)
        case {"Fn::Sub": inner} | {"Fn::ImportValue": inner}:
            return flat(inner)
        case {"Fn::GetAtt": [resource, attribute]}:
            return f"<{flat(resource)}.{flat(attribute)}>"
        case {"Ref": name}:
            return f"<{flat(name)}>"
    return json.dumps(value, separators=(",", ":"))
