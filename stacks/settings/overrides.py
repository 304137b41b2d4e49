"""Settings given as text, as the context gives them: `-c serverless_memory=4096`."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from types import NoneType
from typing import Any, get_args, get_type_hints

from stacks.settings import InvalidSettings, Settings

Reader = Callable[[str], Any]


def _truth(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError
    return text.lower() == "true"


READERS: Mapping[type, tuple[str, Reader]] = {
    bool: ("true or false", _truth),
    int: ("a whole number", int),
    float: ("a number", float),
    str: ("text", str),
}


def _reader(hint: Any) -> tuple[str, Reader] | None:
    kinds = [kind for kind in get_args(hint) or (hint,) if kind is not NoneType]
    return READERS.get(kinds[0]) if len(kinds) == 1 else None


SETTINGS = {name: reader for name, hint in get_type_hints(Settings).items() if (reader := _reader(hint))}
"""What text can say; the stage is picked, and the CDK's own types stand in code."""
del SETTINGS["stage"]


def overridden(settings: Settings, given: Mapping[str, Any]) -> Settings:
    """The settings with those that are given, each by its name. Another mode takes what only the old one has away.

    Raises `InvalidSettings` for a value that its setting cannot have.
    """
    values = {name: _value(name, str(value)) for name, value in given.items()}
    return settings.in_mode(values.pop("mode", settings.mode), **values)


def check_names(names: list[str]) -> None:
    """Raises `InvalidSettings` for the name of no setting."""
    for name in names:
        if name not in SETTINGS:
            near = difflib.get_close_matches(name, SETTINGS, n=1, cutoff=0)
            raise InvalidSettings(f"{name}: expected a setting's name such as {near[0]} (all: stacks/settings/)")


def _value(name: str, text: str) -> Any:
    allowed, read = SETTINGS[name]
    try:
        return read(text)
    except ValueError:
        raise InvalidSettings(f"{name}: expected {allowed}, received {text}") from None
