"""What is kept on disk: whole documents, one holder, and a journal from which the next engine begins."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from local import keep
from local.clock import Clock
from local.states.journal import ENDED, Journal
from local.states.machines import ApiError, Engine
from tests.local.states.fake_aws import MACHINE, ROLE, FakeAws

WAITING = json.dumps(
    {"QueryLanguage": "JSONata", "StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 60, "End": True}}}
)
PASSING = json.dumps({"QueryLanguage": "JSONata", "StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}})


def kept(path: Path) -> Engine:
    """An engine that begins with what the journal holds, and goes on with it."""
    engine = Engine(FakeAws(), Clock(0))
    engine.kept = journal = Journal(path)
    journal.restore(engine)
    return engine


def test_a_later_engine_has_the_machines_and_executions_of_the_one_before(tmp_path: Path) -> None:
    async def before() -> None:
        engine = kept(tmp_path / "states.jsonl")
        engine.create(MACHINE, definition=WAITING, role_arn=ROLE)
        engine.update(MACHINE, definition=PASSING)
        engine.create(f"{MACHINE}-gone", definition=PASSING, role_arn=ROLE)
        engine.delete(f"{MACHINE}-gone")
        ended = engine.start(MACHINE, "ended", {"a": 1})
        assert ended.task is not None
        await ended.task

    asyncio.run(before())
    for _ in range(2):  # the journal is begun anew each time
        engine = kept(tmp_path / "states.jsonl")
        assert list(engine.machines) == [MACHINE]
        assert engine.machine(MACHINE).definition == PASSING
        execution = engine.execution(MACHINE.replace("stateMachine", "execution") + ":ended")
        assert (execution.status, execution.input, execution.output) == ("SUCCEEDED", {"a": 1}, {"a": 1})
        with pytest.raises(ApiError, match="Execution Already Exists"):
            engine.start(MACHINE, "ended", {"a": 1})


def test_an_execution_that_ran_when_the_process_was_killed_says_so(tmp_path: Path) -> None:
    async def killed() -> str:
        engine = kept(tmp_path / "states.jsonl")
        engine.clock.scale = 1
        engine.create(MACHINE, definition=WAITING, role_arn=ROLE)
        engine.start(MACHINE, "running", {})
        await asyncio.sleep(0)
        left = (tmp_path / "states.jsonl").read_text()
        await engine.close()
        return left + '{"execution": {"arn": "cut o'

    left = asyncio.run(killed())
    (tmp_path / "states.jsonl").write_text(left)
    execution = kept(tmp_path / "states.jsonl").execution(MACHINE.replace("stateMachine", "execution") + ":running")
    assert (execution.status, execution.cause) == ("ABORTED", ENDED)
    assert execution.history is not None
    assert [event["type"] for event in execution.history.events()] == ["ExecutionAborted"]


def test_a_document_is_there_whole_for_this_user_alone_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "new" / "document.json"
    assert keep.read(path) is None
    keep.write(path, {"a": [1]})
    assert keep.read(path) == {"a": [1]}
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(TypeError):
        keep.write(path, {"a": object()})
    assert keep.read(path) == {"a": [1]}


def test_a_folder_has_one_holder(tmp_path: Path) -> None:
    held = keep.lock(tmp_path / "kept")
    assert held is not None
    assert keep.lock(tmp_path / "kept") is None
    held.close()
    again = keep.lock(tmp_path / "kept")
    assert again is not None
    again.close()


def test_many_changes_are_kept_once_and_the_end_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    saved: list[None] = []
    monkeypatch.setattr(keep, "SETTLE_SECONDS", 0)

    async def work() -> None:
        keeper = keep.Keeper(lambda: saved.append(None))
        keeper.changed()
        keeper.changed()
        await asyncio.sleep(0.01)
        assert len(saved) == 1
        keeper.changed()
        await keeper.close()
        assert len(saved) == 2

    asyncio.run(work())
