"""A Python Lambda function from `lambda_src/`, with its own role and its own log group."""

from __future__ import annotations

import functools
from pathlib import Path

from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_python_alpha as lambda_python
from aws_cdk import aws_logs as logs
from constructs import Construct

from stacks.acknowledgements import Decision, acknowledge
from stacks.constructs.function.function_build import SOURCES, Target, build_function
from stacks.constructs.guard import decisions
from stacks.constructs.guard.protection import Protection
from stacks.constructs.guard.trust import lambda_here
from stacks.constructs.states.durations import seconds
from stacks.settings import NEWEST_PYTHON, Settings


class PythonFunction(Construct):
    """`lambda_src/<module>.py`'s `handler`, built without Docker.

    The role holds what the function needs and no managed policy; others add to it by their grant methods.
    `timeout` is in seconds, by default the settings' `function_timeout`; `delivery` is why no call gets lost.
    The app has to run with the context `aws:cdk:bundling-stacks: []`, so that the folder goes up as it is.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        module: str,
        settings: Settings,
        protection: Protection,
        model: Path | None = None,
        environment: dict[str, str] | None = None,
        timeout: int | None = None,
        delivery: Decision = decisions.CALLED_AND_AWAITED,
    ) -> None:
        super().__init__(scope, construct_id)
        self.timeout = timeout or settings.function_timeout
        target = Target(settings.python_version, settings.architecture, here=settings.on_this_machine)
        self.log_group = logs.LogGroup(
            self,
            "Logs",
            retention=settings.log_retention,
            removal_policy=settings.removal_policy,
            encryption_key=protection.key,
        )
        self.role = iam.Role(self, "Role", assumed_by=lambda_here())
        self.log_group.grant_write(self.role)
        network = protection.network
        if network is not None:
            network.grant_function_interfaces(self.role)
        folder = build_function(module, target, model=model)
        self.function = UnqualifiedFunction(
            self,
            "Function",
            entry=str(folder),
            # The folder's name ends in a digest of what it was made from: nobody has to read all of it once more.
            bundling=lambda_python.BundlingOptions(asset_hash=folder.name.rpartition("-")[2]),
            index=f"{SOURCES.name}/{module}.py",
            runtime=_runtime(settings.python_version),
            architecture=_architecture(settings.architecture),
            memory_size=settings.function_memory,
            timeout=seconds(self.timeout),
            role=self.role,
            log_group=self.log_group,
            tracing=lambda_.Tracing.ACTIVE,
            environment=environment,
            vpc=network.vpc if network else None,
            security_groups=[network.functions] if network else None,
        )
        if protection.key is None:
            acknowledge(self.log_group, decisions.AWS_KEY_ON_LOGS)
        acknowledge(self.role, decisions.INLINE_POLICY, decisions.EVERY_RESOURCE)
        acknowledge(
            self.function,
            decisions.ROLE_FIRST,
            delivery,
            decisions.SHARED_CONCURRENCY,
        )
        if network is None:
            acknowledge(self.function, decisions.OUTSIDE_A_VPC)
        if environment:
            acknowledge(self.function, decisions.NO_SECRET_IN_THE_ENVIRONMENT)
        if settings.python_version != NEWEST_PYTHON:
            acknowledge(self.function, decisions.THIS_MACHINES_PYTHON)


# One object of each serves all functions: every new one is a call into the CDK's own process.
@functools.cache
def _runtime(python_version: str) -> lambda_.Runtime:
    return lambda_.Runtime(f"python{python_version}", lambda_.RuntimeFamily.PYTHON)


@functools.cache
def _architecture(name: str) -> lambda_.Architecture:
    return lambda_.Architecture.ARM_64 if name == "arm64" else lambda_.Architecture.X86_64


class UnqualifiedFunction(lambda_python.PythonFunction):
    """A function whose invokers may not name a version or an alias: there are none, and the library allows both."""

    @functools.cached_property
    def _arns(self) -> list[str]:
        return [self.function_arn]

    @property
    def resource_arns_for_grant_invoke(self) -> list[str]:
        return self._arns
