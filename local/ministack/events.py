"""EventBridge: what it tells of objects, whom it may call and how often, and the rules with a schedule."""

from __future__ import annotations

import contextvars
import json
import logging
from collections.abc import Mapping
from typing import Any

from local.ministack.place import here
from local.ministack.privates import events, iam, lambda_service, s3

_log = logging.getLogger(__name__)
_object_version: contextvars.ContextVar[str | None] = contextvars.ContextVar("object_version", default=None)
_rule: contextvars.ContextVar[Mapping[str, Any]] = contextvars.ContextVar("rule")
_fire_s3_event, _dispatch_event, _invoke_target = s3._fire_s3_event, events._dispatch_event, events._invoke_target


def _fire_versioned_event(*args: Any, **kwargs: Any) -> None:
    _object_version.set(kwargs.get("version_id"))
    _fire_s3_event(*args, **kwargs)


def _dispatch_versioned_event(event: dict[str, Any], view: Any = None) -> None:
    """MiniStack tells S3's own notifications which version of an object it is, and EventBridge not.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
    """
    version = _object_version.get()
    if version and event.get("Source") == "aws.s3":
        detail = json.loads(event["Detail"])
        detail["object"]["version-id"] = version
        event = {**event, "Detail": json.dumps(detail)}
    _dispatch_event(event, view)


def _invoke_target_of(target: dict[str, Any], event: dict[str, Any], rule: dict[str, Any], view: Any = None) -> None:
    _rule.set(rule)
    _invoke_target(target, event, rule, view)


def _may_be_called(function_arn: str, service: str, source_arn: str) -> bool:
    """Whether the function's own policy lets the service call it for that source.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html
    """
    account, region = here()
    found = lambda_service.function_policy_for_arn(function_arn)
    context = iam.EvalContext(
        principal_arn=service,
        principal_type="Service",
        principal_account=account,
        action="lambda:InvokeFunction",
        resource_arn=function_arn,
        region=region,
        service_context={"aws:sourceaccount": account, "aws:sourcearn": source_arn},
    )
    return bool(found) and iam.evaluate_resource_policy(found[0], context, service).decision == "Allow"


def _dispatch_to_function(arn: str, payload: str) -> None:
    """MiniStack asks for no permission, and calls a function that fails only once."""
    source = str(_rule.get()["Arn"])
    if not _may_be_called(arn, "events.amazonaws.com", source):
        _log.warning("EventBridge may not call %s for %s: the event is lost", arn, source)
        return
    record, config, name = lambda_service._get_func_record_for_ref(arn)
    if not record or not config:
        _log.warning("EventBridge: there is no function %s", name)
        return
    called = lambda_service._execution_record_for_config(record, config)
    lambda_service.invoke_async_with_retry(called, json.loads(payload))


s3._fire_s3_event = _fire_versioned_event
events._dispatch_event = _dispatch_versioned_event
events._invoke_target = _invoke_target_of
events._dispatch_to_lambda = _dispatch_to_function


def run_schedules(now: float) -> None:
    """Calls the targets of the rules whose time has come, `now` being in seconds since the epoch."""
    real = events._now_ts
    events._now_ts = lambda: now
    try:
        events._tick_scheduled_rules()
    finally:
        events._now_ts = real


def has_schedules() -> bool:
    """Whether any rule has a schedule."""
    return any(rule.get("ScheduleExpression") for rule in events._rules._data.values())
