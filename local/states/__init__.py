"""Step Functions in the embedded AWS: a strict engine for the synthesized definitions themselves."""

from __future__ import annotations

from local import faults, keep, ministack
from local.states import api, cloud_control, cloudformation
from local.states.embedded import EmbeddedAws
from local.states.journal import Journal
from local.states.machines import Engine

_installed: list[Engine] = []


def install() -> None:
    """Answers for `states` and makes `AWS::StepFunctions::StateMachine`, in place of MiniStack's own."""
    engine = Engine(EmbeddedAws())
    _installed[:] = [engine]

    async def answer(request: ministack.Request) -> ministack.Response:
        target = request.headers.get("x-amz-target", "")
        action = target.rpartition(".")[2]
        refusal = ministack.authorize(
            request.access_key, f"states:{action}", api.resource_of(request.body), region=request.region
        )
        if refusal is not None:
            return api.refuse("AccessDeniedException", refusal)
        return await api.handle(engine, target, request.body, request.account, request.region)

    async def control(request: ministack.Request) -> ministack.Response:
        return cloud_control.handle(engine, request)

    faults.PLAN.stop = engine.stop_matching
    if (folder := keep.folder()) is not None:
        engine.kept = journal = Journal(folder / "states.jsonl")
        journal.restore(engine)
    ministack.add_service("states", answer)
    ministack.add_service(cloud_control.SERVICE, control)
    ministack.add_resource_type(cloudformation.TYPE, cloudformation.resource_type(engine))


async def close() -> None:
    """Stops every execution."""
    for engine in _installed:
        await engine.close()
