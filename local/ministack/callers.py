"""Who may call: the run's own root key, and signatures that were checked."""

from __future__ import annotations

import contextvars
import secrets
from typing import Any

from local import keep
from local.ministack.privates import ACCOUNT, KEPT, application, iam, sts
from local.ministack.shapes import Credentials


def _root_session() -> Credentials:
    """The run's own key, known as the account's root; its signatures are checked like any other's."""
    known = keep.read(KEPT / "root.json") if KEPT else None
    fresh = f"AKIA{secrets.token_hex(8).upper()}", secrets.token_urlsafe(30)
    access_key, secret_key = known or fresh
    root = Credentials(access_key, secret_key, "")
    if KEPT and known is None:
        keep.write(KEPT / "root.json", fresh)
    sts.register_session(
        root.access_key,
        {
            "Arn": f"arn:aws:iam::{ACCOUNT}:root",
            "AccountId": ACCOUNT,
            "UserId": ACCOUNT,
            "PrincipalType": "Root",
            "SecretAccessKey": root.secret_key,
            "SessionToken": None,
        },
    )
    return root


def _no_root_key(_access_key: str) -> bool:
    return False


iam.is_root_access_key = _no_root_key
sts.is_root_access_key = _no_root_key
ROOT = _root_session()

verified: contextvars.ContextVar[str] = contextvars.ContextVar("verified", default="")
pin = application.pin_signed_request


def _pin_verified(*request: Any) -> None:
    """MiniStack's note of whose request it is: already known where our gate has checked the signature."""
    if key := verified.get():
        iam._signed_request.set(None)
        iam._verified_key.set(key)
        iam._anonymous.set(False)
    else:
        pin(*request)


application.pin_signed_request = _pin_verified


def _pin_nothing(*_origin: Any) -> None:
    """Every request comes from 127.0.0.1, and counts as encrypted."""


# It stands for AWS's HTTPS endpoints, and nothing leaves the machine. Bucket policies that refuse plain HTTP, as
# the CDK's own bootstrap bucket has one, would refuse everything.
iam._request_origin = contextvars.ContextVar("origin", default=("127.0.0.1", True))
application.pin_request_origin = _pin_nothing
_resolve_key = iam._resolve_condition_key


def _resolve_tls_version(key: str, context: Any) -> Any:
    """MiniStack knows no `s3:TlsVersion`, and a Deny that asks for an unknown key would never apply."""
    return "1.3" if key.lower() == "s3:tlsversion" else _resolve_key(key, context)


iam._resolve_condition_key = _resolve_tls_version
