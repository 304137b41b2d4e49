"""SageMaker in the embedded AWS: models, endpoint configurations, endpoints and their servers.

`install()` adds it, `close()` stops every server. Imports happen inside: a model server imports this package
too, and needs nothing of the embedded AWS.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from local.sagemaker.aws import Place
    from local.sagemaker.control import SageMaker

_installed: SageMaker | None = None


def install() -> None:
    """Registers the services `sagemaker` and `application-autoscaling` and their resource types."""
    global _installed
    import time

    from local import logs, ministack
    from local.sagemaker.calls import Calls
    from local.sagemaker.cloudformation import Endpoints, Named, ResourceType
    from local.sagemaker.control import SageMaker
    from local.sagemaker.scaling_resources import Policies, Targets

    class Around(Calls):
        """`local.ministack` and calls as a role, with a log line as SageMaker writes one: it makes the group."""

        authorize = staticmethod(ministack.authorize)
        role_session = staticmethod(ministack.role_session)
        read_object = staticmethod(ministack.read_object)

        def put_metrics(self, place: Place, namespace: str, data: list[dict[str, Any]]) -> None:
            with ministack.scope(place.account, place.region):
                ministack.put_metrics(namespace, data)

        def ringing(self, place: Place, alarms: Sequence[str]) -> list[str]:
            with ministack.scope(place.account, place.region):
                return ministack.ringing(alarms)

        def alarms_on(self, place: Place, action: str) -> list[dict[str, Any]]:
            with ministack.scope(place.account, place.region):
                return ministack.alarms_on(action)

        def log(self, access_key: str, group: str, stream: str, line: str) -> None:
            account, region = ministack.here()
            lines = [(int(time.time() * 1000), line)]
            logs.write(access_key, group, stream, lines, account=account, region=region, create_group=True)

    sagemaker = SageMaker(Around())
    ministack.add_service("sagemaker", sagemaker.handle)
    ministack.add_service("application-autoscaling", sagemaker.handle_scaling)
    resources: dict[str, ResourceType] = {
        "AWS::SageMaker::Model": Named(sagemaker, ministack, "Model"),
        "AWS::SageMaker::EndpointConfig": Named(sagemaker, ministack, "EndpointConfig"),
        "AWS::SageMaker::Endpoint": Endpoints(sagemaker, ministack),
        "AWS::ApplicationAutoScaling::ScalableTarget": Targets(sagemaker, ministack),
        "AWS::ApplicationAutoScaling::ScalingPolicy": Policies(sagemaker, ministack),
    }
    for name, resource in resources.items():
        ministack.add_resource_type(name, ministack.ResourceType(resource.create, resource.update, resource.delete))
    _installed = sagemaker


def snapshot() -> Any:
    """What is to be there again after the end of this process, as JSON."""
    from local.sagemaker import kept

    return kept.dump(_installed) if _installed is not None else []


async def restore(known: Any) -> None:
    """Puts back what `snapshot` gave."""
    from local.sagemaker import kept

    if _installed is not None:
        await kept.restore(_installed, known)


async def close() -> None:
    """Stops every model server. Does nothing where nothing is installed."""
    global _installed
    if _installed is not None:
        sagemaker, _installed = _installed, None
        await sagemaker.close()
