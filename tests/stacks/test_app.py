"""The app as the CDK CLI starts it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.synthesis import ROOT


@pytest.mark.parametrize("stage", ["production", ""])
def test_a_wrong_stage_ends_in_one_line_that_names_it_and_the_allowed(tmp_path: Path, stage: str) -> None:
    environment = {"CDK_CONTEXT_JSON": json.dumps({"stage": stage}), "CDK_OUTDIR": str(tmp_path)}
    ended = subprocess.run(
        [sys.executable, "app.py"],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stderr == f"stage: expected one of local, dev, prod, received {stage}\n"
    assert ended.stdout == ""


def test_the_flags_that_templates_depend_on_are_set() -> None:
    context = json.loads((ROOT / "cdk.json").read_text())["context"]
    assert context["@aws-cdk/core:defaultCrossStackReferences"] == "strong"
    assert context["@aws-cdk/aws-stepfunctions:useDistributedMapResultWriterV2"] is True
