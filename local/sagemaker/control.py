"""SageMaker as one embedded AWS has it: each API call checked, allowed by IAM, and carried out."""

from __future__ import annotations

import json
from collections.abc import Callable
from urllib.parse import unquote

import aiohttp

from local.clock import Clock
from local.sagemaker import models, operations, registry
from local.sagemaker.autoscaling import RESOURCE, Scaling
from local.sagemaker.aws import Aws, Document, Place, Request, Response
from local.sagemaker.endpoints import Endpoints, describe
from local.sagemaker.errors import AwsError, denied, invalid
from local.sagemaker.metrics import Metrics
from local.sagemaker.runtime import SECONDS, Runtime
from local.sagemaker.scaler import Scaler
from local.sagemaker.shapes import check, input_shape, service_model
from local.sagemaker.store import Store
from local.sagemaker.transform import TransformJobs

Operation = Callable[[Store, Document], Document]
NO_DEREGISTER = (
    # Recorded: https://github.com/awslabs/stable-diffusion-aws-extension/issues/161
    "An Application AutoScaling scalable target exists for a variant being deleted, and the IAM identity used to "
    "invoke DeleteEndpoint does not have application-autoscaling:DeregisterScalableTarget permission to deregister "
    "the scalable target."
)


class SageMaker:
    """The control plane, the runtime and the scaling of every account and region.

    Use on one event loop only; `close()` stops every model server.
    """

    def __init__(self, aws: Aws, *, invocation_seconds: float = SECONDS, clock: Clock | None = None) -> None:
        self._aws = aws
        self._client: aiohttp.ClientSession | None = None
        self._stores: dict[Place, Store] = {}
        self._scaling: dict[Place, Scaling] = {}
        self.metrics = Metrics(aws.put_metrics)
        clock = clock or Clock()
        self.endpoints = Endpoints(aws, self._session, self.metrics, clock, lambda it: self._runtime.changed(it))
        self.transforms = TransformJobs(aws, self._session)
        self._runtime = Runtime(aws, self._session, self.metrics, invocation_seconds)
        self.scaler = Scaler(aws, self.endpoints, self.metrics, self._runtime.backlog, clock)
        self._operations: dict[str, Operation] = {
            "CreateModel": lambda store, request: models.create_model(store, aws, request),
            "DescribeModel": lambda store, request: store.model(request["ModelName"]),
            "ListModels": operations.list_models,
            "DeleteModel": operations.delete_model,
            "CreateModelPackageGroup": registry.create_group,
            "DescribeModelPackageGroup": lambda store, request: store.group(request["ModelPackageGroupName"]),
            "CreateModelPackage": registry.create,
            "DescribeModelPackage": registry.describe,
            "UpdateModelPackage": registry.update,
            "CreateEndpointConfig": models.create_config,
            "DescribeEndpointConfig": lambda store, request: store.config(request["EndpointConfigName"]),
            "ListEndpointConfigs": operations.list_configs,
            "DeleteEndpointConfig": operations.delete_config,
            "CreateEndpoint": self.endpoints.create,
            "DescribeEndpoint": lambda store, request: describe(store.endpoint(request["EndpointName"])),
            "ListEndpoints": operations.list_endpoints,
            "UpdateEndpoint": self._update_endpoint,
            "CreateTransformJob": self.transforms.create,
            "DescribeTransformJob": self.transforms.describe,
            "StopTransformJob": self.transforms.stop,
            "AddTags": operations.add_tags,
            "ListTags": operations.list_tags,
            "DeleteTags": operations.delete_tags,
        }

    def store(self, place: Place) -> Store:
        return self._stores.setdefault(place, Store(place))

    @property
    def stores(self) -> list[Store]:
        """Those of every place where there is anything."""
        return list(self._stores.values())

    def scaling(self, place: Place) -> Scaling:
        if place not in self._scaling:
            scaling = Scaling(place, lambda: self.scaler.watch(self.store(place), scaling))
            self._scaling[place] = scaling
        return self._scaling[place]

    async def handle(self, request: Request) -> Response:
        """Answers one request that was signed for service `sagemaker`: of the control plane or the runtime."""
        place = Place(request.account, request.region)
        try:
            if (called := invoked(request)) is not None:
                name, kind = called
                if kind == "async-invocations":
                    return self._runtime.invoke_async(self.store(place), name, request)
                return await self._runtime.invoke(self.store(place), name, request)
            action, document = _read("sagemaker", request)
            self._allow(request, place, action, document)
            if action == "DeleteEndpoint":
                return _written(self.delete_endpoint(place, document["EndpointName"], request.access_key))
            return _written(self.call(place, action, document))
        except AwsError as error:
            return error.response()

    async def handle_scaling(self, request: Request) -> Response:
        """Answers one request that was signed for service `application-autoscaling`."""
        place = Place(request.account, request.region)
        scaling = self.scaling(place)
        operations = {
            "RegisterScalableTarget": scaling.register,
            "DeregisterScalableTarget": scaling.deregister,
            "DescribeScalableTargets": scaling.describe_targets,
            "PutScalingPolicy": scaling.put_policy,
            "DeleteScalingPolicy": scaling.delete_policy,
            "DescribeScalingPolicies": scaling.describe_policies,
        }
        try:
            action, document = _read("application-autoscaling", request)
            if action not in operations:
                raise _unknown(action)
            self._authorize(request.access_key, place, f"application-autoscaling:{action}", "*")
            return _written(operations[action](document))
        except AwsError as error:
            return error.response()

    def call(self, place: Place, action: str, document: Document) -> Document:
        """Carries out one action of the control plane for the embedded AWS itself, without asking IAM.

        Raises `AwsError`. DeleteEndpoint is `delete_endpoint`.
        """
        if action not in self._operations:
            raise _unknown(action)
        check(input_shape("sagemaker", action), document)
        return self._operations[action](self.store(place), document)

    def delete_endpoint(self, place: Place, name: str, access_key: str | None = None) -> Document:
        """DeleteEndpoint. A scalable target on it is deregistered, if the caller may do that, as AWS does."""
        store, scaling = self.store(place), self.scaling(place)
        endpoint = store.endpoint(name)
        for target in scaling.of_endpoint(name):
            action = "application-autoscaling:DeregisterScalableTarget"
            if access_key and self._aws.authorize(access_key, action, "*", region=place.region) is not None:
                raise invalid(NO_DEREGISTER)
            keys = ("ServiceNamespace", "ResourceId", "ScalableDimension")
            scaling.deregister({key: target[key] for key in keys})
        self.endpoints.delete(store, name)
        self._runtime.forget(endpoint)
        return {}

    async def close(self) -> None:
        """Stops every model server. Nothing can be called afterwards."""
        await self.scaler.close()
        await self.transforms.close()
        await self._runtime.close()
        await self.endpoints.close()
        if self._client is not None:
            await self._client.close()

    def _update_endpoint(self, store: Store, request: Document) -> Document:
        """UpdateEndpoint, which leaves variants that scale, and their instance types, as they are.

        https://docs.aws.amazon.com/sagemaker/latest/dg/endpoint-scaling-update.html; its wording is not confirmed.
        """
        now, new = (
            {variant["VariantName"]: variant for variant in config["ProductionVariants"]}
            for config in (
                store.endpoint(request["EndpointName"]).config,
                store.config(request["EndpointConfigName"]),
            )
        )
        for target in self.scaling(store.place).of_endpoint(request["EndpointName"]):
            name = RESOURCE.sub(r"\g<variant>", target["ResourceId"])
            if name in now and new.get(name, {}).get("InstanceType") != now[name].get("InstanceType"):
                raise invalid(
                    f'Variant(s) "[{name}]" must be deregistered as scalable targets with AutoScaling before they can '
                    "be removed or have their instance type updated."
                )
        return self.endpoints.update(store, request)

    def _session(self) -> aiohttp.ClientSession:
        if self._client is None:
            # No limit of its own: each instance's queue is its server's.
            connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=600)
            self._client = aiohttp.ClientSession(connector=connector, auto_decompress=False)
        return self._client

    def _allow(self, request: Request, place: Place, action: str, document: Document) -> None:
        for resource in _resources(place, action, document):
            self._authorize(request.access_key, place, f"sagemaker:{action}", resource)
        if action == "CreateModel" and document.get("ExecutionRoleArn"):
            self._authorize(request.access_key, place, "iam:PassRole", document["ExecutionRoleArn"])

    def _authorize(self, access_key: str, place: Place, action: str, resource: str) -> None:
        message = self._aws.authorize(access_key, action, resource, region=place.region)
        if message is not None:
            raise denied(message)


def invoked(request: Request) -> tuple[str, str] | None:
    """The endpoint that a request to the runtime names, and how it is called; None for the control plane."""
    parts = request.path.strip("/").split("/")
    if len(parts) == 3 and parts[0] == "endpoints" and request.method == "POST":
        if parts[2] in ("invocations", "async-invocations"):
            return unquote(parts[1]), parts[2]
        raise _unknown(f"POST {request.path}")
    return None


def _resources(place: Place, action: str, document: Document) -> list[str]:
    """What IAM is asked about, by the service authorization reference of SageMaker.

    An endpoint made or updated from a configuration needs the action on both:
    https://github.com/aws-controllers-k8s/community/issues/1889
    """
    kinds = (("ModelName", "model"), ("EndpointName", "endpoint"), ("EndpointConfigName", "endpoint-config"))
    if (group := document.get("ModelPackageGroupName")) is not None:
        return [place.arn("model-package-group", group)]
    if "TransformJobName" in document:
        # The job alone is what CreateTransformJob asks about: its model's role, not the caller, reads and writes.
        return [place.arn("transform-job", document["TransformJobName"])]
    if (package := document.get("ModelPackageArn") or document.get("ModelPackageName")) is not None:
        return [package if package.startswith("arn:") else place.arn("model-package", package)]
    named = [place.arn(kind, document[field]) for field, kind in kinds if document.get(field)]
    return named or [document.get("ResourceArn") or "*"]


def _read(service: str, request: Request) -> tuple[str, Document]:
    """(action, document) of a JSON 1.1 request, checked against the service's model."""
    model = service_model(service)
    prefix, _, action = request.headers.get("x-amz-target", "").partition(".")
    if prefix != model.metadata["targetPrefix"] or action not in model.operation_names:
        raise _unknown(action or f"{request.method} {request.path}")
    try:
        document = json.loads(request.body or b"{}")
    except ValueError:
        raise AwsError("SerializationException", "The request is not valid JSON") from None
    check(input_shape(service, action), document)
    return action, {key: value for key, value in document.items() if value is not None}


def _unknown(action: str) -> AwsError:
    return AwsError("UnknownOperationException", f"The embedded AWS does not serve {action}.")


def _written(document: Document) -> Response:
    return 200, {"content-type": "application/x-amz-json-1.1"}, json.dumps(document).encode()
