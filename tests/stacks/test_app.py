"""The app as the CDK CLI starts it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.synthesis import ROOT


@pytest.mark.parametrize(
    ("context", "message"),
    [
        ({"stage": "production"}, "stage: expected one of local, dev, prod, received production"),
        ({"stage": ""}, "stage: expected one of local, dev, prod, received "),
        ({"customer_key": "yes"}, "customer_key: expected true or false, received yes"),
        ({"vpc": "10.0.0.0/16"}, "vpc: expected true or false, received 10.0.0.0/16"),
        ({"observability": "on"}, "observability: expected true or false, received on"),
        (
            {"alarm_topic_arn": "alarms"},
            "alarm_topic_arn: expected the ARN of an SNS topic such as arn:aws:sns:us-east-1:123456789012:alarms, "
            "received 'alarms'",
        ),
        ({"customer_key": ""}, "customer_key: expected true or false, received "),
        ({"serverless_memory": "lots"}, "serverless_memory: expected a whole number, received lots"),
        ({"mode": "batch"}, "mode: expected one of realtime, serverless, async, transform, received batch"),
        (
            {"serverles_memory": "2048"},
            "serverles_memory: expected a setting's name such as serverless_memory (all: stacks/settings/)",
        ),
    ],
)
def test_a_wrong_context_ends_in_one_line_that_names_it_and_the_allowed(
    tmp_path: Path, context: dict[str, str], message: str
) -> None:
    environment = {"CDK_CONTEXT_JSON": json.dumps(context), "CDK_OUTDIR": str(tmp_path)}
    ended = subprocess.run(
        [sys.executable, "app.py"],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stderr == f"{message}\n"
    assert ended.stdout == ""


def test_the_flags_that_templates_depend_on_are_set() -> None:
    context = json.loads((ROOT / "cdk.json").read_text())["context"]
    assert context["@aws-cdk/core:defaultCrossStackReferences"] == "strong"
    assert context["@aws-cdk/aws-stepfunctions:useDistributedMapResultWriterV2"] is True
