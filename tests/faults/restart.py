"""The row of the embedded AWS itself: killed in the middle of a job, and started again with what it kept."""

from __future__ import annotations

import socket
from pathlib import Path
from urllib.parse import urlsplit

from local.cdk import Cdk
from local.embedded import embedded
from local.faults import client
from local.server import Ready
from tests.e2e.client import Client
from tests.e2e.deployment import Deployment, until
from tests.e2e.updates import Moving
from tests.faults.again import retried
from tests.faults.fault import Case, Expect, Fault, Over
from tests.faults.orchestration import DONE, IN_ORDER, RECORDS, STOPPED_AT, child
from tests.faults.place import Place
from tests.injection import faults


def play(place: Place) -> None:
    """Deploys what the others share once more, into an embedded AWS of this row's own, which keeps its things."""
    shared = place.deployment.folder
    folder = place.client.folder / place.name
    folder.mkdir()
    with embedded(folder / "aws.log", folder, 0, keep=folder / "kept") as first:
        Cdk(first, folder).bootstrap()
        deployment = Moving(Deployment(first, shared), lambda _: place.deployment.assembly).to("local")
        move(place, deployment, folder)
        client.add(first, [child(place, nth=STOPPED_AT, crash=True)], counting=False)
        place.start()
        until(lambda: answers(first), lambda it: not it)
    second = place.cleanup.enter_context(embedded(folder / "aws.log", folder, 0, keep=folder / "kept"))
    move(place, Deployment(second, shared), folder)
    place.seen = place.cleanup.enter_context(faults(second))
    place.wait()


def move(place: Place, deployment: Deployment, folder: Path) -> None:
    """Makes the run one on another deployment."""
    place.client = Client(deployment, folder)
    place.__dict__.pop("stack", None)


def answers(ready: Ready) -> bool:
    """Whether anybody is there."""
    address = urlsplit(ready.endpoint)
    with socket.socket() as connection:
        return connection.connect_ex((str(address.hostname), int(address.port or 0))) == 0


FAULTS: tuple[Fault, ...] = (
    Fault(
        "embedded-aws-killed",
        "orchestration",
        "The embedded AWS itself is killed in mid-job, and started again with what it kept (`up --keep`)",
        "Stacks, functions, endpoints, objects and executions are there again. The job that ran is `ABORTED` and says "
        "why; a retry runs the six records that were not predicted, and no other.",
        [
            Case(
                [Over.JOB],
                IN_ORDER,
                Expect("ABORTED", None, "The embedded AWS ended while this execution ran", calls=0, summary=False),
                play=play,
                then=lambda place: retried(place, again=RECORDS - DONE),
            )
        ],
    ),
)
