"""The integration `sagemaker:createTransformJob.sync`: a job that is followed to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from local.states.aws_sdk import AwsSdkCall
from local.states.calling import Caller
from local.states.documents import text
from local.states.failures import TASK_FAILED, StateFailure

Json = Any

SECONDS = 0.05
"""Between two looks at the job. AWS is told by an event, and looks from time to time too."""

RULE = "StepFunctionsGetEventsForSageMakerTransformJobsRule"
RULE_ACTIONS = ("events:PutTargets", "events:PutRule", "events:DescribeRule")
"""What the machine's role needs for the rule that Step Functions manages, besides the calls themselves.
https://docs.aws.amazon.com/step-functions/latest/dg/sagemaker-iam.html
"""


class TransformJob:
    """Creates a job, and ends when it does; when its task is stopped, so is the job.

    https://docs.aws.amazon.com/step-functions/latest/dg/connect-sagemaker.html
    """

    resource_type = "sagemaker"
    resource = "createTransformJob.sync"

    def __init__(self) -> None:
        self._create, self._describe, self._stop = (
            AwsSdkCall.find("sagemaker", f"{verb}TransformJob", self.resource)
            for verb in ("create", "describe", "stop")
        )

    def problems(self, arguments: Json) -> Iterator[tuple[str, str]]:
        """See `Integration`."""
        return self._create.problems(arguments)

    async def call(self, arguments: Json, caller: Caller) -> Json:
        """See `Integration`. What SageMaker answers to the request."""
        _check_rule(caller)
        try:
            return await self._create.call(arguments, caller)
        except StateFailure as failure:
            # This integration is older than the SDK whose names the others have; it is not confirmed that it keeps it.
            name = str(failure.error).replace("SageMakerException", "AmazonSageMakerException")
            raise StateFailure(name, failure.cause) from failure

    async def follow(self, arguments: Json, caller: Caller) -> Json:
        """The job as it ended. Raises `StateFailure` for one that did not complete: the cause is its description."""
        name = {"TransformJobName": arguments["TransformJobName"]}
        try:
            while (job := await self._describe.call(name, caller))["TransformJobStatus"] in ("InProgress", "Stopping"):
                await asyncio.sleep(SECONDS)
        except BaseException:
            await asyncio.shield(self._stop.call(name, caller))
            raise
        if job["TransformJobStatus"] != "Completed":
            raise StateFailure(TASK_FAILED, text(job))
        return job


def _check_rule(caller: Caller) -> None:
    """Raises `StateFailure` without the permission. AWS asks when the machine is made, here it is when it runs."""
    account = caller.role_arn.split(":")[4]
    rule = f"arn:aws:events:{caller.region}:{account}:rule/{RULE}"
    for action in RULE_ACTIONS:
        if (refused := caller.aws.authorize(caller.access_key, action, rule, caller.region)) is not None:
            raise StateFailure(
                "States.Runtime", f"'{caller.role_arn}' is not authorized to create managed-rule: {refused}"
            )
