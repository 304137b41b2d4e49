"""What travels through the embedded AWS's foundation: requests, answers, credentials, resource types."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

Response = tuple[int, dict[str, str], bytes]
Handle = Callable[["Request"], Awaitable[Response]]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


@dataclass(frozen=True)
class Request:
    """One AWS API call as it came in, already authenticated. Header names are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    query: dict[str, list[str]]
    account: str
    region: str
    access_key: str


@dataclass(frozen=True)
class ResourceType:
    """A CloudFormation resource type: plain functions, called from a worker thread, never on the event loop.

    create(logical id, properties, stack name) -> (physical id, which Ref gives; attributes for GetAtt)
    update(physical id, old, new properties, stack name, logical id) -> the same; another physical id is a
    replacement, and the stack deletes the old resource when the update succeeds
    delete(physical id, properties)
    A raised error fails the resource with its text as the reason, and the stack rolls back.
    """

    create: Callable[[str, dict[str, Any], str], tuple[str, dict[str, str]]]
    update: Callable[[str, dict[str, Any], dict[str, Any], str, str], tuple[str, dict[str, str]]]
    delete: Callable[[str, dict[str, Any]], None]


@dataclass(frozen=True)
class Credentials:
    """AWS credentials; the token is empty for the run's root key."""

    access_key: str
    secret_key: str
    token: str


class RoleError(ValueError):
    """A role that does not exist, or does not trust the service that asks for it."""


class Prepared(Protocol):
    """What `send` needs of a request: botocore's AWSPreparedRequest has it."""

    method: str
    url: str
    headers: Mapping[str, Any]
    body: Any
