"""No role holds a grant that no run of this session has used, but for those on the list: removal's opposite."""

from __future__ import annotations

from dataclasses import replace

import pytest

from model import examples, train
from tests.e2e.client import client_of
from tests.e2e.deployment import Deployment
from tests.e2e.grants import NEVER_ASKED, Grant, grants_of, used
from tests.e2e.runs import Jobs, Requests
from tests.synthesis import STACKS


@pytest.fixture(scope="module")
def grants(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> dict[Grant, bool]:
    """Every grant of every role, and whether it was used: by the tests before, and by a run of each kind here."""
    record = examples.request(train.load())[0]
    stored = deployment.stored(deployment.execute("InferenceStack", {"records": [record]}).output["results"])
    requests = Requests(deployment, record, stored)
    requests.provoke_model()
    with client_of(deployment, tmp_path_factory.mktemp("unused-grants")) as client:
        for stack in STACKS:
            requests.workflow(stack)
            jobs = Jobs(client, stack)
            jobs.run(objects=True)
            jobs.run(objects=False, again=True, summarized=True)
            with jobs.lost_answers():
                jobs.run(objects=False)
    allowed = deployment.allowed()
    return {grant: used(deployment, grant, allowed) for stack in STACKS for grant in grants_of(deployment, stack)}


def test_every_grant_is_used_but_those_on_the_list(grants: dict[Grant, bool]) -> None:
    assert [str(grant) for grant, is_used in grants.items() if not is_used and grant.use not in NEVER_ASKED] == []


def test_the_list_names_only_what_is_granted_and_not_used(grants: dict[Grant, bool]) -> None:
    assert [str(grant) for grant, is_used in grants.items() if is_used and grant.use in NEVER_ASKED] == []
    assert set(NEVER_ASKED) - {grant.use for grant in grants} == set()


def test_every_role_has_been_asked_for(deployment: Deployment, grants: dict[Grant, bool]) -> None:
    roles = {(grant.stack, grant.role) for grant in grants}
    assert roles == {(grant.stack, grant.role) for grant, is_used in grants.items() if is_used}


def test_a_grant_that_nobody_uses_is_seen(deployment: Deployment, grants: dict[Grant, bool]) -> None:
    for grant, is_used in grants.items():
        if is_used and grant.action == "s3:PutObject":
            assert used(deployment, grant, deployment.allowed())
            assert not used(deployment, replace(grant, action="s3:DeleteObject"), deployment.allowed())
