"""Roles as services assume them: the trust policy decides."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from local.ministack.privates import ACCOUNT, iam, iam_service, sts
from local.ministack.shapes import Credentials, RoleError

_trusted: dict[tuple[str, str, str], bool] = {}


def _assumable(role: Mapping[str, Any], service: str, source_arn: str) -> bool:
    """`_trusts`, known from the last time for the same trust policy."""
    document = role.get("AssumeRolePolicyDocument") or "{}"
    text = unquote(document) if isinstance(document, str) else json.dumps(document)
    key = (text, service, source_arn)
    if key not in _trusted:
        if len(_trusted) > 4096:
            _trusted.clear()
        _trusted[key] = _trusts(role, text, service, source_arn)
    return _trusted[key]


def _trusts(role: Mapping[str, Any], document: str, service: str, source_arn: str) -> bool:
    """Whether the role's trust policy lets the service assume it: a statement allows it, and none denies it.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
    """
    statements = json.loads(document).get("Statement") or []
    context = iam.EvalContext(
        principal_arn=service,
        principal_type="Service",
        principal_account=ACCOUNT,
        action="sts:AssumeRole",
        resource_arn=str(role.get("Arn")),
        region=source_arn.split(":")[3],
        service_context={"aws:sourceaccount": source_arn.split(":")[4], "aws:sourcearn": source_arn},
    )
    effects = set()
    for statement in [statements] if isinstance(statements, dict) else statements:
        actions = statement.get("Action") or []
        named = [actions] if isinstance(actions, str) else actions
        principal = statement.get("Principal")
        if (
            iam._action_matches("sts:AssumeRole", named, ["*"] if not named else [])
            and (principal == "*" or iam._service_principal_matches(principal, service))
            and iam._conditions_met(statement.get("Condition") or {}, context)
        ):
            effects.add(statement.get("Effect"))
    return effects == {"Allow"}


def _role(role_arn: str) -> Mapping[str, Any] | None:
    account = role_arn.split(":")[4] if role_arn.count(":") >= 5 else ACCOUNT
    role: Mapping[str, Any] | None = iam_service._roles.get_scoped(account, None, role_arn.rsplit("/", 1)[-1])
    return role if role is not None and role.get("Arn") == role_arn else None


_SESSION_SECONDS = 12 * 3600
_role_sessions: dict[tuple[str, str, str], tuple[float, Credentials]] = {}


def role_session(role_arn: str, session_name: str, *, service: str, source_arn: str) -> Credentials:
    """Credentials of the role as `service` ("states.amazonaws.com") has them; one session a name, kept.

    `source_arn` is what the service acts for: a trust policy may name it (`aws:SourceArn`) and its account
    (`aws:SourceAccount`). Raises RoleError when the role does not exist, or its trust policy lets the service not
    assume it for that.
    """
    role = _role(role_arn)
    if role is None or not _assumable(role, service, source_arn):
        raise RoleError(
            f"Neither the global service principal {service}, nor the regional one is authorized to assume "
            f"the provided role {role_arn}."
        )
    key = (role_arn, session_name, service)
    known = _role_sessions.get(key)
    if known is not None and known[0] > time.time():
        return known[1]
    fresh = Credentials(f"ASIA{secrets.token_hex(8).upper()}", secrets.token_urlsafe(30), secrets.token_urlsafe(60))
    name, account = role_arn.rsplit("/", 1)[-1], role_arn.split(":")[4]
    sts.register_session(
        fresh.access_key,
        {
            "Arn": f"arn:aws:sts::{account}:assumed-role/{name}/{session_name[:64]}",
            "UserId": f"{role.get('RoleId', name)}:{session_name[:64]}",
            "SecretAccessKey": fresh.secret_key,
            "SessionToken": fresh.token,
            "Expiration": time.time() + _SESSION_SECONDS,
        },
    )
    if len(_role_sessions) > 4096:
        _role_sessions.clear()
    _role_sessions[key] = (time.time() + _SESSION_SECONDS / 2, fresh)
    return fresh
