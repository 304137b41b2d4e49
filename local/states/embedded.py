"""The AWS that Tasks call, within the process: MiniStack's services and our functions, IAM asked each time."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, cast

from botocore.awsrequest import AWSPreparedRequest

from lambda_src.contract import MAX_STATE_BYTES
from local import faults, functions, ministack
from local.states.calling import ServiceError

_SERVICE = "states.amazonaws.com"


class EmbeddedAws:
    """See `local.states.calling.Aws`."""

    def access_key(self, role_arn: str, machine_arn: str) -> str:
        """See `Aws`."""
        try:
            session = ministack.role_session(role_arn, "StepFunctions", service=_SERVICE, source_arn=machine_arn)
        except ministack.RoleError as problem:
            raise ServiceError("AccessDeniedException", str(problem), 400) from problem
        return session.access_key

    def authorize(
        self, access_key: str, action: str, resource: str, region: str, context: Mapping[str, str] | None = None
    ) -> str | None:
        """See `Aws`."""
        return ministack.authorize(access_key, action, resource, region=region, context=context)

    async def invoke_function(
        self, function: str, payload: bytes, access_key: str, region: str
    ) -> functions.Invocation:
        """See `Aws`."""
        arn = function if function.startswith("arn:") else _function_arn(function, region)
        if refusal := self.authorize(access_key, "lambda:InvokeFunction", arn, region):
            raise ServiceError("AccessDeniedException", refusal, 403)
        invoke = partial(functions.current().invoke, arn, payload, compact_below=MAX_STATE_BYTES)
        try:
            if faults.watching():
                return await faults.around_invoke(arn, partial(ministack.principal, access_key), invoke)
            return await invoke()
        except faults.CallFailed as problem:
            raise ServiceError(problem.code, problem.message, problem.status) from problem
        except functions.FunctionNotFoundError as problem:
            raise ServiceError("ResourceNotFoundException", f"Function not found: {arn}", 404) from problem

    def put_log_lines(self, group: str, stream: str, lines: list[tuple[int, str]]) -> None:
        """See `Aws`."""
        ministack.put_log_lines(group, stream, lines)

    def put_metrics(self, machine_arn: str, namespace: str, data: list[dict[str, Any]]) -> None:
        """See `Aws`."""
        _, _, _, region, account, *_ = machine_arn.split(":")
        with ministack.scope(account, region):
            ministack.put_metrics(namespace, data)

    async def send(self, request: AWSPreparedRequest) -> tuple[int, Mapping[str, str], bytes]:
        """See `Aws`."""
        try:
            return await ministack.send(cast(ministack.Prepared, request))  # its headers are a mapping, by another name
        except faults.CallFailed as problem:
            raise ServiceError(problem.code, problem.message, problem.status) from problem


def _function_arn(name: str, region: str) -> str:
    return f"arn:aws:lambda:{region}:{ministack.ACCOUNT}:function:{name}"
