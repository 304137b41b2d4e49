"""Log groups: their names, their keys, their lines."""

from __future__ import annotations

import time
from typing import Any

from local.ministack.additions import physical_name
from local.ministack.place import here
from local.ministack.privates import iam, kms, logs_service, provisioners

_groups = provisioners._RESOURCE_HANDLERS["AWS::Logs::LogGroup"]
_create_group, _update_group = _groups["create"], _groups["update"]
_LOG_KEY_USES = ("Encrypt", "Decrypt", "ReEncryptFrom", "ReEncryptTo", "GenerateDataKey", "DescribeKey")


def _check_log_key(group: str, key: str | None) -> None:
    """CloudWatch takes no key that its own service may not use for the very group: only the key's policy can say so.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
    """
    if not key:
        return
    account, region = here()
    arn = f"arn:aws:logs:{region}:{account}:log-group:{group}"
    found = kms.key_policy_for_arn(key)
    for use in _LOG_KEY_USES:
        context = iam.EvalContext(
            principal_arn=(service := f"logs.{region}.amazonaws.com"),
            principal_type="Service",
            principal_account=account,
            action=f"kms:{use}",
            resource_arn=key,
            region=region,
            service_context={"kms:encryptioncontext:aws:logs:arn": arn},
        )
        if not found or iam.evaluate_resource_policy(found[0], context, service).decision != "Allow":
            raise ValueError(
                f'Resource handler returned message: "The specified KMS key does not exist or is not allowed to be '
                f"used with Arn '{arn}'\""
            )


def _create_named_group(logical_id: str, properties: dict[str, Any], stack_name: str) -> tuple[str, dict[str, Any]]:
    """CloudFormation's own names for log groups begin with the stack's, which a key's policy may ask for."""
    name = properties.get("LogGroupName") or physical_name(stack_name, logical_id, max_length=512)
    _check_log_key(name, properties.get("KmsKeyId"))
    made: tuple[str, dict[str, Any]] = _create_group(logical_id, {**properties, "LogGroupName": name}, stack_name)
    return made


def _update_named_group(
    physical_id: str, old: dict[str, Any], new: dict[str, Any], stack_name: str, logical_id: str | None = None
) -> tuple[str, dict[str, Any]]:
    was, name = old.get("LogGroupName") or physical_id, new.get("LogGroupName") or physical_id
    _check_log_key(name, new.get("KmsKeyId"))
    made: tuple[str, dict[str, Any]] = _update_group(
        physical_id, {**old, "LogGroupName": was}, {**new, "LogGroupName": name}, stack_name, logical_id
    )
    return made


_groups["create"], _groups["update"] = _create_named_group, _update_named_group


def log_streams(group: str) -> frozenset[str] | None:
    """The names of a log group's streams; None when there is no such group."""
    record = logs_service._log_groups.get(group)
    return None if record is None else frozenset(record["streams"])


def create_log_group(group: str) -> None:
    """Creates a log group that keeps its lines for ever, as AWS's own services do."""
    logs_service._create_log_group({"logGroupName": group})


def put_log_lines(group: str, stream: str, lines: list[tuple[int, str]]) -> None:
    """Appends (milliseconds since the epoch, text) lines to a log group, if the group exists."""
    record = logs_service._log_groups.get(group)
    if record is None:
        return
    now = int(time.time() * 1000)
    events = record["streams"].setdefault(
        stream,
        {
            "events": [],
            "uploadSequenceToken": "1",
            "creationTime": now,
            "firstEventTimestamp": None,
            "lastEventTimestamp": None,
            "lastIngestionTime": None,
        },
    )
    logs_service._append_log_events(
        events, [{"timestamp": at, "message": text, "ingestionTime": now} for at, text in lines]
    )
