"""What a Task needs to make its call: on whose behalf, to which AWS, and what kinds of call there are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol, runtime_checkable

from botocore.awsrequest import AWSPreparedRequest

from local.states.documents import Texts

Json = Any


class UnknownIntegration(ValueError):
    """No such integration exists in AWS, or the embedded AWS does not run it."""


class ServiceError(Exception):
    """A service refused a call: AWS's error code, its message and the HTTP status."""

    def __init__(self, code: str, message: str, status: int) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


class Answer(Protocol):
    """What a function answered. `error` is set when the payload is an error document."""

    @property
    def payload(self) -> bytes: ...
    @property
    def error(self) -> str | None: ...


class Aws(Protocol):
    """The AWS that Tasks call."""

    def access_key(self, role_arn: str, machine_arn: str) -> str:
        """The access key of a session of the role, assumed as Step Functions for a machine. Raises `ServiceError`."""
        ...

    def authorize(
        self, access_key: str, action: str, resource: str, region: str, context: Mapping[str, str] | None = None
    ) -> str | None:
        """None when IAM allows it, or else AWS's message. `context` is what conditions may ask for."""
        ...

    async def invoke_function(self, function: str, payload: bytes, access_key: str, region: str) -> Answer:
        """Calls a function by name or ARN. Raises `ServiceError`."""
        ...

    def put_log_lines(self, group: str, stream: str, lines: list[tuple[int, str]]) -> None:
        """Appends (milliseconds since the epoch, text) lines to a stream, if its group exists."""
        ...

    def put_metrics(self, machine_arn: str, namespace: str, data: list[dict[str, Any]]) -> None:
        """Publishes CloudWatch metrics in a machine's account and region, each as PutMetricData takes one."""
        ...

    async def send(self, request: AWSPreparedRequest) -> tuple[int, Mapping[str, str], bytes]:
        """Sends a request and gives its answer: status, headers, body."""
        ...


@dataclass(frozen=True)
class Caller:
    """On whose behalf a Task calls: the machine's own role, in the machine's region; one for each execution."""

    role_arn: str
    machine_arn: str
    aws: Aws
    texts: Texts = field(default_factory=Texts)

    @property
    def region(self) -> str:
        """The machine's."""
        return self.machine_arn.split(":")[3]

    @property
    def access_key(self) -> str:
        """The access key of the machine's role. Raises `ServiceError` when the role cannot be assumed."""
        return self.aws.access_key(self.role_arn, self.machine_arn)

    def authorization(self, signing_name: str) -> str:
        """The header that names the caller. Nothing leaves the process, so there is no signature to check."""
        scope = f"{self.access_key}/{datetime.now(UTC):%Y%m%d}/{self.region}/{signing_name}/aws4_request"
        return f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=none"


class Integration(Protocol):
    """One kind of call. `resource_type` and `resource` are what the history shows (`lambda`, `invoke`)."""

    resource_type: str
    resource: str

    def problems(self, arguments: Json) -> Iterator[tuple[str, str]]:
        """What can be seen wrong in the arguments before anything runs: message, and path below Arguments."""
        ...

    async def call(self, arguments: Json, caller: Caller) -> Json:
        """Makes the call. Raises `StateFailure` with the error AWS would give."""
        ...


@runtime_checkable
class Followed(Integration, Protocol):
    """A call that begins something; the task ends when that has ended (`.sync`)."""

    async def follow(self, arguments: Json, caller: Caller) -> Json:
        """What it ended with. Raises `StateFailure`."""
        ...
