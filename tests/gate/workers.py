"""The tools that run in processes of their own: they start while the first template is synthesized."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.gate.definitions import definitions
from tests.synthesis import ROOT

HERE = Path(__file__).parent
SCANNERS = ("cfn-lint", "checkov")
PYTHON = Path(sys.prefix) / "scanners" / "bin" / "python"
"""The Python that has the scanners: `make setup` makes it from requirements.txt, beside this file."""

Answer = dict[str, dict[str, Any]]
"""By tool, `findings` (each with `rule`, `template`, `resource`, `message`) and `seconds`."""


class Worker:
    """A process that answers each line with a line, in turn."""

    def __init__(self, *command: str | Path) -> None:
        self._process = subprocess.Popen(
            [str(part) for part in command], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._questions = ThreadPoolExecutor(max_workers=1)

    def ask(self, question: Any) -> Future[Answer]:
        """Does not wait: the answer comes when those to earlier questions have come."""
        return self._questions.submit(self._answer, question)

    def _answer(self, question: Any) -> Answer:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args!r} ended without an answer, exit code {self._process.wait()}")
        answer: Answer = json.loads(line)
        return answer

    def close(self) -> None:
        self._questions.shutdown()
        self._process.terminate()
        self._process.communicate()


class Scanners(Worker):
    """cfn-lint and checkov."""

    def __init__(self) -> None:
        if not PYTHON.is_file():
            raise FileNotFoundError(f"{PYTHON} is missing, and with it {' and '.join(SCANNERS)}: run `make setup`")
        super().__init__(PYTHON, HERE / "scan.py")

    def judge(self, templates: Iterable[Path], tools: Sequence[str]) -> Future[Answer]:
        return self.ask({"templates": [str(path) for path in templates], "tools": tools})


class DefinitionValidator(Worker):
    """asl-validator."""

    def __init__(self) -> None:
        super().__init__("node", HERE / "definitions.mjs")

    def judge(self, templates: Iterable[Path]) -> Future[Answer]:
        return self.ask({str(path): definitions(json.loads(path.read_text())) for path in templates})
