"""No tool finds anything in any variant, but for what is acknowledged; and no acknowledgement is there for nothing."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.gate.document import documents
from tests.gate.gate import Verdict
from tests.synthesis import VARIANTS


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_finding_is_acknowledged(verdicts: Mapping[str, Verdict], variant: str) -> None:
    assert [str(finding) for finding in verdicts[variant].open] == []


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_acknowledgement_hides_a_finding(verdicts: Mapping[str, Verdict], variant: str) -> None:
    assert verdicts[variant].idle == []


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_reason_is_worth_reading(verdicts: Mapping[str, Verdict], variant: str) -> None:
    for reason in verdicts[variant].reasons.values():
        assert len(reason.split()) >= 8, reason


def test_in_production_the_general_pack_finds_wildcards_in_resources_only(verdicts: Mapping[str, Verdict]) -> None:
    found = {it.id for it in verdicts["prod"].findings if it.tool == "AwsSolutions"}
    assert found
    assert [it for it in found if not it.startswith("AwsSolutions::AwsSolutions-IAM5[Resource::")] == []


def test_the_documents_say_what_the_gate_says(verdicts: Mapping[str, Verdict]) -> None:
    for path, text in documents(verdicts).items():
        assert path.read_text() == text, (
            f"{path.name} is not up to date: look at `python -m tests.gate`, then commit it"
        )
