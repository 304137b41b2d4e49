"""Cloud Control's UpdateResource for state machines: `cdk deploy --hotswap` changes a workflow with it.

MiniStack's Cloud Control knows only resources that it has made itself.
https://docs.aws.amazon.com/cloudcontrolapi/latest/APIReference/API_UpdateResource.html
"""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

from local import ministack
from local.states import cloudformation
from local.states.machines import ApiError, Engine
from local.states.problems import InvalidDefinition

Json = Any

SERVICE = "cloudcontrolapi"


def handle(engine: Engine, request: ministack.Request) -> ministack.Response:
    """Answers one request that was signed for Cloud Control."""
    action = request.headers.get("x-amz-target", "").rpartition(".")[2]
    asked = json.loads(request.body)
    if action != "UpdateResource" or asked["TypeName"] != cloudformation.TYPE:
        message = f"The embedded AWS does not serve {action} of {asked.get('TypeName')}"
        return _answer(400, {"__type": "UnsupportedActionException", "message": message})
    arn = asked["Identifier"]
    if refusal := ministack.authorize(request.access_key, "states:UpdateStateMachine", arn, region=request.region):
        return _answer(400, {"__type": "AccessDeniedException", "message": refusal})
    if arn not in engine.machines:
        message = f"Resource of type '{cloudformation.TYPE}' with identifier '{arn}' was not found."
        return _answer(400, {"__type": "ResourceNotFoundException", "message": message})
    try:
        cloudformation.patch(engine, arn, json.loads(asked["PatchDocument"]))
    except (ApiError, InvalidDefinition, ValueError) as problem:
        # AWS would answer at once and fail later, where the CLI does not look.
        return _answer(400, {"__type": "InvalidRequestException", "message": str(problem)})
    event = {
        "TypeName": cloudformation.TYPE,
        "Identifier": arn,
        "RequestToken": str(uuid.uuid4()),
        "Operation": "UPDATE",
        "OperationStatus": "SUCCESS",
        "EventTime": time.time(),
    }
    return _answer(200, {"ProgressEvent": event})


def _answer(status: int, document: Json) -> ministack.Response:
    return status, {"content-type": "application/x-amz-json-1.0"}, json.dumps(document).encode()
