"""Text of unknown origin made fit for a terminal and for a line of its own."""

from __future__ import annotations

import json
import math
import re

from lambda_src.contract import HIDDEN, Json, visible

_HIDDEN_IN_LINES = re.compile(f"(?!\n)[{HIDDEN}]")


def visible_lines(text: str) -> str:
    """What `visible` makes of text of several lines: line feeds stay."""
    return _HIDDEN_IN_LINES.sub(lambda match: visible(match.group()), text)


def shortened(text: str, limit: int = 300) -> str:
    """The beginning of a text, visible and on one line."""
    line = visible(" ".join(text.split()))
    return line if len(line) <= limit else f"{line[: limit - 3]}..."


def parsed(text: str) -> Json:
    """The JSON value. Raises ValueError, also for what is nested deeper than Python reads."""
    try:
        return json.loads(text)
    except RecursionError as problem:
        raise ValueError("it is nested too deep") from problem


def json_text(value: Json, *, indent: int | None = None) -> str:
    """A value as JSON that any terminal and any UTF-8 file can hold. What is not finite becomes text."""
    try:
        text = json.dumps(value, ensure_ascii=False, indent=indent, allow_nan=False)
    except ValueError:
        text = json.dumps(_finite(value), ensure_ascii=False, indent=indent)
    return _HIDDEN_IN_LINES.sub(lambda match: f"\\u{ord(match.group()):04x}", text)


def _finite(value: Json) -> Json:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    return [_finite(inner) for inner in value] if isinstance(value, list) else value
