"""What is kept on disk between two runs."""

from __future__ import annotations

from collections.abc import Callable

from local.ministack.privates import application
from local.ministack.shapes import Message

on_change: list[Callable[[], None]] = []

_DATA_SERVICES = frozenset({"states", "logs", "sts", "monitoring", "faults"})
"""Services whose requests change nothing that `save_kept` keeps."""


def may_change(scope: Message, service: str) -> bool:
    """Whether a request for a service may change something else than data."""
    path = scope["path"]
    if service == "s3":
        return scope["method"] != "GET" and "/" not in path.strip("/")
    return service not in _DATA_SERVICES and not path.endswith("/invocations")


def note_changes(changed: Callable[[], None]) -> None:
    """Calls `changed` after each request that may have changed something else than data."""
    on_change[:] = [changed]


def save_kept() -> None:
    """Writes what MiniStack knows to the folder of what is kept, but for the objects, which are there already."""
    application.save_all(application._build_persistence_save_dict())
