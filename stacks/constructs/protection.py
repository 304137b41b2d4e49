"""What guards a stack's resources where the settings ask for it."""

from __future__ import annotations

from dataclasses import dataclass

from constructs import Construct

from stacks.constructs.customer_key import CustomerKey
from stacks.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Protection:
    """The stack's own key, or None: AWS encrypts with keys of its own, which cost nothing."""

    key: CustomerKey | None = None


def protection(scope: Construct, settings: Settings) -> Protection:
    """What the settings ask for, made in `scope`."""
    return Protection(key=CustomerKey(scope, "Key", settings=settings) if settings.customer_key else None)
