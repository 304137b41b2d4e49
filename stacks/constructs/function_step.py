"""A task state that calls one of our functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aws_cdk import Duration
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from constructs import Construct

from stacks.constructs.failures import LAMBDA_TRANSIENT, handle_failures
from stacks.constructs.python_function import PythonFunction

MARGIN = 5
"""Seconds a task waits longer than its function may run, so that a timeout is told by the function itself."""


class FunctionStep(tasks.LambdaInvoke):
    """Calls the function with the state's input, or with `payload`; its output is what the function returns."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        function: PythonFunction,
        failed: sfn.Fail,
        payload: Mapping[str, Any] | None = None,
        transient: Sequence[str] = LAMBDA_TRANSIENT,
    ) -> None:
        super().__init__(
            scope,
            id,
            query_language=sfn.QueryLanguage.JSONATA,
            lambda_function=function.function,
            payload=sfn.TaskInput.from_object(payload) if payload is not None else None,
            outputs="{% $states.result.Payload %}",
            task_timeout=sfn.Timeout.duration(Duration.seconds(function.timeout + MARGIN)),
            retry_on_service_exceptions=False,
        )
        handle_failures(self, transient=transient, failed=failed)
