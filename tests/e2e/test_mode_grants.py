"""What only another mode grants is needed there: each is used, and where it is missing the very call is refused."""

from __future__ import annotations

import pytest

from model import examples, train
from tests.e2e.client import client_of
from tests.e2e.deployment import Deployment
from tests.e2e.grants import NEVER_ASKED_IN_MODES, Grant, grants_of, grants_of_requests, used, without
from tests.e2e.test_grants import REFUSAL, concerns
from tests.faults.given import NO_JSON
from tests.injection import faults
from tests.synthesis import ROOT, unhashed

STACK = "InferenceStack"
GOOD = examples.request(train.load())[:2]
RECORDS = [*GOOD, {**GOOD[0], **NO_JSON, "id": "poison"}]
"""With one that the model refuses: it takes what a refused batch takes."""
UNHEARD = {
    "AsyncModelResumeInferenceRole": "nobody tells the task, which only ends with its time",
    "logs:CreateLogStream": "the work goes on without a log",
    "logs:PutLogEvents": "the work goes on without a log",
    "/aws/sagemaker/TransformJobs": "the work goes on without a log",
    "sns:Publish": "nobody hears of the answer",
    "/async/failed/*": "the object that says why is for a person: the notification says so too",
}
"""Grants whose lack no execution's error names, by role, action or resource, and why: they are only seen used."""


@pytest.fixture
def own(deployment: Deployment, other: Deployment) -> list[Grant]:
    """The grants of the other mode that have no like in the default one."""

    def known(grant: Grant) -> tuple[str, str, str]:
        return unhashed(grant.role), grant.action, grant.resource

    usual = {known(grant) for grant in grants_of(deployment, STACK)}
    return [it for it in grants_of(other, STACK) if known(it) not in usual and it.use not in NEVER_ASKED_IN_MODES]


def test_each_grant_of_a_mode_is_used(
    own: list[Grant], other: Deployment, tmp_path_factory: pytest.TempPathFactory
) -> None:
    fails_once = {"service": "model", "status": 500, "answer": "out of luck", "nth": 1}
    with faults(other.ready, fails_once):
        assert other.execute(STACK, {"records": RECORDS}).status == "SUCCEEDED"
    with client_of(other, tmp_path_factory.mktemp("mode-grants")) as client:
        submit = ("submit", ROOT / "examples" / "records.csv", "--wait")
        assert client.run(*submit).status == 0
        store = f"*:{other.named(STACK, 'StoreResultsFunction')}"
        denied = {"service": "lambda", "action": "Invoke", "resource": store, "error": "AccessDeniedException"}
        with faults(other.ready, denied):
            assert client.run(*submit).status == 1
    allowed = other.allowed()
    assert own
    assert [str(grant) for grant in own if not used(other, grant, allowed)] == []


def test_each_grant_of_a_mode_is_needed_by_the_very_call_that_is_refused_without_it(
    own: list[Grant], other: Deployment, subtests: pytest.Subtests
) -> None:
    of_requests = grants_of_requests(other, STACK)
    for grant in own:
        silent = any(name in (unhashed(grant.role), grant.action) or name in grant.resource for name in UNHEARD)
        if grant not in of_requests or silent:
            continue
        with subtests.test(str(grant)):
            with without(other, [grant]):
                execution = other.execute(STACK, {"records": RECORDS})
            assert execution.status == "FAILED", "the execution succeeded without it"
            refused = REFUSAL.search(execution.cause)
            assert refused, execution.cause
            assert refused["action"] == grant.action
            assert refused["resource"] is None or concerns(other, grant, refused["resource"])
