"""Endpoints: their states as AWS has them, and the servers that come and go with these."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from typing import Any

import aiohttp

from local.clock import Clock
from local.sagemaker.aws import Aws, Document, partition
from local.sagemaker.deployment import Ringing, Shift, Steps, shifted, steps_of
from local.sagemaker.errors import AwsError, invalid, unserved
from local.sagemaker.fields import refuse_unserved
from local.sagemaker.fleet import DEFAULT_STARTUP_SECONDS, Fleet, Servers, Variant
from local.sagemaker.instance import ServerFailed
from local.sagemaker.metrics import Metrics
from local.sagemaker.models import PRINCIPAL, container_of
from local.sagemaker.serverless import ServerlessFleet
from local.sagemaker.shadow import Shadowed
from local.sagemaker.starting import start
from local.sagemaker.store import Endpoint, Store

MAX_INSTANCES = 16
"""Servers of all endpoints of an account and region together: each is a process on this machine."""

MAX_REASON = 1024
"""https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DescribeEndpoint.html"""

IN_PROGRESS = frozenset({"Creating", "Updating", "RollingBack", "Deleting", "SystemUpdating"})


class Endpoints:
    """Creates, updates and deletes endpoints; the servers start and stop in the background."""

    def __init__(
        self,
        aws: Aws,
        session: Callable[[], aiohttp.ClientSession],
        metrics: Metrics,
        clock: Clock,
        changed: Callable[[Endpoint], None],
    ) -> None:
        """`changed` is told of an endpoint when it may have other servers than before."""
        self._aws = aws
        self._session = session
        self._metrics = metrics
        self._clock = clock
        self._changed = changed
        self._work: dict[Endpoint, asyncio.Task[None]] = {}
        self._fleets: set[Servers] = set()

    def create(self, store: Store, request: Document) -> Document:
        """The endpoint is Creating when this returns; then InService, or Failed with the server's last error."""
        refuse_unserved("CreateEndpoint", request)
        steps_of(request.get("DeploymentConfig"), 1)  # it is for updates: refused now if it would be then
        name = request["EndpointName"]
        arn = store.place.arn("endpoint", name)
        if name.lower() in store.endpoints:
            raise invalid(f'Cannot create already existing endpoint "{arn}".')
        config = store.config(request["EndpointConfigName"])
        endpoint = Endpoint(name, arn, config)
        fleet = self._fleet(store, endpoint, config["ProductionVariants"], config.get("ShadowProductionVariants"))
        store.endpoints[name.lower()] = endpoint
        store.tag(arn, request.get("Tags"))
        self._begin(endpoint, self._create(endpoint, fleet))
        return {"EndpointArn": arn}

    def update(self, store: Store, request: Document) -> Document:
        """New servers come up first and then take over; when they do not, the old ones go on serving."""
        refuse_unserved("UpdateEndpoint", request)
        endpoint = store.endpoint(request["EndpointName"])
        self._refuse_in_progress(endpoint)
        config = store.config(request["EndpointConfigName"])
        if isinstance(endpoint.fleet, Fleet | Shadowed) and "ServerlessConfig" in config["ProductionVariants"][0]:
            # AWS's rule, in words of ours: https://docs.aws.amazon.com/sagemaker/latest/dg/serverless-endpoints.html
            raise invalid(f'Cannot convert the instance-based endpoint "{endpoint.arn}" to a serverless one.')
        if ("AsyncInferenceConfig" in config) != ("AsyncInferenceConfig" in endpoint.config):
            raise unserved("An update that makes an endpoint asynchronous, or ends its being so,")
        if request.get("DeploymentConfig"):
            _check_same_variants(endpoint, config)
        fleet = self._fleet(
            store, endpoint, retained(endpoint, config, request), config.get("ShadowProductionVariants")
        )
        steps = steps_of(request.get("DeploymentConfig"), sum(variant.count for variant in fleet.variants))
        if isinstance(fleet, ServerlessFleet) and request.get("DeploymentConfig"):
            raise unserved("DeploymentConfig for a serverless endpoint")
        self._check_alarms(store, fleet, steps)

        def ringing() -> list[str]:
            self._metrics.flush()
            return self._aws.ringing(store.place, steps.alarms)

        endpoint.become("Updating")
        endpoint.deployment = request.get("DeploymentConfig")
        self._begin(endpoint, self._update(endpoint, config, fleet, steps, ringing))
        return {"EndpointArn": endpoint.arn}

    def _check_alarms(self, store: Store, fleet: Servers, steps: Steps) -> None:
        """SageMaker looks at the alarms as the models' role; what it answers where that may not is not known.

        https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-configuration.html
        """
        place = store.place
        for role in {variant.role or "" for variant in fleet.variants} if steps.alarms else ():
            session = self._aws.role_session(role, "SageMaker", service=PRINCIPAL, source_arn=place.source_arn)
            for alarm in steps.alarms:
                arn = f"arn:{partition(place.region)}:cloudwatch:{place.region}:{place.account}:alarm:{alarm}"
                message = self._aws.authorize(session.access_key, "cloudwatch:DescribeAlarms", arn, region=place.region)
                if message is not None:
                    raise invalid(f"The alarms of AutoRollbackConfiguration cannot be described: {message}")

    def scale(self, store: Store, endpoint: Endpoint, variant: Variant, count: int) -> None:
        """Gives a variant so many servers; the endpoint is Updating meanwhile, as AWS shows it. Raises `AwsError`."""
        self._refuse_in_progress(endpoint)
        fleet = endpoint.fleet.production if isinstance(endpoint.fleet, Shadowed) else endpoint.fleet
        if not isinstance(fleet, Fleet):
            raise invalid(f'Endpoint "{endpoint.arn}" has no instances to scale.')
        self._refuse_too_many(_running(store), count - variant.count)
        variant.desired = count
        endpoint.become("Updating")
        self._begin(endpoint, self._scale(endpoint, fleet, variant, count))

    def delete(self, store: Store, name: str) -> None:
        """The endpoint is Deleting when this returns, and gone when its servers are."""
        endpoint = store.endpoint(name)
        self._refuse_in_progress(endpoint)
        endpoint.become("Deleting")
        self._begin(endpoint, self._delete(store, endpoint))

    async def settled(self, endpoint: Endpoint) -> None:
        """Returns when nothing is in progress for the endpoint."""
        if (work := self._work.get(endpoint)) is not None:
            await asyncio.wait({work})

    async def close(self) -> None:
        """Stops every server of every endpoint, whatever is in progress."""
        work = list(self._work.values())
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)
        await asyncio.gather(*(fleet.stop() for fleet in self._fleets))
        self._fleets.clear()

    def _refuse_in_progress(self, endpoint: Endpoint) -> None:
        if endpoint.status in IN_PROGRESS:
            raise invalid(f'Cannot update in-progress endpoint "{endpoint.arn}".')

    def _refuse_too_many(self, used: int, delta: int) -> None:
        if delta > 0 and used + delta > MAX_INSTANCES:
            raise AwsError(
                "ResourceLimitExceeded",
                f"The account-level service limit 'Instances of the embedded AWS' is {MAX_INSTANCES} Instances, with "
                f"current utilization of {used} Instances and a request delta of {delta} Instances.",
            )

    def _begin(self, endpoint: Endpoint, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work, context=contextvars.copy_context())
        self._work[endpoint] = task

        def ended(done: asyncio.Task[None]) -> None:
            if self._work[endpoint] is done:
                del self._work[endpoint]
            self._changed(endpoint)

        task.add_done_callback(ended)

    async def _create(self, endpoint: Endpoint, fleet: Servers) -> None:
        try:
            await self._start_fleet(fleet)
        except ServerFailed as error:
            endpoint.become("Failed", str(error)[:MAX_REASON])
            return
        endpoint.fleet = fleet
        endpoint.become("InService")

    async def _update(
        self, endpoint: Endpoint, config: Document, fleet: Servers, steps: Steps, ringing: Ringing
    ) -> None:
        try:
            await self._start_fleet(fleet)
        except ServerFailed as error:
            # What serves goes on serving; an endpoint that never did has still failed.
            endpoint.become("InService" if endpoint.fleet else "Failed", str(error)[:MAX_REASON])
            return
        old = endpoint.fleet
        if old is not None:
            shift = endpoint.fleet = Shift(old, fleet)
            if rung := await shifted(shift, steps, ringing, self._clock):
                endpoint.become("RollingBack")
                endpoint.fleet = old
                await fleet.drain()
                self._fleets.discard(fleet)
                # The wording is ours.
                endpoint.become("InService", f"Rolled back: these alarms are in the ALARM state: {', '.join(rung)}")
                return
        endpoint.fleet, endpoint.config = fleet, config
        if old is not None:
            await old.drain()
            self._fleets.discard(old)
        endpoint.become("InService")

    async def _scale(self, endpoint: Endpoint, fleet: Fleet, variant: Variant, count: int) -> None:
        try:
            await fleet.scale(variant, count)
        except ServerFailed as error:
            endpoint.become("InService", str(error)[:MAX_REASON])
        else:
            endpoint.become("InService")

    async def _delete(self, store: Store, endpoint: Endpoint) -> None:
        if endpoint.fleet is not None:
            await endpoint.fleet.stop()
            self._fleets.discard(endpoint.fleet)
        store.endpoints.pop(endpoint.name.lower(), None)
        store.tags.pop(endpoint.arn, None)

    async def _start_fleet(self, fleet: Servers) -> None:
        self._fleets.add(fleet)
        try:
            await fleet.start()
        except ServerFailed:
            self._fleets.discard(fleet)
            raise

    def _fleet(
        self, store: Store, endpoint: Endpoint, variants: list[Document], shadows: list[Document] | None
    ) -> Servers:
        if (serverless := variants[0].get("ServerlessConfig")) is not None:
            variant = self._variant(store, endpoint, variants[0])
            return ServerlessFleet(variant, serverless["MaxConcurrency"], self._session())
        delta = sum(variant["InitialInstanceCount"] for variant in [*variants, *(shadows or [])])
        self._refuse_too_many(_running(store, endpoint), delta)
        production = Fleet([self._variant(store, endpoint, variant) for variant in variants], self._session())
        if not shadows:
            return production
        shadow = Fleet([self._variant(store, endpoint, variant) for variant in shadows], self._session())
        return Shadowed(production, shadow)

    def _variant(self, store: Store, endpoint: Endpoint, variant: Document) -> Variant:
        model = store.model(variant["ModelName"])
        container, role = container_of(store, model), model.get("ExecutionRoleArn")
        name, group = variant["VariantName"], f"/aws/sagemaker/Endpoints/{endpoint.name}"
        return Variant(
            name=name,
            weight=variant["InitialVariantWeight"],
            count=variant.get("InitialInstanceCount", 0),
            image=container.image,
            start=lambda: start(self._aws, store.place, container, role, group, f"{name}/local"),
            role=role,
            startup_seconds=variant.get("ContainerStartupHealthCheckTimeoutInSeconds", DEFAULT_STARTUP_SECONDS),
        )


def _running(store: Store, but: Endpoint | None = None) -> int:
    """How many servers the endpoints of a place have, all but one."""
    fleets = [endpoint.fleet for endpoint in store.endpoints.values() if endpoint.fleet and endpoint is not but]
    return sum(len(variant.instances) for fleet in fleets for variant in fleet.variants)


def _check_same_variants(endpoint: Endpoint, config: Document) -> None:
    """Traffic is shifted within variants. AWS's rule, in words of ours.

    https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-exclusions.html
    """
    old, new = (
        sorted(variant["VariantName"] for variant in it["ProductionVariants"]) for it in (endpoint.config, config)
    )
    if old != new:
        raise invalid(
            f"A deployment shifts traffic between configurations of the same variants: {', '.join(old)} cannot become "
            f"{', '.join(new)} by DeploymentConfig."
        )


def retained(endpoint: Endpoint, config: Document, request: Document) -> list[Document]:
    """The variants to start: the configuration's, or with the counts and weights that now serve, if asked so.

    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_UpdateEndpoint.html
    """
    variants: list[Document] = config["ProductionVariants"]
    if not request.get("RetainAllVariantProperties") or endpoint.fleet is None:
        return variants
    excluded = {entry["VariantPropertyType"] for entry in request.get("ExcludeRetainedVariantProperties") or []}
    serving = {variant.name: variant for variant in endpoint.fleet.variants}
    kept = []
    for variant in variants:
        current = serving.get(variant["VariantName"])
        properties: Document = {}
        counted = "InitialInstanceCount" in variant and not isinstance(endpoint.fleet, ServerlessFleet)
        if current and counted and "DesiredInstanceCount" not in excluded:
            properties["InitialInstanceCount"] = current.desired
        if current and "DesiredWeight" not in excluded:
            properties["InitialVariantWeight"] = current.weight
        kept.append({**variant, **properties})
    return kept


def describe(endpoint: Endpoint) -> Document:
    """DescribeEndpoint's answer."""
    answer: Document = {
        "EndpointName": endpoint.name,
        "EndpointArn": endpoint.arn,
        "EndpointConfigName": endpoint.config["EndpointConfigName"],
        "EndpointStatus": endpoint.status,
        "CreationTime": endpoint.created,
        "LastModifiedTime": endpoint.modified,
    }
    if endpoint.fleet is not None:
        serverless = endpoint.config["ProductionVariants"][0].get("ServerlessConfig")
        answer["ProductionVariants"] = [_summary(variant, serverless) for variant in endpoint.fleet.variants]
    if isinstance(endpoint.fleet, Shadowed):
        answer["ShadowProductionVariants"] = [_summary(variant) for variant in endpoint.fleet.shadow.variants]
    if "AsyncInferenceConfig" in endpoint.config:
        answer["AsyncInferenceConfig"] = endpoint.config["AsyncInferenceConfig"]
    if endpoint.failure is not None:
        answer["FailureReason"] = endpoint.failure
    if endpoint.deployment is not None:
        answer["LastDeploymentConfig"] = endpoint.deployment
    return answer


def _summary(variant: Variant, serverless: Document | None = None) -> Document:
    return {
        "VariantName": variant.name,
        "DeployedImages": [{"SpecifiedImage": variant.image, "ResolvedImage": variant.image}],
        "CurrentWeight": variant.weight,
        "DesiredWeight": variant.weight,
        "CurrentInstanceCount": 0 if serverless else len(variant.instances),
        "DesiredInstanceCount": variant.desired,
        **({"CurrentServerlessConfig": serverless} if serverless else {}),
    }
