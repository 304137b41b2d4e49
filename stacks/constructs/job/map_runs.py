"""What a job's machine asks of its own Map Runs, and what it may do with them."""

from __future__ import annotations

from typing import Any

from aws_cdk import ArnFormat, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from constructs import Construct

from stacks.acknowledgements import acknowledge
from stacks.constructs.guard import decisions
from stacks.constructs.states.durations import time_limit
from stacks.constructs.states.failures import failed, handle_call_failures

NAMED_WHEN_THEY_START = (
    "Executions and Map Runs are named when they start: the policy of this one machine names all of its own, and "
    "no other machine's."
)

CALL_SECONDS = 30
"""How long a call of Step Functions' own API may take."""


class MapRunCall(tasks.CallAwsService):
    """A call of Step Functions' own API. It brings no statement: `grant_map_runs` does."""

    def __init__(
        self, scope: Construct, construct_id: str, *, action: str, parameters: dict[str, Any], outputs: Any
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            query_language=sfn.QueryLanguage.JSONATA,
            service="sfn",
            action=action,
            iam_resources=[],
            parameters=parameters,
            outputs=outputs,
            task_timeout=time_limit(CALL_SECONDS),
        )
        handle_call_failures(self, failed=failed(scope, f"{construct_id}Failed", construct_id))

    @property
    def _task_policies(self) -> list[iam.PolicyStatement] | None:
        return None


def grant_map_runs(scope: Construct, machine: sfn.StateMachine) -> None:
    """Lets the machine run its own children, and look at its own Map Runs.

    In place of the library's policy, which allows more than AWS asks for: to stop executions, and to redrive
    children, where Express ones are started again. A policy of its own as that one is: the machine waits for its
    role's first policy, which so cannot name it.
    https://docs.aws.amazon.com/step-functions/latest/dg/iam-policies-eg-dist-map.html
    https://docs.aws.amazon.com/step-functions/latest/apireference/API_RedriveExecution.html
    https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsstepfunctions.html
    """
    machine.node.try_remove_child("DistributedMapPolicy")
    policy = iam.Policy(scope, "MapRunPolicy", roles=[machine.role])
    machine.grant_start_execution(policy)
    executions = Stack.of(scope).format_arn(
        service="states",
        resource="execution",
        resource_name=f"{machine.state_machine_name}:*",
        arn_format=ArnFormat.COLON_RESOURCE_NAME,
    )
    iam.Grant.add_to_principal(
        grantee=policy,
        actions=["states:DescribeExecution", "states:ListMapRuns"],
        resource_arns=[executions],
    )
    runs = Stack.of(scope).format_arn(
        service="states",
        resource="mapRun",
        resource_name=f"{machine.state_machine_name}/*:*",
        arn_format=ArnFormat.COLON_RESOURCE_NAME,
    )
    iam.Grant.add_to_principal(grantee=policy, actions=["states:DescribeMapRun"], resource_arns=[runs])
    acknowledge(policy, decisions.INLINE_POLICY, decisions.wildcard(NAMED_WHEN_THEY_START, executions, runs))
