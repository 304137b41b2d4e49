"""Runs Lambda functions: as AWS does, in processes of their own that see only what they would see in AWS.

`install` replaces MiniStack's execution for Python functions; `current()` is for calls within the process.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path

from local.functions.functions import FunctionNotFoundError, Functions, Invocation

__all__ = ["FunctionNotFoundError", "Functions", "Invocation", "current", "install"]

_installed: list[Functions] = []


def install(endpoint: str, folder: Path) -> Callable[[], Awaitable[None]]:
    """Runs the embedded AWS's Python functions; they reach it at `endpoint`, `folder` holds their code.

    What it returns ends their processes.
    """
    functions = Functions(endpoint, folder)
    functions.attach()
    _installed[:] = [functions]
    return functions.close


def current() -> Functions:
    """The functions of the embedded AWS that this process is."""
    return _installed[0]
