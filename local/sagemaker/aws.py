"""What the embedded SageMaker needs from the embedded AWS around it, and whose request it serves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class Place:
    """Where state lives: nothing is shared between accounts or regions."""

    account: str
    region: str

    def arn(self, kind: str, name: str) -> str:
        """An ARN as SageMaker writes it, with the name in lower case."""
        return f"arn:{partition(self.region)}:sagemaker:{self.region}:{self.account}:{kind}/{name.lower()}"

    @property
    def source_arn(self) -> str:
        """What SageMaker names as the source when it assumes a model's role: no one model, but this very text.

        https://docs.aws.amazon.com/sagemaker/latest/dg/security-confused-deputy-prevention.html#security-confused-deputy-inference
        """
        return f"arn:{partition(self.region)}:sagemaker:{self.region}:{self.account}:*"


def partition(region: str) -> str:
    """The part of AWS that a region belongs to, as its ARNs name it."""
    if region.startswith("cn-"):
        return "aws-cn"
    return "aws-us-gov" if region.startswith("us-gov-") else "aws"


class HasAccessKey(Protocol):
    """Credentials, as far as a permission check needs them."""

    @property
    def access_key(self) -> str: ...


class Aws(Protocol):
    """The parts of `local.ministack` that are used here; a test can bring its own."""

    def authorize(self, access_key: str, action: str, resource: str, *, region: str) -> str | None:
        """None when IAM allows the action, else IAM's message."""

    def role_session(self, role_arn: str, session_name: str, *, service: str, source_arn: str) -> HasAccessKey:
        """Credentials of a role as `service` has them when it acts for `source_arn`.

        Raises `ValueError` when it may not assume the role.
        """

    def read_object(self, bucket: str, key: str) -> bytes:
        """An object's content. Raises `LookupError` or `OSError` when there is none."""

    async def get_object(self, access_key: str, bucket: str, key: str) -> bytes:
        """An object, read as the key's owner. Raises `ValueError` when it may not, or there is none."""
        ...

    async def put_object(self, access_key: str, bucket: str, key: str, body: bytes, content_type: str) -> None:
        """Writes an object as the key's owner. Raises `ValueError` when it may not."""

    async def list_objects(self, access_key: str, bucket: str, prefix: str) -> list[str]:
        """The keys under a prefix, in their order, as the key's owner. Raises `ValueError` when it may not."""
        ...

    async def publish(self, access_key: str, topic: str, message: str) -> None:
        """Publishes to an SNS topic as the key's owner. Raises `ValueError` when it may not."""

    def put_metrics(self, place: Place, namespace: str, data: list[dict[str, Any]]) -> None:
        """Publishes CloudWatch metrics, each as PutMetricData takes one."""

    def ringing(self, place: Place, alarms: Sequence[str]) -> list[str]:
        """Those of the named CloudWatch alarms that are in the state ALARM."""
        ...

    def alarms_on(self, place: Place, action: str) -> list[dict[str, Any]]:
        """The CloudWatch alarms that carry an action out, as DescribeAlarms shows them."""
        ...

    def log(self, access_key: str, group: str, stream: str, line: str) -> None:
        """Appends a line to a log group as the key's owner, if that may do so; here and now (`ministack.here`)."""


class Request(Protocol):
    """One API call as it came in, already authenticated; header names are in lower case."""

    @property
    def method(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def headers(self) -> dict[str, str]: ...
    @property
    def body(self) -> bytes: ...
    @property
    def account(self) -> str: ...
    @property
    def region(self) -> str: ...
    @property
    def access_key(self) -> str: ...


Response = tuple[int, dict[str, str], bytes]


Document = dict[str, Any]
"""A JSON object as an AWS API sends or takes it; times are seconds since 1970."""
