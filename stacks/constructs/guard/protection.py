"""What guards a stack's resources where the settings ask for it."""

from __future__ import annotations

from dataclasses import dataclass

from constructs import Construct

from stacks.constructs.guard.customer_key import CustomerKey
from stacks.constructs.guard.network import Network
from stacks.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Protection:
    """None is what AWS has for all: keys of its own, which cost nothing, and its own networks."""

    key: CustomerKey | None = None
    network: Network | None = None


def protection(scope: Construct, settings: Settings) -> Protection:
    """What the settings ask for, made in `scope`."""
    return Protection(
        key=CustomerKey(scope, "Key", settings=settings) if settings.customer_key else None,
        network=Network(scope, "Network") if settings.vpc else None,
    )
