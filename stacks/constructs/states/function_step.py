"""A task state that calls one of our functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from constructs import Construct

from stacks.constructs.function.python_function import PythonFunction
from stacks.constructs.states.durations import time_limit
from stacks.constructs.states.failures import LAMBDA_TRANSIENT, Caught, handle_function_failures
from stacks.settings import MARGIN_SECONDS

PAYLOAD = "{% $states.result.Payload %}"
"""What the function returned."""


class FunctionStep(tasks.LambdaInvoke):
    """Calls the function with the state's input, or with `payload`; the output is what it returns, or `outputs`."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        function: PythonFunction,
        failed: sfn.IChainable,
        payload: Mapping[str, Any] | None = None,
        outputs: Any = PAYLOAD,
        assign: Mapping[str, Any] | None = None,
        transient: Sequence[str] = LAMBDA_TRANSIENT,
        caught: Caught | None = None,
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            query_language=sfn.QueryLanguage.JSONATA,
            lambda_function=function.function,
            payload=sfn.TaskInput.from_object(payload) if payload is not None else None,
            outputs=outputs,
            assign=assign,
            task_timeout=time_limit(function.timeout + MARGIN_SECONDS),
            retry_on_service_exceptions=False,
        )
        handle_function_failures(self, failed=failed, transient=transient, caught=caught)
