"""A state machine as the engine runs it: plain, immutable, every expression compiled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from local.states.expressions import Expression, Render
from local.states.failures import Retrier

if TYPE_CHECKING:
    from local.states.calling import Followed, Integration

Seconds = float | Expression


@dataclass(frozen=True)
class Transition:
    """What a state, a choice or a catcher leaves behind, and where it goes. `next` None ends the branch."""

    next: str | None
    output: Render | None = None
    assign: Render | None = None


@dataclass(frozen=True)
class Catcher:
    """One entry of a Catch list."""

    errors: tuple[str, ...]
    then: Transition


@dataclass(frozen=True)
class State:
    """What every state has."""

    name: str
    then: Transition

    @property
    def type(self) -> str:
        """The state's Type as the definition and the history write it."""
        return type(self).__name__


@dataclass(frozen=True)
class Resilient(State):
    """A state that can be retried and caught."""

    retriers: tuple[Retrier, ...]
    catchers: tuple[Catcher, ...]


@dataclass(frozen=True)
class Task(Resilient):
    """One call through a service integration."""

    integration: Integration
    arguments: Render | None
    timeout: Seconds | None
    heartbeat: Seconds | None = None
    waits: bool = False
    """Whether it ends when somebody who has its token says so, instead of with its call."""

    followed: Followed | None = None
    """The integration, where it ends when what its call began has ended."""


@dataclass(frozen=True)
class Pass(State):
    """Passes its input on, transformed."""


@dataclass(frozen=True)
class Wait(State):
    """Waits for `seconds`, or until `timestamp` (ISO 8601)."""

    seconds: Seconds | None
    timestamp: str | Expression | None


@dataclass(frozen=True)
class Choice(State):
    """Takes the first branch whose condition is true; `then` is the default, if there is one."""

    branches: tuple[tuple[Expression | bool, Transition], ...]
    has_default: bool


@dataclass(frozen=True)
class Succeed(State):
    """Ends its branch."""


@dataclass(frozen=True)
class Fail(State):
    """Fails its branch."""

    error: Render | None
    cause: Render | None


@dataclass(frozen=True)
class Parallel(Resilient):
    """Runs branches side by side on the same input."""

    arguments: Render | None
    branches: tuple[Machine, ...]


@dataclass(frozen=True)
class Map(Resilient):
    """Runs its processor once an item, within the execution."""

    items: Render | None
    item_selector: Render | None
    max_concurrency: Seconds | None
    processor: Machine


@dataclass(frozen=True)
class Reader:
    """Where a distributed Map finds its items: `kind` is CSV, JSON, JSONL or OBJECTS (a listing)."""

    kind: str
    arguments: Render
    max_items: Seconds | None
    csv_headers: tuple[str, ...] | None
    csv_delimiter: str


@dataclass(frozen=True)
class Batcher:
    """How items become batches: by count, by bytes of the batch's JSON, or both."""

    max_items: Seconds | None
    max_bytes: Seconds | None
    batch_input: Render | None


@dataclass(frozen=True)
class Writer:
    """Where the results of a Map Run go, and in which form. Without arguments they stay in the state's output."""

    arguments: Render | None
    transformation: str
    output_type: str


@dataclass(frozen=True)
class DistributedMap(Resilient):
    """Runs its processor as an execution of its own for each item or batch."""

    items: Render | None
    reader: Reader | None
    item_selector: Render | None
    batcher: Batcher | None
    writer: Writer | None
    max_concurrency: Seconds | None
    tolerated_count: Seconds | None
    tolerated_percentage: Seconds | None
    label: str
    child_kind: str
    processor: Machine

    @property
    def type(self) -> str:
        """See `State`."""
        return "Map"


@dataclass(frozen=True)
class Machine:
    """The states of a machine, of a branch, or of a Map's processor."""

    start: str
    states: Mapping[str, State]
    timeout: float | None = None
