"""What the template gate's tools find and we leave as it is: noted, with the reason, beside the resource."""

from __future__ import annotations

from dataclasses import dataclass

from constructs import Construct


@dataclass(frozen=True)
class Decision:
    """Findings that stay, and why.

    A finding is the tool or pack, `::`, and the very id that it reports: `AwsSolutions::AwsSolutions-L1`. It may
    hold tokens, such as an ARN: the gate resolves them as the template does.
    """

    reason: str
    findings: tuple[str, ...]


@dataclass(frozen=True)
class Acknowledgement:
    """A decision on a construct, or on those below it."""

    construct: Construct
    decision: Decision


_noted: list[Acknowledgement] = []


def acknowledge(construct: Construct, *decisions: Decision) -> None:
    """Notes that these findings stay. Plain data: unlike the CDK's own metadata it costs a synth nothing."""
    _noted.extend(Acknowledgement(construct, decision) for decision in decisions)


def take_acknowledgements() -> tuple[Acknowledgement, ...]:
    """What was noted since they were last taken: by the app that was just built, then."""
    taken = tuple(_noted)
    _noted.clear()
    return taken
