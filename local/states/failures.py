"""How a state fails: an error name, a cause, and the rules by which Retry and Catch match them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

ALL = "States.ALL"
DATA_LIMIT_EXCEEDED = "States.DataLimitExceeded"
EXCEED_TOLERATED = "States.ExceedToleratedFailureThreshold"
ITEM_READER_FAILED = "States.ItemReaderFailed"
NO_CHOICE_MATCHED = "States.NoChoiceMatched"
QUERY_EVALUATION_ERROR = "States.QueryEvaluationError"
RESULT_WRITER_FAILED = "States.ResultWriterFailed"
RUNTIME = "States.Runtime"
TASK_FAILED = "States.TaskFailed"
TIMEOUT = "States.Timeout"


class StateFailure(Exception):
    """A state, a branch or an execution failed. `error` and `cause` are what Retry and Catch see."""

    def __init__(self, error: str | None, cause: str | None = None, *, terminal: bool = False) -> None:
        super().__init__(f"{error}: {cause}")
        self.error = error
        self.cause = cause
        self.terminal = terminal
        """No Retry and no Catch may hold it: the execution ends here."""

    def details(self) -> dict[str, str]:
        """The failure as history events tell it."""
        return {name: text for name, text in (("error", self.error), ("cause", self.cause)) if text is not None}

    def output(self) -> dict[str, str]:
        """The error output that a Catch passes on; AWS leaves out what a Fail state left out."""
        return {name: text for name, text in (("Error", self.error), ("Cause", self.cause)) if text is not None}


class ExecutionTimedOut(StateFailure):
    """An execution, a Map Run's child among them, lasted longer than it may."""

    def __init__(self) -> None:
        super().__init__(TIMEOUT)


def too_large(what: str) -> str:
    """The cause of `States.DataLimitExceeded`, as recorded from AWS; `what` is a state or a kind of task."""
    return f"The state/task '{what}' returned a result with a size exceeding the maximum number of bytes service limit."


def matches(names: Sequence[str], failure: StateFailure) -> bool:
    """Whether an ErrorEquals list names this failure.

    Nothing holds `States.Runtime`. `States.ALL` names every other error, `States.TaskFailed` all but `States.Timeout`.
    https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
    AWS's own recordings show `States.ALL` catching a task's `States.DataLimitExceeded`, so it does here; a state's
    own output over the limit is terminal.
    """
    error = failure.error or ""
    if failure.terminal or error == RUNTIME:
        return False
    return any(name in (error, ALL) or (name == TASK_FAILED and error != TIMEOUT) for name in names)


@dataclass(frozen=True)
class Retrier:
    """One entry of a Retry list; seconds throughout."""

    errors: tuple[str, ...]
    interval: float = 1.0
    max_attempts: int = 3
    backoff_rate: float = 2.0
    max_delay: float | None = None
    full_jitter: bool = False

    def delay(self, attempt: int) -> float:
        """Seconds to wait before retry number `attempt`, counted from 1."""
        longest = self.interval * self.backoff_rate ** (attempt - 1)
        if self.max_delay is not None:
            longest = min(longest, self.max_delay)
        return random.uniform(0, longest) if self.full_jitter else longest  # noqa: S311 - jitter, not a secret


@dataclass
class Attempts:
    """The retries of one visit to a state: each retrier counts its own."""

    retriers: Sequence[Retrier]
    counts: dict[int, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Retries so far, as `$states.context.State.RetryCount` tells them."""
        return sum(self.counts.values())

    def next_delay(self, failure: StateFailure) -> float | None:
        """Seconds until the next try, or None when nothing retries this failure (any more)."""
        for number, retrier in enumerate(self.retriers):
            if matches(retrier.errors, failure):
                count = self.counts.get(number, 0) + 1
                if count > retrier.max_attempts:
                    return None
                self.counts[number] = count
                return retrier.delay(count)
        return None
