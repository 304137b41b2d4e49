"""`python -m tests.faults` writes docs/reliability.md."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.faults import document
from tests.synthesis import synthesize


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        inference = synthesize("local", Path(folder) / "cdk.out").stacks["InferenceStack"]
        document.PAGE.write_text(document.page(inference), "utf-8")
    print(f"written to {document.PAGE}")


if __name__ == "__main__":
    main()
