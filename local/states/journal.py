"""The journal of state machines and executions: a line for each change, from which the next engine begins."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from local.states.executions import Execution
from local.states.history import History
from local.states.machines import Engine, StateMachine
from local.states.parser import parse

Json = Any

_MACHINE = ("arn", "name", "kind", "definition", "role_arn", "logging", "tracing", "tags", "created", "revision")
_EXECUTION = (
    "arn", "name", "machine_arn", "definition", "role_arn", "input", "started", "status", "stopped", "output",
    "error", "cause", "redrives",
)  # fmt: skip

ENDED = "The embedded AWS ended while this execution ran"


class Journal:
    """Keeps an engine's machines and Standard executions in a file, but no histories and no Map Runs."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def restore(self, engine: Engine) -> None:
        """Puts into the engine what the file holds, and begins the file anew with just that.

        An execution that had not ended is ABORTED: nothing is there to go on with it.
        """
        lines = self._path.read_text("utf-8").splitlines() if self._path.exists() else []
        for line in lines:
            try:
                self._take(engine, json.loads(line))
            except ValueError:
                break  # the last line, cut off by the end of the process
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text("")
        for machine in engine.machines.values():
            self.machine(machine)
        for execution in engine.executions.values():
            if execution.status == "RUNNING":
                execution.end("ABORTED", cause=ENDED)
            self.execution(execution)

    @staticmethod
    def _take(engine: Engine, line: dict[str, Json]) -> None:
        if "machine" in line:
            known = line["machine"]
            parsed = parse(known["definition"], known["kind"])
            engine.machines[known["arn"]] = StateMachine(machine=parsed, **known)
        elif "deleted" in line:
            engine.machines.pop(line["deleted"], None)
        else:
            execution = Execution(**line["execution"], history=History())
            engine.executions[execution.arn] = execution

    def machine(self, machine: StateMachine) -> None:
        """Notes a machine as it now is."""
        self._write({"machine": {name: getattr(machine, name) for name in _MACHINE}})

    def deleted(self, arn: str) -> None:
        """Notes that a machine is no more."""
        self._write({"deleted": arn})

    def execution(self, execution: Execution) -> None:
        """Notes an execution as it now stands."""
        self._write({"execution": {name: getattr(execution, name) for name in _EXECUTION}})

    def _write(self, line: Json) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
