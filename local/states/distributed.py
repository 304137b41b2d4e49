"""The distributed Map state: what its fields come to, the run they make, and what the run gives back."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, Protocol

from lambda_src.contract import MAX_STATE_BYTES
from local.states import definition as d
from local.states.batches import Limits, batched, single
from local.states.expressions import EvaluationFailed, Scope
from local.states.failures import RUNTIME, StateFailure
from local.states.fanout import items_of
from local.states.map_run import MAX_CONCURRENCY, Conductor, MapRun, Tolerance
from local.states.objects import Objects
from local.states.readers import ItemSource
from local.states.results import Child, ResultFiles, rows_of

if TYPE_CHECKING:
    from local.states.interpreter import Visit

Json = Any


class MapRuns(Protocol):
    """What keeps the Map Runs of an execution and runs their children: the engine."""

    execution_arn: str
    machine_arn: str

    def resumed(self, label: str) -> MapRun | None:
        """The run of that label to go on with, when the execution is redriven."""
        ...

    def add(self, run: MapRun) -> None:
        """Keeps a new run."""
        ...

    async def run_child(self, run: MapRun, processor: d.Machine, arn: str, name: str, value: Json) -> Json:
        """Runs one child execution. Raises `StateFailure`."""
        ...


async def distributed_map(visit: Visit, state: d.DistributedMap) -> Json:
    """Runs the Map and gives its result. Raises `StateFailure` and `EvaluationFailed`."""
    branch = visit.branch
    items, length = _items(visit, state)
    writer_arguments = state.writer.arguments(visit.scope()) if state.writer and state.writer.arguments else None
    select = _selector(visit, state)
    limits = _limits(visit, state.batcher) if state.batcher else None
    branch.note("MapStateStarted", {"length": length}, "mapStateStartedEventDetails")
    run = _run(visit, state)
    conductor = Conductor(
        run,
        lambda arn, name, value: branch.run.map_runs.run_child(run, state.processor, arn, name, value),
        collect=writer_arguments is None,
    )
    try:
        _check_may_start(visit, run)
        if writer_arguments is not None and run.files is None:
            run.files = _files(visit, state, run, writer_arguments)
        run.items.total = await items.count() if isinstance(items, ItemSource) else length
        source = _each(items)
        batches = batched(source, select, limits) if limits else single(source, select)
        outputs = await conductor.conduct(batches)
    except (StateFailure, EvaluationFailed) as failure:
        run.end("FAILED")
        if isinstance(failure, StateFailure):
            branch.note("MapRunFailed", failure.details(), "mapRunFailedEventDetails")
            branch.note("MapStateFailed")
        raise
    except BaseException:
        run.end("ABORTED")
        branch.note("MapRunAborted")
        branch.note("MapStateAborted")
        raise
    run.end("SUCCEEDED")
    succeeded = branch.note("MapRunSucceeded")
    branch.run.recorder.add("MapStateSucceeded", succeeded)
    if run.files is not None:
        return {"MapRunArn": run.arn, "ResultWriterDetails": run.files.details}
    return _transformed(outputs, state.writer)


def _items(visit: Visit, state: d.DistributedMap) -> tuple[ItemSource | list[Json], int]:
    """The items, and their number where it is known before reading; AWS tells 0 where it is not."""
    reader = state.reader
    if reader is None:
        items = items_of(visit, state)
        return items, len(items)
    source = ItemSource(
        Objects(visit.branch.run.caller),
        reader.kind,
        reader.arguments(visit.scope()),
        limit=_whole(visit, reader.max_items),
        csv_headers=reader.csv_headers,
        csv_delimiter=reader.csv_delimiter,
    )
    return source, 0


async def _each(items: ItemSource | list[Json]) -> AsyncIterator[Json]:
    if isinstance(items, ItemSource):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item


def _selector(visit: Visit, state: d.DistributedMap) -> Callable[[int, Json], Json]:
    """What makes a child's item of an item: ItemSelector, which sees its index and value in the context."""
    render = state.item_selector
    if render is None:
        return lambda _index, value: value
    scope = visit.scope()
    states, context = dict(scope.states), dict(scope.states["context"])

    def select(index: int, value: Json) -> Json:
        context["Map"] = {"Item": {"Index": index, "Value": value}}
        states["context"] = context
        return render(Scope(states, scope.variables))

    return select


def _limits(visit: Visit, batcher: d.Batcher) -> Limits:
    most_bytes = _whole(visit, batcher.max_bytes)
    if most_bytes is not None and most_bytes > MAX_STATE_BYTES:
        cause = f"MaxInputBytesPerBatch must be at most {MAX_STATE_BYTES}, not {most_bytes}"
        raise StateFailure(RUNTIME, cause, terminal=True)
    shared = batcher.batch_input(visit.scope()) if batcher.batch_input else None
    return Limits(_whole(visit, batcher.max_items), most_bytes, shared)


def _run(visit: Visit, state: d.DistributedMap) -> MapRun:
    runs, branch = visit.branch.run.map_runs, visit.branch
    run = runs.resumed(state.label)
    if run is not None:
        run.redrive()
        details = {"mapRunArn": run.arn, "redriveCount": run.redrives}
        branch.note("MapRunRedriven", details, "mapRunRedrivenEventDetails")
        return run
    percentage = visit.number(state.tolerated_percentage)
    if percentage is not None and percentage > 100:
        cause = "ToleratedFailurePercentage must be between 0 and 100."
        raise StateFailure(RUNTIME, cause, terminal=True)
    machine = runs.machine_arn.replace(":stateMachine:", ":mapRun:")
    run = MapRun(
        f"{machine}/{state.label}:{uuid.uuid4()}",
        runs.execution_arn,
        runs.machine_arn,
        state.label,
        state.child_kind,
        _whole(visit, state.max_concurrency) or MAX_CONCURRENCY,
        Tolerance(_whole(visit, state.tolerated_count), percentage),
    )
    runs.add(run)
    branch.note("MapRunStarted", {"mapRunArn": run.arn}, "mapRunStartedEventDetails")
    return run


def _check_may_start(visit: Visit, run: MapRun) -> None:
    """A Map Run's children are started with the machine's own role. The error's name in AWS is unconfirmed."""
    caller = visit.branch.run.caller
    action = "states:RedriveExecution" if run.redrives else "states:StartExecution"
    resource = run.execution_arn if run.redrives else run.machine_arn
    if refusal := caller.aws.authorize(caller.access_key, action, resource, caller.region):
        raise StateFailure("StepFunctions.AccessDeniedException", refusal)


def _files(visit: Visit, state: d.DistributedMap, run: MapRun, arguments: dict[str, Json]) -> ResultFiles:
    assert state.writer is not None
    return ResultFiles(
        Objects(visit.branch.run.caller),
        arguments["Bucket"],
        arguments.get("Prefix", ""),
        run.arn,
        transformation=state.writer.transformation,
        output_type=state.writer.output_type,
    )


def _transformed(outputs: list[Json], writer: d.Writer | None) -> Json:
    """The results in the state's own output, where no file was asked for: COMPACT unless it says otherwise."""
    if writer is None or writer.transformation == "COMPACT":
        return outputs
    children = (Child("", "", "", "SUCCEEDED", None, output) for output in outputs)
    return [row for child in children for row in rows_of(child, writer.transformation)]


def _whole(visit: Visit, value: d.Seconds | None) -> int | None:
    number = visit.number(value)
    return None if number is None else int(number)
