"""What the embedded SageMaker remembers of one account and region, and how it is found, listed and tagged."""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from local.sagemaker.aws import Document, Place
from local.sagemaker.errors import invalid
from local.sagemaker.fleet import Servers

if TYPE_CHECKING:
    from local.sagemaker.transform import TransformJob

PAGE = 10
"""Entries of a list where the caller does not say: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ListEndpoints.html"""


@dataclass(eq=False)
class Endpoint:
    """An endpoint: its state as AWS names it, and the servers that answer for it while there are any."""

    name: str
    arn: str
    config: Document
    status: str = "Creating"
    failure: str | None = None
    deployment: Document | None = None
    fleet: Servers | None = None
    created: float = field(default_factory=time.time)
    modified: float = field(default_factory=time.time)

    def become(self, status: str, failure: str | None = None) -> None:
        self.status, self.failure, self.modified = status, failure, time.time()


@dataclass
class Store:
    """One account and region. Names are keys in lower case, as they are in ARNs: AWS takes them as the same."""

    place: Place
    models: dict[str, Document] = field(default_factory=dict)
    groups: dict[str, Document] = field(default_factory=dict)
    packages: dict[str, Document] = field(default_factory=dict)
    """Versions of the Model Registry, by `group/version`."""
    configs: dict[str, Document] = field(default_factory=dict)
    endpoints: dict[str, Endpoint] = field(default_factory=dict)
    transforms: dict[str, TransformJob] = field(default_factory=dict)
    tags: dict[str, dict[str, str]] = field(default_factory=dict)

    def model(self, name: str) -> Document:
        """Raises AWS's error for a name that is none."""
        if (found := self.models.get(name.lower())) is None:
            raise invalid(f'Could not find model "{self.place.arn("model", name)}".')
        return found

    def group(self, name: str) -> Document:
        if (found := self.groups.get(name.lower())) is None:
            raise invalid(f"ModelPackageGroup {self.place.arn('model-package-group', name)} does not exist.")
        return found

    def package(self, name: str) -> Document:
        """A version by its ARN, or by `group/version`."""
        own = name.lower().removeprefix(self.place.arn("model-package", ""))
        if (found := self.packages.get(own)) is None:
            raise invalid(f"ModelPackage {name} does not exist.")
        return found

    def config(self, name: str) -> Document:
        if (found := self.configs.get(name.lower())) is None:
            raise invalid(f'Could not find endpoint configuration "{self.place.arn("endpoint-config", name)}".')
        return found

    def endpoint(self, name: str) -> Endpoint:
        if (found := self.endpoints.get(name.lower())) is None:
            raise invalid(f'Could not find endpoint "{self.place.arn("endpoint", name)}".')
        return found

    def has(self, arn: str) -> bool:
        """Whether the ARN names something that is here and can carry tags."""
        kind, _, name = arn.rsplit(":", 1)[-1].partition("/")
        kept: dict[str, Iterable[str]] = {
            "model": self.models,
            "model-package-group": self.groups,
            "endpoint-config": self.configs,
            "endpoint": self.endpoints,
            "transform-job": self.transforms,
        }
        return name in kept.get(kind, ()) and arn == self.place.arn(kind, name)

    def tag(self, arn: str, tags: list[dict[str, str]] | None) -> None:
        self.tags.setdefault(arn, {}).update({tag["Key"]: tag["Value"] for tag in tags or []})

    def tag_list(self, arn: str) -> list[dict[str, str]]:
        return [{"Key": key, "Value": value} for key, value in self.tags.get(arn, {}).items()]


def page(summaries: list[Document], kind: str, request: Document) -> Document:
    """One page of a list operation's answer: filtered, sorted and cut as the request says.

    `summaries` have `<kind>Name`, `CreationTime` and, for endpoints, `LastModifiedTime` and `EndpointStatus`.
    """
    name = f"{kind}Name"
    found = [entry for entry in summaries if request.get("NameContains", "").lower() in entry[name].lower()]
    for time_field in ("CreationTime", "LastModifiedTime"):
        if (before := request.get(f"{time_field}Before")) is not None:
            found = [entry for entry in found if entry[time_field] < before]
        if (after := request.get(f"{time_field}After")) is not None:
            found = [entry for entry in found if entry[time_field] > after]
    if status := request.get("StatusEquals"):
        found = [entry for entry in found if entry["EndpointStatus"] == status]
    key = {"Name": name, "Status": "EndpointStatus"}.get(request.get("SortBy", ""), "CreationTime")
    found.sort(key=lambda entry: entry[key], reverse=request.get("SortOrder", "Descending") == "Descending")
    start = _offset(request.get("NextToken"))
    end = start + request.get("MaxResults", PAGE)
    answer: Document = {f"{kind}s": found[start:end]}
    if end < len(found):
        answer["NextToken"] = base64.b64encode(str(end).encode()).decode()
    return answer


def _offset(token: str | None) -> int:
    if token is None:
        return 0
    try:
        return int(base64.b64decode(token, validate=True))
    except (binascii.Error, ValueError):
        raise invalid("Invalid pagination token.") from None
