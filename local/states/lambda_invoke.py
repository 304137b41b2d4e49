"""The optimised integration `states:::lambda:invoke`: one synchronous call of a function."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from lambda_src.contract import MAX_STATE_BYTES
from local.states.calling import Caller, ServiceError
from local.states.documents import compact, loads
from local.states.expressions import is_expression
from local.states.failures import DATA_LIMIT_EXCEEDED, StateFailure, too_large

Json = Any

_ARGUMENTS = frozenset({"FunctionName", "Payload", "Qualifier", "InvocationType", "LogType", "ClientContext"})
_NOT_RUN = {"InvocationType": "RequestResponse", "LogType": "None"}


class LambdaInvoke:
    """Calls a function with the machine's role, and waits for its answer.

    Arguments and errors: https://docs.aws.amazon.com/step-functions/latest/dg/connect-lambda.html
    """

    resource_type = "lambda"
    resource = "invoke"

    def problems(self, arguments: Json) -> Iterator[tuple[str, str]]:
        """See `Integration`."""
        if is_expression(arguments):
            return
        if not isinstance(arguments, dict) or "FunctionName" not in arguments:
            yield "The field 'FunctionName' is required but was missing", ""
            return
        for name, value in arguments.items():
            if name not in _ARGUMENTS:
                yield f"The field '{name}' is not supported by Step Functions", f"/{name}"
            elif name == "ClientContext" or value != _NOT_RUN.get(name, value):
                yield f"The embedded AWS does not run '{name}' {json.dumps(value)}", f"/{name}"

    async def call(self, arguments: Json, caller: Caller) -> Json:
        """See `Integration`. A function's own exception fails with its class name, as AWS does it."""
        for message, _ in self.problems(arguments):
            raise StateFailure("States.Runtime", message)
        function = arguments["FunctionName"]
        if qualifier := arguments.get("Qualifier"):
            function = f"{function}:{qualifier}"
        payload = caller.texts.of(arguments.get("Payload", {}))
        try:
            invocation = await caller.aws.invoke_function(function, payload, caller.access_key, caller.region)
        except ServiceError as problem:
            cause = f"{problem.message} (Service: Lambda, Status Code: {problem.status})"
            raise StateFailure(f"Lambda.{_error_name(problem.code)}", cause) from problem
        if invocation.error is not None:
            raise _function_failure(invocation.payload)
        if len(invocation.payload) > MAX_STATE_BYTES:
            raise StateFailure(DATA_LIMIT_EXCEEDED, too_large("lambda"))
        try:
            payload_read = loads(invocation.payload)
        except ValueError as problem:
            raise StateFailure("States.Runtime", f"The function's answer cannot be read: {problem}") from problem
        result = {
            "ExecutedVersion": "$LATEST",
            "Payload": payload_read,
            "SdkHttpMetadata": {"HttpStatusCode": 200},
            "StatusCode": 200,
        }
        # What is well below the limit need not be written out again to be weighed.
        if len(invocation.payload) > MAX_STATE_BYTES - _AROUND_BYTES and len(compact(result)) > MAX_STATE_BYTES:
            raise StateFailure(DATA_LIMIT_EXCEEDED, too_large("lambda"))
        return result


_AROUND_BYTES = 1024
"""More than a result has around its payload."""

_MODELLED = frozenset(
    {
        "ResourceNotFoundException",
        "TooManyRequestsException",
        "ServiceException",
        # The SDK's own, for calls without an answer.
        "ClientExecutionTimeoutException",
        "SdkClientException",
    }
)


def _error_name(code: str) -> str:
    """AWS names what it has no class for, access denied among it, by the service's base exception."""
    return code if code in _MODELLED else "AWSLambdaException"


def _function_failure(payload: bytes) -> StateFailure:
    text = payload.decode("utf-8", "replace")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        document = None
    kind = document.get("errorType") if isinstance(document, dict) else None
    return StateFailure(kind if isinstance(kind, str) and kind else "Lambda.Unknown", text)
