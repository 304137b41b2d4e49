"""SageMaker's resource types for stacks: Model, EndpointConfig and Endpoint.

Ref of each is its ARN, and GetAtt has its name:
https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-sagemaker-endpoint.html
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

from local.sagemaker.aws import Document, Place
from local.sagemaker.control import SageMaker
from local.sagemaker.errors import AwsError
from local.sagemaker.shapes import coerce, input_shape

Created = tuple[str, dict[str, str]]
"""(physical id = Ref, attributes for GetAtt)"""

MAX_NAME = 63
KINDS = {"Model": "model", "EndpointConfig": "endpoint-config", "Endpoint": "endpoint"}


class Stacks(Protocol):
    """What resource types need of the embedded AWS's CloudFormation."""

    def physical_name(self, stack_name: str, logical_id: str, *, max_length: int, replacing: bool = False) -> str:
        """A name as CloudFormation makes one."""

    def here(self) -> tuple[str, str]:
        """(account, region) of the deployment under way."""

    def run_on_loop(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Runs a coroutine on the server's event loop, from a worker thread, and waits."""


class ResourceType(Protocol):
    """The three functions of a resource type. They raise `ValueError` with the reason for a person."""

    def create(self, logical_id: str, properties: Document, stack: str) -> Created: ...

    def update(self, physical_id: str, old: Document, new: Document, stack: str, logical_id: str) -> Created: ...

    def delete(self, physical_id: str, properties: Document) -> None: ...


@dataclass(frozen=True)
class Named:
    """A model or an endpoint configuration: any change but of its tags is a replacement."""

    sagemaker: SageMaker
    stacks: Stacks
    kind: str
    """A key of `KINDS`"""

    @property
    def field(self) -> str:
        return f"{self.kind}Name"

    def create(self, logical_id: str, properties: Document, stack: str) -> Created:
        return self._create(logical_id, properties, stack, replacing=False)

    def update(self, physical_id: str, old: Document, new: Document, stack: str, logical_id: str) -> Created:
        if {**old, "Tags": None} == {**new, "Tags": None}:
            return self._retag(physical_id, old, new)
        if new.get(self.field) and new.get(self.field) == old.get(self.field):
            raise ValueError(
                "CloudFormation cannot update a stack when a custom-named resource requires replacing. "
                f"Rename {new[self.field]} and update the stack again."
            )
        return self._create(logical_id, new, stack, replacing=True)

    def delete(self, physical_id: str, properties: Document) -> None:
        try:
            self._call(f"Delete{self.kind}", {self.field: _name(physical_id)})
        except ValueError as error:
            _unless_gone(error)

    def _create(self, logical_id: str, properties: Document, stack: str, *, replacing: bool) -> Created:
        name = properties.get(self.field) or self.stacks.physical_name(
            stack, logical_id, max_length=MAX_NAME, replacing=replacing
        )
        self._call(f"Create{self.kind}", {**properties, self.field: name})
        return self._place().arn(KINDS[self.kind], name), {self.field: name}

    def _retag(self, arn: str, old: Document, new: Document) -> Created:
        tags = new.get("Tags") or []
        gone = {tag["Key"] for tag in old.get("Tags") or []} - {tag["Key"] for tag in tags}
        if gone:
            self._call("DeleteTags", {"ResourceArn": arn, "TagKeys": sorted(gone)})
        if tags:
            self._call("AddTags", {"ResourceArn": arn, "Tags": tags})
        described = self._call(f"Describe{self.kind}", {self.field: _name(arn)})
        return arn, {self.field: described[self.field]}

    def _call(self, action: str, request: Document) -> Document:
        """One action on the event loop, where all state lives."""
        place = self._place()
        document = coerce(input_shape("sagemaker", action), request)

        async def on_loop() -> Document:
            return self.sagemaker.call(place, action, document)

        return reasons(lambda: self.stacks.run_on_loop(on_loop()))

    def _place(self) -> Place:
        return Place(*self.stacks.here())


UPDATE_ONLY = ("RetainAllVariantProperties", "ExcludeRetainedVariantProperties", "RetainDeploymentConfig")
"""Properties of an endpoint that only UpdateEndpoint takes."""


@dataclass(frozen=True)
class Endpoints(Named):
    """An endpoint: it is there when it is InService, and a new configuration updates it in place."""

    kind: str = "Endpoint"

    def update(self, physical_id: str, old: Document, new: Document, stack: str, logical_id: str) -> Created:
        if new.get("EndpointName") != old.get("EndpointName"):
            return self._create(logical_id, new, stack, replacing=True)
        request = {key: value for key, value in new.items() if key not in ("Tags", "EndpointName")}
        place, name = self._place(), _name(physical_id)
        document = coerce(input_shape("sagemaker", "UpdateEndpoint"), request)

        async def on_loop() -> Document:
            endpoint = self.sagemaker.store(place).endpoint(name)
            await self.sagemaker.endpoints.settled(endpoint)
            # A rollback comes back to the configuration that never stopped serving.
            if endpoint.config["EndpointConfigName"] != document["EndpointConfigName"]:
                self.sagemaker.call(place, "UpdateEndpoint", {**document, "EndpointName": name})
                await self.sagemaker.endpoints.settled(endpoint)
                if endpoint.failure is not None:
                    raise ValueError(endpoint.failure)
            return {}

        reasons(lambda: self.stacks.run_on_loop(on_loop()))
        return self._retag(physical_id, old, new)

    def delete(self, physical_id: str, properties: Document) -> None:
        place, name = self._place(), _name(physical_id)

        async def on_loop() -> Document:
            endpoint = self.sagemaker.store(place).endpoint(name)
            await self.sagemaker.endpoints.settled(endpoint)
            if endpoint.status != "Deleting":
                self.sagemaker.delete_endpoint(place, name)
                await self.sagemaker.endpoints.settled(endpoint)
            return {}

        try:
            reasons(lambda: self.stacks.run_on_loop(on_loop()))
        except ValueError as error:
            _unless_gone(error)

    def _create(self, logical_id: str, properties: Document, stack: str, *, replacing: bool) -> Created:
        request = {key: value for key, value in properties.items() if key not in UPDATE_ONLY}
        created = super()._create(logical_id, request, stack, replacing=replacing)
        place, name = self._place(), _name(created[0])

        async def on_loop() -> str | None:
            endpoint = self.sagemaker.store(place).endpoint(name)
            await self.sagemaker.endpoints.settled(endpoint)
            return endpoint.failure if endpoint.status == "Failed" else None

        if (failure := self.stacks.run_on_loop(on_loop())) is not None:
            # The stack never learns of it, so it cannot take it away.
            self.delete(created[0], properties)
            raise ValueError(failure)
        return created


def reasons(work: Callable[[], Any]) -> Document:
    """Runs the work; AWS's error becomes the resource's reason."""
    try:
        answer: Document = work()
    except AwsError as error:
        raise ValueError(f"{error.message} ({error.code})") from error
    return answer


def _name(arn: str) -> str:
    return arn.rpartition("/")[2]


def _unless_gone(error: ValueError) -> None:
    """What somebody has already deleted is no failure of a deletion."""
    if "Could not find" not in str(error):
        raise error
