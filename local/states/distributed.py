"""The distributed Map state: what its fields come to, the run they make, and what the run gives back."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, Protocol

from lambda_src.contract import MAX_STATE_BYTES
from local.states import definition as d
from local.states.batches import Batch, Limits, batched, single
from local.states.conductor import Conductor
from local.states.expressions import EvaluationFailed, Expression, Scope, picker
from local.states.failures import RESULT_WRITER_FAILED, RUNTIME, StateFailure
from local.states.fanout import items_of
from local.states.map_run import MapRun, Tolerance
from local.states.objects import Objects
from local.states.readers import ItemSource
from local.states.results import ResultFiles

if TYPE_CHECKING:
    from local.states.interpreter import Visit

Json = Any


class MapRuns(Protocol):
    """What keeps the Map Runs of an execution and runs their children: the engine."""

    execution_arn: str
    machine_arn: str

    def resumed(self, label: str) -> MapRun | None:
        """The run of that label to go on with, when the execution is redriven. It is given once."""
        ...

    def add(self, run: MapRun) -> None:
        """Keeps a new run."""
        ...

    async def run_child(self, run: MapRun, processor: d.Machine, arn: str, name: str, batch: Batch) -> Json:
        """Runs one child execution. Raises `StateFailure`."""
        ...


async def distributed_map(visit: Visit, state: d.DistributedMap) -> Json:
    """Runs the Map and gives its result. Raises `StateFailure` and `EvaluationFailed`."""
    branch = visit.branch
    given = items_of(visit, state) if state.reader is None else []  # AWS tells 0 where the items are yet to be read
    branch.note("MapStateStarted", {"length": len(given)}, "mapStateStartedEventDetails")
    items = _source(visit, state.reader) if state.reader else given
    writer_arguments = state.writer.arguments(visit.scope()) if state.writer and state.writer.arguments else None
    select = _selector(visit, state)
    limits = _limits(visit, state.batcher) if state.batcher else None
    run = _run(visit, state)
    conductor = Conductor(
        run,
        lambda arn, name, batch: branch.run.map_runs.run_child(run, state.processor, arn, name, batch),
        state.writer.transformation if state.writer else "COMPACT",
    )
    try:
        _check_may_start(visit, run)
        if writer_arguments is not None and run.files is None:
            run.files = _files(visit, state, run, writer_arguments)
        if isinstance(items, ItemSource):
            items.hold(run.etag)
            run.items.total = await items.count()
            run.etag = items.etag
        else:
            run.items.total = len(items)
        source = aiter(items) if isinstance(items, ItemSource) else _each(items)
        batches = batched(source, select, limits) if limits else single(source, select)
        rows = await conductor.conduct(batches)
    except EvaluationFailed as problem:
        failure = visit.evaluation_failure(problem)
        _note_failed(visit, run, failure)
        raise failure from problem
    except StateFailure as failure:
        _note_failed(visit, run, failure)
        raise
    except asyncio.CancelledError:
        run.end("ABORTED")
        branch.note("MapRunAborted")
        branch.note("MapStateAborted")
        raise
    except Exception as bug:
        _note_failed(visit, run, StateFailure(RUNTIME, repr(bug)))
        raise
    run.end("SUCCEEDED")
    # Recorded from AWS: the state's exit follows the event that started the run, not the one that ended it.
    succeeded = branch.run.recorder.add("MapRunSucceeded", branch.last)
    branch.run.recorder.add("MapStateSucceeded", succeeded)
    if run.files is not None:
        return {"MapRunArn": run.arn, "ResultWriterDetails": run.files.details}
    return rows


def _note_failed(visit: Visit, run: MapRun, failure: StateFailure) -> None:
    run.end("FAILED")
    visit.branch.note("MapRunFailed", failure.details(), "mapRunFailedEventDetails")


def _source(visit: Visit, reader: d.Reader) -> ItemSource:
    return ItemSource(
        Objects(visit.branch.run.caller),
        reader.kind,
        reader.arguments(visit.scope()),
        limit=_whole(visit, reader.max_items, "ItemReader/ReaderConfig/MaxItems"),
        csv_headers=reader.csv_headers,
        csv_delimiter=reader.csv_delimiter,
    )


async def _each(items: list[Json]) -> AsyncIterator[Json]:
    for item in items:
        yield item


def _selector(visit: Visit, state: d.DistributedMap) -> Callable[[int, Json], Json]:
    """What makes a child's item of an item: ItemSelector, which sees its index and value in the context."""
    render = state.item_selector
    if render is None:
        return lambda _index, value: value
    if (pick := picker(render)) is not None:
        return pick
    scope = visit.scope()
    context = scope.states["context"]

    def select(index: int, value: Json) -> Json:
        with_item = {**context, "Map": {"Item": {"Index": index, "Value": value}}}
        return render(Scope({**scope.states, "context": with_item}, scope.variables))

    return select


def _limits(visit: Visit, batcher: d.Batcher) -> Limits:
    most_items = _whole(visit, batcher.max_items, "ItemBatcher/MaxItemsPerBatch")
    most_bytes = _whole(visit, batcher.max_bytes, "ItemBatcher/MaxInputBytesPerBatch")
    if most_items is not None and most_items < 1:
        raise _refused(visit, f"MaxItemsPerBatch must be at least 1, not {most_items}.")
    if most_bytes is not None and not 1 <= most_bytes <= MAX_STATE_BYTES:
        raise _refused(visit, f"MaxInputBytesPerBatch must be between 1 and {MAX_STATE_BYTES}, not {most_bytes}.")
    shared = batcher.batch_input(visit.scope()) if batcher.batch_input else None
    return Limits(most_items, most_bytes, shared)


def _run(visit: Visit, state: d.DistributedMap) -> MapRun:
    runs, branch = visit.branch.run.map_runs, visit.branch
    run = runs.resumed(state.label)
    if run is not None:
        run.redrive()
        details = {"mapRunArn": run.arn, "redriveCount": run.redrives}
        branch.note("MapRunRedriven", details, "mapRunRedrivenEventDetails")
        return run
    count = _whole(visit, state.tolerated_count, "ToleratedFailureCount")
    if count is not None and count < 0:
        raise _refused(visit, "ToleratedFailureCount cannot be negative.")
    percentage = _number(visit, state.tolerated_percentage)
    if percentage is not None and not 0 <= percentage <= 100:
        raise _refused(visit, "ToleratedFailurePercentage must be between 0 and 100.")
    concurrency = _whole(visit, state.max_concurrency, "MaxConcurrency") or 0
    if concurrency < 0:
        raise _refused(visit, "MaxConcurrency cannot be negative.")
    machine = runs.machine_arn.replace(":stateMachine:", ":mapRun:")
    run = MapRun(
        f"{machine}/{state.label}:{uuid.uuid4()}",
        runs.execution_arn,
        runs.machine_arn,
        state.label,
        state.child_kind,
        concurrency,
        Tolerance(count, percentage),
    )
    runs.add(run)
    branch.note("MapRunStarted", {"mapRunArn": run.arn}, "mapRunStartedEventDetails")
    return run


def _check_may_start(visit: Visit, run: MapRun) -> None:
    """A Map Run's children are started with the machine's own role; a redrive starts Express ones anew.

    https://docs.aws.amazon.com/step-functions/latest/apireference/API_DescribeExecution.html (redriveStatus)
    The error's name in AWS is unconfirmed.
    """
    caller = visit.branch.run.caller
    redrives = run.redrives and run.child_kind == "STANDARD"
    action = "states:RedriveExecution" if redrives else "states:StartExecution"
    resource = run.execution_arn if redrives else run.machine_arn
    if refusal := caller.aws.authorize(caller.access_key, action, resource, caller.region):
        raise StateFailure("StepFunctions.AccessDeniedException", refusal)


def _files(visit: Visit, state: d.DistributedMap, run: MapRun, arguments: Json) -> ResultFiles:
    assert state.writer is not None
    given = arguments if isinstance(arguments, dict) else {}
    bucket, prefix = given.get("Bucket"), given.get("Prefix", "")
    if not isinstance(bucket, str) or not isinstance(prefix, str):
        raise StateFailure(RESULT_WRITER_FAILED, "The field 'Bucket' is required, and it and 'Prefix' are strings")
    return ResultFiles(
        Objects(visit.branch.run.caller),
        bucket,
        prefix,
        run.arn,
        transformation=state.writer.transformation,
        output_type=state.writer.output_type,
    )


def _number(visit: Visit, value: d.Seconds | None) -> float | None:
    return float(value.evaluate_as(visit.scope(), "number")) if isinstance(value, Expression) else value


def _whole(visit: Visit, value: d.Seconds | None, field: str) -> int | None:
    number = _number(visit, value)
    if number is not None and not number.is_integer():
        raise EvaluationFailed(field, f"The field '{field}' must be a whole number, but was {number:g}")
    return None if number is None else int(number)


def _refused(visit: Visit, reason: str) -> StateFailure:
    """A value no Map Run can have, in the words of AWS's recordings where there are any."""
    where = f"the state '{visit.state.name}' (entered at the event id #{visit.entered})"
    return StateFailure(RUNTIME, f"An error occurred while executing {where}. {reason}", terminal=True)
