"""`python -m benchmarks`: measures everything, one after the other, and writes docs/performance.md.

Name parts to measure only those, and to print them instead: `python -m benchmarks engine synth`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import cost, document, embedded, engine, job, memory, soak, synth

PAGE = Path(__file__).resolve().parents[1] / "docs" / "performance.md"


def _job(folder: Path) -> str:
    with job.deployed(folder) as on:
        return document.job(job.compare(on, folder))


def _memory(folder: Path) -> str:
    return document.memory(memory.compare(folder))


def _soak(folder: Path) -> str:
    with job.deployed(folder) as on:
        return document.soak(soak.run(on, folder))


PARTS: dict[str, Callable[[Path], str]] = {
    "job": _job,
    "memory": _memory,
    "soak": _soak,
    "engine": lambda _folder: document.engine(*engine.compare()),
    "synth": lambda _folder: document.synth(synth.compare()),
    "embedded": lambda folder: document.embedded(embedded.measure(folder)),
    "cost": lambda _folder: document.cost(cost.table(), cost.Assumptions()),
}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.partition("\n")[0])
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="what to measure (default: all of it)")
    chosen = parser.parse_args(arguments).parts
    written = []
    for name in chosen or PARTS:
        print(f"measuring: {name}", file=sys.stderr)
        with tempfile.TemporaryDirectory() as folder:
            written.append(PARTS[name](Path(folder)))
    if chosen:
        print("\n".join(written))
    else:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(document.page(written))
        print(f"written to {PAGE}", file=sys.stderr)


if __name__ == "__main__":
    main()
