"""cfn-lint and checkov on the templates that standard input names, one JSON answer a line.

It runs in an environment of its own, `.venv/scanners`: checkov wants another boto3 than the project's.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what the tools print by themselves is no answer
os.environ["LOG_LEVEL"] = "ERROR"

# mypy runs in the project's environment, which has neither.
from cfnlint.config import ConfigMixIn  # type: ignore[import-not-found]  # noqa: E402
from cfnlint.decode import decode  # type: ignore[import-not-found]  # noqa: E402
from cfnlint.runner import Runner as Linter  # type: ignore[import-not-found]  # noqa: E402
from checkov.cloudformation.runner import Runner as Checker  # type: ignore[import-not-found]  # noqa: E402
from checkov.runner_filter import RunnerFilter  # type: ignore[import-not-found]  # noqa: E402

logging.disable(logging.WARNING)
linter = Linter(ConfigMixIn([], regions=["us-east-1"]))
only_templates = RunnerFilter(framework=["cloudformation"], download_external_modules=False)

Found = dict[str, str]
known: dict[tuple[str, bytes], list[Found]] = {}


def lint(template: str) -> Iterator[Found]:
    document, errors = decode(template)
    for match in errors or linter.validate_template(document):
        path = [str(part) for part in match.path or []]
        resource = path[1] if path[:1] == ["Resources"] and len(path) > 1 else ""
        yield {"rule": match.rule.id, "resource": resource, "message": match.message}


def check(template: str) -> Iterator[Found]:
    report = Checker().run(root_folder=None, files=[template], runner_filter=only_templates)
    if report.parsing_errors:
        raise ValueError(f"checkov cannot read {template}")
    for record in report.failed_checks:
        yield {"rule": record.check_id, "resource": record.resource.rpartition(".")[2], "message": record.check_name}


TOOLS = {"cfn-lint": lint, "checkov": check}


def found(tool: str, template: str) -> Iterator[Found]:
    """What a tool finds in a template; many a variant has one that is the same in another."""
    content = (tool, Path(template).read_bytes())
    if content not in known:
        known[content] = list(TOOLS[tool](template))
    yield from ({**it, "template": template} for it in known[content])


for line in sys.stdin:
    request = json.loads(line)
    answer: dict[str, Any] = {}
    for tool in request["tools"]:
        start = time.perf_counter()
        findings = [it for template in request["templates"] for it in found(tool, template)]
        answer[tool] = {"findings": findings, "seconds": time.perf_counter() - start}
    print(json.dumps(answer), file=answers, flush=True)
