"""The task state that asks a SageMaker endpoint for predictions, with no function in between."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from constructs import Construct

from stacks.constructs.endpoint.model_endpoint import ModelEndpoint
from stacks.constructs.states.durations import time_limit
from stacks.constructs.states.failures import Caught, handle_endpoint_failures
from stacks.settings import ENDPOINT_SECONDS, MARGIN_SECONDS

BODY = "$states.result.Body"
ANSWER = (
    f"($type({BODY}) = 'string' ? $parse({BODY}) : {BODY})[$exists(predictions)]"
    ".{'predictions': predictions, 'version': version, 'variant': $states.result.InvokedProductionVariant}"
)
"""The model's answer, and who gave it; nothing, which is an error, where it has no predictions.

A part of it that is not there is left out. Step Functions hands a blob over as text in the services that were
recorded; whether it does so here is not confirmed, so an object is taken as it is.
"""


class InvokeEndpoint(tasks.CallAwsService):
    """Sends `body` as JSON, and waits for the endpoint's answer; `outputs` may use `ANSWER`.

    aws-cdk-lib has no such task (https://github.com/aws/aws-cdk/issues/21610), and the action that its
    CallAwsService would derive, `sagemakerruntime:InvokeEndpoint`, does not exist.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        endpoint: ModelEndpoint,
        body: dict[str, Any],
        outputs: Any,
        failed: sfn.IChainable,
        assign: Mapping[str, Any] | None = None,
        caught: Caught | None = None,
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            query_language=sfn.QueryLanguage.JSONATA,
            service="sagemakerruntime",
            action="invokeEndpoint",
            iam_action="sagemaker:InvokeEndpoint",
            iam_resources=[endpoint.arn],
            parameters={
                "EndpointName": endpoint.name,
                "ContentType": "application/json",
                "Accept": "application/json",
                "Body": body,
            },
            outputs=outputs,
            assign=assign,
            task_timeout=time_limit(ENDPOINT_SECONDS + MARGIN_SECONDS),
        )
        handle_endpoint_failures(self, failed=failed, caught=caught)
