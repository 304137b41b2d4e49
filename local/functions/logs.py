"""Writes a function's log lines to its log group, with its role's permission."""

from collections.abc import Mapping
from typing import Any

from local import ministack
from local.functions.environment import log_group


def write_log(config: Mapping[str, Any], stream: str, lines: list[tuple[int, str]]) -> None:
    """Adds the lines, if the function's role may; as in AWS, one that may not leaves no log and no error."""
    _, _, _, region, account, *_ = str(config["FunctionArn"]).split(":")
    group = log_group(config)
    name = str(config["FunctionName"])
    try:
        role = ministack.role_session(str(config.get("Role")), name, service="lambda.amazonaws.com")
    except ministack.RoleError:
        return  # the role was deleted while the function ran
    resource = f"arn:aws:logs:{region}:{account}:log-group:{group}:log-stream:{stream}"
    with ministack.scope(account, region):
        if ministack.authorize(role.access_key, "logs:PutLogEvents", resource, region=region) is None:
            ministack.put_log_lines(group, stream, lines)
