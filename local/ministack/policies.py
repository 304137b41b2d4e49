"""What IAM allows: MiniStack's decisions, kept while nothing changes that they come from."""

from __future__ import annotations

import functools
import json
import re
import time
from collections.abc import Callable, Mapping
from typing import Any

from local.ministack.privates import iam, iam_actions, provisioners, responses, sts

_parse_policy = iam.parse_policy_document
_parsed: dict[str, list[Any]] = {}


def _parse_policy_once(document: str | dict[str, Any]) -> list[Any]:
    """Parsed statements by the policy's text: policies are read again for each call, and rarely change."""
    text = document if isinstance(document, str) else json.dumps(document)
    statements = _parsed.get(text)
    if statements is None:
        if len(_parsed) > 4096:
            _parsed.clear()
        statements = _parsed[text] = _parse_policy(document)
    return statements


iam.parse_policy_document = _parse_policy_once


_DECISION_SECONDS = 1.0
"""How long a decision holds at most: sessions end, and conditions may name the time."""

_changes = 0
"""How often something may have changed that IAM's decisions come from."""


def note_change() -> None:
    global _changes
    _changes += 1


class _Kept(dict[Any, tuple[int, float, Any]]):
    """What was found out from policies, for as long as nothing that it came from can have changed."""

    def found(self, key: Any, find: Callable[[], Any]) -> Any:
        """The value of the key: kept, or what `find` gives now."""
        changes, now = _changes, time.monotonic()
        kept = self.get(key)
        if kept is not None and kept[0] == changes and kept[1] > now:
            return kept[2]
        if len(self) > 4096:
            self.clear()
        value = find()
        self[key] = (changes, now + _DECISION_SECONDS, value)
        return value


def _after(handler: Callable[..., Any]) -> Callable[..., Any]:
    """The handler of a resource, after which everything is asked again."""

    def handle(*args: Any) -> Any:
        try:
            return handler(*args)
        finally:
            note_change()

    return handle


# Stacks create, update and delete in the background, when their request has long been answered.
for _handlers in provisioners._RESOURCE_HANDLERS.values():
    for _name in _handlers.keys() & {"create", "update", "delete", "import"}:
        _handlers[_name] = _after(_handlers[_name])

_decisions = _Kept()
_principals = _Kept()
_resolve_principal = iam.resolve_principal


def _resolve_once(access_key: str, account: str, credential: Any = None) -> Any:
    """A key's owner and policies. MiniStack gathers them for each call; its `credential` is the key's own."""
    return _principals.found((access_key, account), lambda: _resolve_principal(access_key, account, credential))


iam.resolve_principal = _resolve_once


@functools.lru_cache(maxsize=4096)
def _pattern(written: str, ignore_case: bool) -> re.Pattern[str]:
    """A policy's pattern: `*` and `?` stand for any characters, line ends among them, and the end is the end.

    By MiniStack's own a key with a line end in it would slip past a Deny, and one that ends so match another's Allow.
    """
    wild = {"*": ".*", "?": "."}
    expression = "".join(wild.get(char) or re.escape(char) for char in written)
    return re.compile(rf"(?:{expression})\Z", re.DOTALL | (re.IGNORECASE if ignore_case else 0))


iam._fnmatch_compile = _pattern


def authorize(
    access_key: str, action: str, resource: str, *, region: str, context: Mapping[str, str] | None = None
) -> str | None:
    """None when IAM allows the action on the resource to the key's owner, or else AWS's message.

    `context` has what the service says of the request to conditions, such as `kms:ViaService`.
    """
    said = tuple((context or {}).items())
    key = (access_key, action, resource, region, said, responses.get_account_id())
    message: str | None = _decisions.found(key, lambda: _decision(access_key, action, resource, region, dict(said)))
    return message


def _decision(access_key: str, action: str, resource: str, region: str, context: dict[str, str]) -> str | None:
    service = action.partition(":")[0]
    denied = iam.enforce(access_key, action, service, region, resource, service_context=context)
    if denied is None:
        return None
    if isinstance(denied, iam.AuthError):
        return str(denied.message)
    explicit = denied.decision == "Deny"
    return str(iam_actions.identity_denial_message(action, denied.principal_arn, resource, explicit))


def note_allowed(note: Callable[[str, str, str], None]) -> None:
    """Has `note(caller's ARN, action, resource)` called whenever IAM, from now on, allows somebody something."""
    enforce = iam.enforce

    def noting(access_key: str, action: str, service: str, region: str, resource_arn: str = "*", **more: Any) -> Any:
        denied = enforce(access_key, action, service, region, resource_arn, **more)
        if denied is None:
            note(principal(access_key), action, resource_arn)
        return denied

    iam.enforce = noting


def principal(access_key: str) -> str:
    """The ARN of a key's owner, as far as it is known: of a session or of a user."""
    session = sts._sessions.get(access_key) or {}
    return str(session.get("Arn", ""))
