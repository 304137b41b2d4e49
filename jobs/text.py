"""Text of unknown origin made fit for a terminal and for a line of its own."""

from __future__ import annotations

import json
import math
import re

from lambda_src.contract import Json

_HIDDEN = "\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
"""Control characters, lone surrogates, line separators and marks that turn the reading order."""

_ANY_HIDDEN = re.compile(f"[{_HIDDEN}]")
_HIDDEN_IN_LINES = re.compile(f"(?!\n)[{_HIDDEN}]")


def visible(text: str) -> str:
    """The text with escapes for the characters that a terminal would obey or cannot show."""
    return _ANY_HIDDEN.sub(_escape, text)


def visible_lines(text: str) -> str:
    """The same for text of several lines: line feeds stay."""
    return _HIDDEN_IN_LINES.sub(_escape, text)


def shortened(text: str, limit: int = 300) -> str:
    """The beginning of a text, visible and on one line."""
    line = visible(" ".join(text.split()))
    return line if len(line) <= limit else f"{line[: limit - 3]}..."


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


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}"
