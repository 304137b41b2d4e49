"""A run that is started again: retried, redriven, under the same name, under another."""

from __future__ import annotations

from jobs import commands
from jobs import submit as options
from jobs.errors import SUCCESS
from jobs.names import generated
from jobs.output import Output
from tests.faults.check import check
from tests.faults.fault import Expect
from tests.faults.place import Place
from tests.injection import faults


def retried(place: Place, *, again: int) -> None:
    """Retries the job, now that nothing fails: what was not predicted is, and each record is there once.

    `again` is how many records that takes.
    """
    before = {line["id"] for line in place.results.predictions.values()}
    new = generated(f"{place.name[:50]}-again")
    status = commands.retry_job(place.stack, Output(as_json=True), place.name, options.Options(), new, wait=True)
    assert status == SUCCESS
    after = {line["id"] for line in place.client.results(new, place.stack).predictions.values()}
    assert len(after) == again
    assert not before & after
    assert before | after == {value["id"] for value in place.sent.values}


def nothing_to_retry(place: Place) -> None:
    """A retry of a job of which every record was predicted starts nothing."""
    new = generated(f"{place.name[:50]}-again")
    assert (
        commands.retry_job(place.stack, Output(as_json=True), place.name, options.Options(), new, wait=True) == SUCCESS
    )
    assert place.client.results(new, place.stack).predictions == {}


def redriven(place: Place) -> None:
    """Goes on with the execution where it ended, and waits for its end."""
    place.deployment.client("stepfunctions").redrive_execution(executionArn=place.execution_arn)
    place.wait()


def under_another_name(place: Place, expect: Expect) -> None:
    """The same once more: the same results, and those of the first are as they were."""
    first, versions = place.results, place.versions()
    other = Place(place.client, place.over, generated("other-name"), place.sent)
    with faults(place.deployment.ready) as other.seen:
        other.start()
        other.wait()
    check(other, expect)
    assert other.results.predictions == first.predictions
    assert other.results.rejected == first.rejected
    assert place.versions() == versions
