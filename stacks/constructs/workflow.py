"""A Standard state machine with its log group."""

from __future__ import annotations

from aws_cdk import aws_logs as logs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from stacks.acknowledgements import acknowledge
from stacks.constructs.guard import decisions
from stacks.constructs.guard.protection import Protection
from stacks.constructs.states.durations import seconds
from stacks.settings import Settings


class Workflow(Construct):
    """Runs a chain of JSONata states, with a time limit in seconds, traces, and a log of all events without data."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        chain: sfn.IChainable,
        settings: Settings,
        timeout: int,
        protection: Protection,
    ) -> None:
        super().__init__(scope, construct_id)
        key = protection.key
        self.log_group = logs.LogGroup(
            self,
            "Logs",
            retention=settings.log_retention,
            removal_policy=settings.removal_policy,
            encryption_key=key,
        )
        self.state_machine = sfn.StateMachine(
            self,
            "StateMachine",
            definition_body=sfn.DefinitionBody.from_chainable(chain),
            query_language=sfn.QueryLanguage.JSONATA,
            timeout=seconds(timeout),
            tracing_enabled=True,
            logs=sfn.LogOptions(destination=self.log_group, level=sfn.LogLevel.ALL, include_execution_data=False),
        )
        acknowledge(self.state_machine, decisions.ROLE_FIRST, decisions.INLINE_POLICY, decisions.EVERY_RESOURCE)
        if key is None:
            acknowledge(self.log_group, decisions.AWS_KEY_ON_LOGS)
        else:
            key.encrypt_machine(self.state_machine)
