"""Application Auto Scaling's resource types for stacks: ScalableTarget and ScalingPolicy.

https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-applicationautoscaling-scalabletarget.html
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from local.sagemaker.autoscaling import Scaling
from local.sagemaker.aws import Document, Place
from local.sagemaker.cloudformation import Created, Stacks, reasons
from local.sagemaker.control import SageMaker
from local.sagemaker.errors import AwsError, unserved
from local.sagemaker.shapes import check, coerce, input_shape

Operation = Callable[[Scaling, Document], Document]


@dataclass(frozen=True)
class _Records:
    sagemaker: SageMaker
    stacks: Stacks

    def _call(self, action: str, operation: Operation, request: Document) -> Document:
        place = Place(*self.stacks.here())
        shape = input_shape("application-autoscaling", action)
        document = coerce(shape, request)

        async def on_loop() -> Document:
            check(shape, document)
            return operation(self.sagemaker.scaling(place), document)

        return reasons(lambda: self.stacks.run_on_loop(on_loop()))

    def _gone(self, action: str, operation: Operation, request: Document) -> None:
        """A deletion; what is already gone is no failure."""
        place = Place(*self.stacks.here())

        async def on_loop() -> Document:
            try:
                return operation(self.sagemaker.scaling(place), request)
            except AwsError as error:
                if error.code != "ObjectNotFoundException":
                    raise
                return {}

        reasons(lambda: self.stacks.run_on_loop(on_loop()))


class Targets(_Records):
    """AWS::ApplicationAutoScaling::ScalableTarget. Ref is `<resource id>|<dimension>|<namespace>`."""

    def create(self, logical_id: str, properties: Document, stack: str) -> Created:
        if properties.get("ScheduledActions"):
            raise ValueError(str(unserved("ScalableTarget.ScheduledActions")))
        self._call("RegisterScalableTarget", Scaling.register, properties)
        fields = ("ResourceId", "ScalableDimension", "ServiceNamespace")
        physical_id = "|".join(properties[field] for field in fields)
        return physical_id, {"Id": physical_id}

    def update(self, physical_id: str, old: Document, new: Document, stack: str, logical_id: str) -> Created:
        """Registering again changes the capacities in place; another resource or dimension is another id."""
        return self.create(logical_id, new, stack)

    def delete(self, physical_id: str, properties: Document) -> None:
        self._gone("DeregisterScalableTarget", Scaling.deregister, _key(physical_id))


class Policies(_Records):
    """AWS::ApplicationAutoScaling::ScalingPolicy. Ref is the policy's ARN."""

    def create(self, logical_id: str, properties: Document, stack: str) -> Created:
        request = {key: value for key, value in properties.items() if key != "ScalingTargetId"}
        if target := properties.get("ScalingTargetId"):
            request.update(_key(target))
        arn = str(self._call("PutScalingPolicy", Scaling.put_policy, request)["PolicyARN"])
        return arn, {"Arn": arn}

    def update(self, physical_id: str, old: Document, new: Document, stack: str, logical_id: str) -> Created:
        """A policy of the same name on the same target keeps its ARN; any other is a new one."""
        return self.create(logical_id, new, stack)

    def delete(self, physical_id: str, properties: Document) -> None:
        def remove(scaling: Scaling, _request: Document) -> Document:
            for key, policy in list(scaling.policies.items()):
                if policy["PolicyARN"] == physical_id:
                    del scaling.policies[key]
            return {}

        self._gone("DeleteScalingPolicy", remove, {})


def _key(target_id: str) -> Document:
    resource, dimension, namespace = target_id.split("|")
    return {"ResourceId": resource, "ScalableDimension": dimension, "ServiceNamespace": namespace}
