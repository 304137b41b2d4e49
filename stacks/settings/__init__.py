"""What a stage is made with: its settings, and which of them can work together; one file a topic."""

from __future__ import annotations

from stacks.settings.settings import ENDPOINT_SECONDS, MARGIN_SECONDS, NEWEST_PYTHON, InvalidSettings, Settings
from stacks.settings.stages import DEV, LOCAL, PROD, STAGES

__all__ = [
    "DEV",
    "ENDPOINT_SECONDS",
    "LOCAL",
    "MARGIN_SECONDS",
    "NEWEST_PYTHON",
    "PROD",
    "STAGES",
    "InvalidSettings",
    "Settings",
]
