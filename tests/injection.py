"""Faults in a running embedded AWS for the length of a `with`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from local.faults import client
from local.faults.client import Seen
from local.server import Ready


@contextmanager
def faults(ready: Ready, *rules: Mapping[str, Any]) -> Iterator[Seen]:
    """Calls fail by these rules within the `with`; what was seen stays to be read. Without rules it only counts."""
    seen = client.add(ready, rules, counting=True)
    try:
        yield seen
    finally:
        seen.remove()
