"""The template gate: every tool on every variant, and what is left when acknowledgements are taken off."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cached_property

from aws_cdk import Stack

from stacks.acknowledgements import Acknowledgement
from tests.gate.findings import Finding, Templates
from tests.gate.nag import PACKS, nag
from tests.gate.validation import validate
from tests.gate.workers import Answer, DefinitionValidator, Scanners
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
        asked = [(name, it, Templates(it.folder), self._ask(Templates(it.folder))) for name, it in variants]
        return {name: self._verdict(it, templates, answers) for name, it, templates, answers in asked}

    def _ask(self, templates: Templates) -> list[Future[Answer]]:
        paths = list(templates.paths.values())
        return [self._scanners.judge(paths), self._validator.judge(paths)]

    def _verdict(self, synthesis: Synthesis, templates: Templates, answers: list[Future[Answer]]) -> Verdict:
        findings: list[Finding] = []
        seconds: dict[str, float] = {}
        for tool in PACKS:
            start = time.perf_counter()
            findings += nag(tool, synthesis.app)
            seconds[tool] = time.perf_counter() - start
        start = time.perf_counter()
        findings += validate(synthesis.app, templates)
        seconds["CloudFormation-Validate"] = time.perf_counter() - start
        reasons = dict(entry for it in synthesis.acknowledgements for entry in resolved(it))
        for answer in answers:
            for tool, found in answer.result().items():
                seconds[tool] = found["seconds"]
                findings += (
                    templates.finding(tool, it["rule"], it["template"], it["resource"], it["message"])
                    for it in found["findings"]
                )
        return Verdict(tuple(sorted(set(findings))), reasons, seconds)


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
