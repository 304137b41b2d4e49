"""The service integrations a Task may name."""

from __future__ import annotations

import re

from local.states.aws_sdk import AwsSdkCall
from local.states.calling import Integration, UnknownIntegration
from local.states.lambda_invoke import LambdaInvoke
from local.states.sync import TransformJob


class WithToken:
    """A call whose task goes on until somebody who has its token says how it ended (`.waitForTaskToken`)."""

    def __init__(self, call: Integration) -> None:
        self.resource_type = call.resource_type
        self.resource = f"{call.resource}.waitForTaskToken"
        self.problems = call.problems
        self.call = call.call


_RESOURCE = re.compile(
    r"arn:aws[a-z-]*:states:[a-z0-9-]*:\d*:(?P<service>aws-sdk:[a-z0-9]+|[a-z0-9]+):(?P<action>[\w.]+)"
)


def find_integration(resource: str, kind: str) -> Integration:
    """The integration that a Task's Resource names, in a machine of type `kind`. Raises `UnknownIntegration`."""
    match = _RESOURCE.fullmatch(resource)
    if not match:
        raise UnknownIntegration(_unknown(resource))
    service, action = match["service"], match["action"]
    name, _, pattern = action.partition(".")
    if pattern and kind == "EXPRESS":
        raise UnknownIntegration(f"Express state machine does not support '.{pattern}' service integration")
    if (service, action) == ("sagemaker", "createTransformJob.sync"):
        return TransformJob()
    found: Integration | None = None
    if pattern in ("", "waitForTaskToken"):
        if (service, name) == ("lambda", "invoke"):
            found = LambdaInvoke()
        elif service.startswith("aws-sdk:"):
            found = AwsSdkCall.find(service.removeprefix("aws-sdk:"), name, resource)
    if found is not None:
        return WithToken(found) if pattern else found
    raise UnknownIntegration(_unknown(resource))


def _unknown(resource: str) -> str:
    return (
        f"The resource provided {resource} is not recognized. "
        "The value is not a valid resource ARN, or the resource is not available in this region."
    )
