"""The constraints of the API's parameters that botocore leaves to the service: enumerations, lengths, ranges."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from botocore.model import ListShape, Shape, StringShape, StructureShape

Json = Any


def violation(shape: Shape, value: Json) -> str | None:
    """The message of AWS's ValidationException for a value of the right types, or None when nothing is violated."""
    found = list(_violations(shape, value, ""))
    if not found:
        return None
    return f"{len(found)} validation error{'s' if len(found) > 1 else ''} detected: {'; '.join(found)}"


def _violations(shape: Shape, value: Json, at: str) -> Iterator[str]:
    if isinstance(shape, StructureShape):
        for name, inner in value.items():
            if name in shape.members:
                yield from _violations(shape.members[name], inner, f"{at}.{name}" if at else name)
        return
    if isinstance(shape, ListShape):
        for index, inner in enumerate(value):
            yield from _violations(shape.member, inner, f"{at}.{index + 1}.member")
    if (rule := _broken(shape, value)) is not None:
        yield f"Value '{value}' at '{at}' failed to satisfy constraint: Member must {rule}"


def _broken(shape: Shape, value: Json) -> str | None:
    allowed = shape.enum if isinstance(shape, StringShape) else []
    if allowed and value not in allowed:
        return f"satisfy enum value set: [{', '.join(allowed)}]"
    most = shape.metadata.get("max")
    if most is None or isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return f"have value less than or equal to {most}" if value > most else None
    return f"have length less than or equal to {most}" if len(value) > most else None
