"""Lambda functions as deployed, and what runs them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from local.ministack.place import scope
from local.ministack.privates import lambda_service


@dataclass(frozen=True)
class Function:
    """A Lambda function's version as deployed: GetFunctionConfiguration's fields, and the zip."""

    config: Mapping[str, Any]
    code: bytes


def find_function(name_or_arn: str) -> Function | None:
    """The function, version or alias that a name or an ARN (with or without a qualifier) means."""
    name, qualifier = lambda_service._resolve_name_and_qualifier(name_or_arn)
    parts = name_or_arn.split(":")
    with scope(parts[4], parts[3]) if name_or_arn.startswith("arn:") else nullcontext():
        record = lambda_service._functions.get(name)
    if record is None:
        return None
    if qualifier and qualifier != "$LATEST":
        alias = record.get("aliases", {}).get(qualifier)
        version = alias.get("FunctionVersion", "$LATEST") if alias else qualifier
        if version != "$LATEST":
            record = record["versions"].get(version)
            if record is None:
                return None
    return Function(record["config"], record.get("code_zip") or b"")


Execute = Callable[[Function, bytes, str], tuple[bytes, str | None, str]]
_execute_elsewhere = lambda_service._execute_function_warm
_emit_logs = lambda_service._emit_lambda_logs


def replace_executor(execute: Execute) -> None:
    """Runs Python functions with `execute(function, payload, request id)`, called from a worker thread.

    It returns the payload, "Unhandled" or None, and the end of the log, which it has written itself.
    """

    def ours(config: Mapping[str, Any]) -> bool:
        return str(config.get("Runtime", "")).startswith("python") and config.get("PackageType") != "Image"

    def run(record: dict[str, Any], event: Any, request_id: str) -> dict[str, Any]:
        config = record.get("config") or record
        if not ours(config) or not record.get("code_zip"):
            return dict(_execute_elsewhere(record, event, request_id))
        function = Function(config, record["code_zip"])
        payload, error, tail = execute(function, json.dumps(event).encode(), request_id)
        return {"body": payload, "error": error is not None, "function_error": error, "log": tail}

    def emit(record: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        if not ours(record.get("config") or record):
            _emit_logs(record, *args, **kwargs)

    lambda_service._execute_function_warm = run
    lambda_service._emit_lambda_logs = emit
