"""What the Retry fields of a state allow at most: how many tries, and how long the waits between them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Bound:
    """Of one retrier: `waits` has the longest wait before each further try, in seconds."""

    errors: tuple[str, ...]
    waits: tuple[float, ...]

    @property
    def tries(self) -> int:
        """All of them, with the first."""
        return 1 + len(self.waits)

    @property
    def seconds(self) -> float:
        return sum(self.waits)


def bounds_of(state: Mapping[str, Any]) -> list[Bound]:
    """One bound for each of the state's retriers, in their order.

    https://states-language.net/spec.html#errors
    """
    return [Bound(tuple(retry["ErrorEquals"]), tuple(_waits(retry))) for retry in state.get("Retry", [])]


def _waits(retry: Mapping[str, Any]) -> Iterator[float]:
    for number in range(retry.get("MaxAttempts", 3)):
        wait = retry.get("IntervalSeconds", 1) * retry.get("BackoffRate", 2.0) ** number
        yield min(wait, retry.get("MaxDelaySeconds", wait))


def bound_for(bounds: Sequence[Bound], error: str) -> Bound:
    """The first retrier that takes the error; one of no further tries where none does."""
    taken = (it for it in bounds if error in it.errors or _any(it.errors, error))
    return next(taken, Bound((error,), ()))


def _any(errors: Sequence[str], error: str) -> bool:
    # What no retrier takes unless it is named: https://states-language.net/spec.html#appendix-a
    return "States.TaskFailed" in errors and error not in ("States.Timeout", "States.DataLimitExceeded")
