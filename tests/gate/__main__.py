"""`python -m tests.gate`: runs the template gate, and writes what it acknowledges and its figures into docs/."""

from __future__ import annotations

import os
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.gate import iam_document
from tests.gate.document import documents, figures
from tests.gate.gate import Gate
from tests.synthesis import VARIANTS, Synthesis, synthesize


def main() -> int:
    os.environ["PATH"] = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)])
    start = time.perf_counter()
    gate = Gate()
    variants: dict[str, Synthesis] = {}

    def synthesized(folder: str) -> Iterator[tuple[str, Synthesis]]:
        for variant in VARIANTS:
            variants[variant] = synthesize(variant, Path(folder, variant))
            yield variant, variants[variant]

    try:
        with tempfile.TemporaryDirectory() as folder:
            verdicts = gate.judge(synthesized(folder))
            print(figures(verdicts))
            write(documents(verdicts))
            write(iam_document.documents(variants))
    finally:
        gate.close()
    wrong = 0
    for variant, verdict in verdicts.items():
        for finding in verdict.open:
            print(f"{variant}: {finding}")
        for path, finding_id in verdict.idle:
            print(f"{variant}: acknowledged, but not found: {finding_id} on {path}")
        wrong += len(verdict.open) + len(verdict.idle)
    print(f"{time.perf_counter() - start:.1f} s, {wrong} to mend or to acknowledge")
    return int(wrong > 0)


def write(documents: Mapping[Path, str]) -> None:
    for document, text in documents.items():
        document.write_text(text)


if __name__ == "__main__":
    sys.exit(main())
