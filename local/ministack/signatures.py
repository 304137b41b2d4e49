"""Whose a request is: what its signature covers, and whether it holds."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from local.ministack.callers import pin
from local.ministack.privates import ACCOUNT, iam, responses
from local.ministack.shapes import Message

# S3's words for it: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-auth-using-authorization-header.html
NOT_SIGNED = "There were headers present in the request which were not signed"
_DIGEST = re.compile(r"[0-9a-f]{64}")


def scope_of(headers: Mapping[str, str]) -> list[str]:
    """[access key, date, region, service, "aws4_request"] of a SigV4 header, or nothing."""
    authorization = headers.get("authorization", "")
    if not authorization.startswith("AWS4-HMAC-SHA256 "):
        return []
    credential = authorization.partition("Credential=")[2].partition(",")[0]
    scope = credential.split("/")
    return scope if len(scope) == 5 else []


def failure(scope: Message, headers: dict[str, str], query: dict[str, list[str]], body: bytes) -> Any:
    """Why the signature of a request does not hold, as MiniStack's AuthError, or None when it does."""
    signed = headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0]
    if not all_signed(headers, signed):
        return iam.AuthError("AccessDenied", NOT_SIGNED)
    raw_path = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
    pin(scope["method"], raw_path, query, scope["headers"])
    iam.pin_signed_body(body)
    checked = iam.authenticate(scope_of(headers)[0], ACCOUNT)
    if isinstance(checked, iam.AuthError):
        return checked
    # MiniStack takes S3's digest of the body as it is told.
    told = headers.get("x-amz-content-sha256", "")
    if _DIGEST.fullmatch(told) and told != hashlib.sha256(body).hexdigest():
        return iam.AuthError("XAmzContentSHA256Mismatch", "The provided 'x-amz-content-sha256' header does not match.")
    return None


def is_known(access_key: str) -> bool:
    """Whether the key is of this run. Whether its signature holds is another question."""
    account = responses._account_from_sts_session(access_key) or iam.find_iam_access_key_account(access_key)
    return account is not None


def is_short(headers: Mapping[str, str]) -> bool:
    """Whether the body is no longer than a custom resource's answer, of 4,096 bytes at most, can be.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-responses.html
    """
    length = headers.get("content-length", "")
    return length.isdecimal() and len(length) <= 4 and int(length) <= 4096


def all_signed(headers: Mapping[str, str], signed: str) -> bool:
    """Whether the signature covers every header that tells AWS what to do: what is added would count too."""
    names = signed.strip().lower().split(";")
    return all(name in names for name in headers if name.startswith("x-amz-"))


def account_of(access_key: str) -> str:
    """The account of a key's owner."""
    return str(responses._account_from_sts_session(access_key) or ACCOUNT)
