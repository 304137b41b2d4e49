"""`python -m tests.modes` writes docs/modes.md."""

from __future__ import annotations

from tests.modes import document


def main() -> None:
    document.PAGE.write_text(document.page(), "utf-8")
    print(f"written to {document.PAGE}")


if __name__ == "__main__":
    main()
