"""SECURITY.md promises nothing that no test proves."""

from __future__ import annotations

import re

from tests.synthesis import ROOT

PAGE = (ROOT / "SECURITY.md").read_text("utf-8")
_NAMED = re.compile(r"\[`(test_\w+)`\]\(([^)]+)\)")
_LINK = re.compile(r"\]\(([^)#]+)\)")


def test_each_promise_names_tests_that_exist() -> None:
    promises = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| promise |")]
    assert len(promises) > 10
    for promise in promises:
        named = _NAMED.findall(promise)
        assert named, promise
        for name, file in named:
            assert re.search(rf"^(async )?def {name}\(", (ROOT / file).read_text("utf-8"), re.MULTILINE), name


def test_each_link_leads_somewhere() -> None:
    assert [link for link in _LINK.findall(PAGE) if not (ROOT / link).exists()] == []
