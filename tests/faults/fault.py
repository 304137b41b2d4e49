"""What a row of the fault suite is: a fault, over which runs, what is sent, and what has to come of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

from lambda_src.contract import Json, json_lines
from stacks.settings.modes import DEFAULTS, REALTIME

if TYPE_CHECKING:
    from tests.faults.place import Place

Rule = dict[str, Any]
"""A rule of the fault injector, see `local/faults`."""

Group = Literal[
    "records", "data set", "functions", "model", "store", "orchestration", "serverless", "async", "transform"
]
"""The last ones are of rows that one mode of the endpoint alone can suffer."""


class Over(StrEnum):
    """The four kinds of run, in the document's words."""

    REQUEST = "request (InferenceStack)"
    REQUEST_ML = "request (MlWorkflowStack)"
    JOB = "job (InferenceStack)"
    JOB_ML = "job (MlWorkflowStack)"

    @property
    def stack(self) -> str:
        return self.partition("(")[2].removesuffix(")")

    @property
    def is_job(self) -> bool:
        return self.startswith("job")


REQUESTS = (Over.REQUEST, Over.REQUEST_ML)
JOBS = (Over.JOB, Over.JOB_ML)
ALL = (*REQUESTS, *JOBS)
ENDPOINT = (Over.REQUEST, Over.JOB)
"""The runs that ask an endpoint; in the others the model is inside a function."""


@dataclass(frozen=True)
class Sent:
    """What goes in: `values` are the records as the reader has them, by index.

    A request sends them as they are, or the JSON text `request`. A job sends them as JSON Lines, or the bytes
    `body` under the name `file`, or `objects` by name; without `exists` it sends nothing. `options` are those of
    `jobs.submit.Options`.
    """

    values: Sequence[Json]
    request: str | None = None
    file: str = "records.jsonl"
    body: bytes | None = None
    objects: Mapping[str, bytes] | None = None
    exists: bool = True
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def request_text(self) -> str:
        return json.dumps({"records": list(self.values)}) if self.request is None else self.request

    @property
    def data_set(self) -> bytes:
        return json_lines(list(self.values)) if self.body is None else self.body


NOT_BEGUN = ("InvalidJob", "InvalidRequest")
"""The errors of a run that ends before any record is looked at."""


@dataclass(frozen=True)
class Expect:
    """What has to come of a run; every record that is not told of here is predicted.

    `status` is the execution's, or `REFUSED` where none begins; `cause` is a part of its cause. `rejected` and
    `failed` count records by error, `said` has a part of the cause of each record rejected with that error. A
    request fails as a whole. `received` is a job's records in where it could not read all that was sent. `calls`
    is the most model calls. Without `summary` a job ends before it can write one.
    """

    status: Literal["SUCCEEDED", "FAILED", "ABORTED", "TIMED_OUT", "REFUSED"] = "SUCCEEDED"
    error: str | None = None
    cause: str = ""
    rejected: Mapping[str, int] = field(default_factory=dict)
    failed: Mapping[str, int] = field(default_factory=dict)
    said: Mapping[str, str] = field(default_factory=dict)
    received: int | None = None
    calls: int = 1
    summary: bool = True

    @property
    def begins(self) -> bool:
        return self.status != "REFUSED" and self.error not in NOT_BEGUN


def once(place: Place) -> None:
    """Starts the run and waits for its end."""
    place.start()
    place.wait()


@dataclass(frozen=True)
class Case:
    """The fault in some kinds of run. `rules` go to the injector; `play` runs it, `then` looks at more than the
    checker does, with the rules gone."""

    over: Sequence[Over]
    sent: Sent
    expect: Expect = Expect()
    rules: Callable[[Place], Sequence[Rule]] = lambda _place: ()
    play: Callable[[Place], None] = once
    then: Callable[[Place], None] = lambda _place: None


@dataclass(frozen=True)
class Fault:
    """A row. `what` is the fault, `happens` what comes of it, both for the document: no full stop in `what`.

    `also` are the modes that its cases with an endpoint run in beside the default one.
    """

    name: str
    group: Group
    what: str
    happens: str
    cases: Sequence[Case]
    also: Sequence[str] = ()

    @property
    def modes(self) -> list[str]:
        """The modes of the endpoint that the row is tested in."""
        return [self.group] if self.group in DEFAULTS else [REALTIME, *self.also]

    @property
    def over(self) -> list[Over]:
        """In which kinds of run, in their order."""
        taken = {kind for case in self.cases for kind in case.over}
        return [kind for kind in Over if kind in taken]
