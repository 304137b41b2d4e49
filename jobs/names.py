"""Job ids: how one is made, and which names a person may give.

A job's id is its execution's name. Of what AWS allows there (1 to 80 characters), ids keep to letters, digits,
`-` and `_`, which CloudWatch Logs, S3 keys and shells take too.
https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
"""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime

from jobs.errors import CommandError
from lambda_src.contract import EXECUTION_CHARACTERS, execution_name

_ALLOWED = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}", re.ASCII)
_NEVER = re.compile(r'[\s<>{}\[\]?*"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f\ud800-\udfff]')
_SUFFIX_CHARACTERS = "abcdefghijkmnpqrstuvwxyz23456789"  # none that reads as another


def generated(stem: str, *, now: datetime | None = None) -> str:
    """An id of a file's stem, the time in UTC and a random ending: `records-20261122T155000Z-k3x9`."""
    time = (now or datetime.now(UTC)).astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    return execution_name(stem, f"{time}-{''.join(secrets.choice(_SUFFIX_CHARACTERS) for _ in range(4))}")


def checked(name: str) -> str:
    """The name itself. Raises `CommandError` when it cannot be a job's."""
    if not _ALLOWED.fullmatch(name):
        raise CommandError(
            f"--name: expected 1 to {EXECUTION_CHARACTERS} letters, digits, '-' and '_', "
            f"the first a letter or digit, received {name!r}"
        )
    return name


def possible(name: str) -> bool:
    """Whether an execution can have the name: those that were not started by this client have fewer rules."""
    return 0 < len(name) <= EXECUTION_CHARACTERS and not _NEVER.search(name)


def file_name(name: str) -> str:
    """The last part of a key for a file of that name: what no key or terminal carries well becomes `_`."""
    if not name.strip("."):
        return "_"  # tools that make a path of a key would go up with `..`
    return "".join(char if char.isprintable() and char not in "/\\" else "_" for char in name)[-200:]
