"""Writes down what IAM allowed, for tests that ask which grants a run has used."""

import json
from collections.abc import Callable
from pathlib import Path

Note = Callable[[str, str, str], None]
"""Takes a caller's ARN, the action and the resource."""


def notes(file: Path) -> Note:
    """Appends each permission to the file once, as a line with a JSON array."""
    known: set[tuple[str, str, str]] = set()

    def note(caller: str, action: str, resource: str) -> None:
        if (caller, action, resource) not in known:
            known.add((caller, action, resource))
            with file.open("a") as lines:
                lines.write(f"{json.dumps([caller, action, resource])}\n")

    return note


def noted(file: Path) -> list[tuple[str, str, str]]:
    """What the file says was allowed: callers' ARNs, actions and resources."""
    return [(caller, action, resource) for caller, action, resource in map(json.loads, file.read_text().splitlines())]
