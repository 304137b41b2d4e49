"""InvokeEndpoint: a request passed on to one of an endpoint's servers, and its answer in AWS's words."""

from __future__ import annotations

import asyncio
import contextlib
import io
import time
from collections.abc import Callable, Mapping

import aiohttp

from local import faults
from local.sagemaker.asynchronous import Queue
from local.sagemaker.aws import Aws, Place, Request, Response, partition
from local.sagemaker.capture import Capture
from local.sagemaker.errors import AwsError, denied, unserved
from local.sagemaker.faulty import instead_of
from local.sagemaker.fleet import Busy, NoServer, Variant
from local.sagemaker.instance import Instance
from local.sagemaker.metrics import Metrics
from local.sagemaker.serverless import ServerlessFleet
from local.sagemaker.shadow import Shadowed
from local.sagemaker.store import Endpoint, Store

MAX_BODY = 6 * 1024**2
"""https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html"""

MAX_SERVERLESS_BODY = 4 * 1024**2
"""https://docs.aws.amazon.com/sagemaker/latest/dg/serverless-endpoints.html"""

SECONDS = 60.0
"""A model container must answer within this: same page."""

LARGE = 2**20

ATTRIBUTES = "x-amzn-sagemaker-custom-attributes"

UNSERVED = {
    # Parameters of InvokeEndpoint, by the header that carries them, which would change who answers or what.
    "x-amzn-sagemaker-target-model": "TargetModel",
    "x-amzn-sagemaker-target-container-hostname": "TargetContainerHostname",
    "x-amzn-sagemaker-enable-explanations": "EnableExplanations",
    "x-amzn-sagemaker-inference-component": "InferenceComponentName",
    "x-amzn-sagemaker-session-id": "SessionId",
    "x-amzn-sagemaker-prefix-aware-id": "PrefixAwareId",
    # Not here: x-amzn-sagemaker-inference-id, which only names the request in captured data.
}

TIMED_OUT = (
    "Your invocation timed out while waiting for a response from container primary. Review the latency metrics "
    "for each container in Amazon CloudWatch, resolve the issue, and try again."
)


class Runtime:
    """Invokes endpoints. The seconds are a parameter so that a test need not wait a minute."""

    def __init__(
        self, aws: Aws, session: Callable[[], aiohttp.ClientSession], metrics: Metrics, seconds: float = SECONDS
    ) -> None:
        self._aws = aws
        self._session = session
        self._metrics = metrics
        self._capture = Capture(aws)
        self._seconds = seconds
        self._queues: dict[Endpoint, Queue] = {}

    async def invoke(self, store: Store, name: str, request: Request) -> Response:
        """The model's answer. Raises `AwsError` as InvokeEndpoint does, ModelError for what the model refuses."""
        endpoint = self._invoked(store, name, request, "InvokeEndpoint")
        if "AsyncInferenceConfig" in endpoint.config:
            # How AWS says it is not known.
            raise AwsError("ValidationError", f"Endpoint {name} is asynchronous: it takes InvokeEndpointAsync.")
        limit = MAX_SERVERLESS_BODY if isinstance(endpoint.fleet, ServerlessFleet) else MAX_BODY
        if len(request.body) > limit:
            # Recorded from AWS with its earlier limit: the code of this error is its status.
            raise AwsError("413", f"HTTP content length exceeded {limit} bytes.", status=413)
        target = request.headers.get("x-amzn-sagemaker-target-variant")
        headers = _forwarded(request.headers)
        return await self.ask(store.place, endpoint, request.body, headers, seconds=self._seconds, target=target)

    def invoke_async(self, store: Store, name: str, request: Request) -> Response:
        """Where the answer will lie. Raises `AwsError` as InvokeEndpointAsync does."""
        endpoint = self._invoked(store, name, request, "InvokeEndpointAsync")
        if "AsyncInferenceConfig" not in endpoint.config:
            raise AwsError("ValidationError", f"Endpoint {name} has no AsyncInferenceConfig.")
        if endpoint not in self._queues:
            self._queues[endpoint] = Queue(store.place, endpoint, self._aws, self.ask)
        return self._queues[endpoint].add(request)

    def backlog(self, endpoint: Endpoint) -> int:
        """How many requests an asynchronous endpoint has in its queue, those that are worked on among them."""
        queue = self._queues.get(endpoint)
        return queue.backlog if queue is not None else 0

    def changed(self, endpoint: Endpoint) -> None:
        """The endpoint may have other servers now: what waits for one may begin."""
        if (queue := self._queues.get(endpoint)) is not None:
            queue.admit()

    def forget(self, endpoint: Endpoint) -> list[asyncio.Task[None]]:
        """Ends what an asynchronous endpoint has in its queue; it has ended when the tasks have."""
        queue = self._queues.pop(endpoint, None)
        return queue.close() if queue is not None else []

    async def close(self) -> None:
        """Ends what every queue holds."""
        tasks = [task for endpoint in list(self._queues) for task in self.forget(endpoint)]
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._capture.close()

    def _invoked(self, store: Store, name: str, request: Request, action: str) -> Endpoint:
        place = store.place
        message = self._aws.authorize(
            request.access_key, f"sagemaker:{action}", place.arn("endpoint", name), region=place.region
        )
        if message is not None:
            raise denied(message)
        for header, parameter in UNSERVED.items():
            if header in request.headers:
                raise AwsError("ValidationError", str(unserved(parameter)))
        endpoint = store.endpoints.get(name.lower())
        if endpoint is None or endpoint.fleet is None or endpoint.status == "Deleting":
            raise AwsError("ValidationError", f"Endpoint {name} of account {place.account} not found.")
        return endpoint

    async def ask(
        self,
        place: Place,
        endpoint: Endpoint,
        body: bytes,
        headers: dict[str, str],
        *,
        seconds: float,
        target: str | None = None,
    ) -> Response:
        """The answer of a server of the endpoint, or of the variant that is named. Raises `AwsError`."""
        try:
            return await self._pass_on(place, endpoint, body, headers, aiohttp.ClientTimeout(total=seconds), target)
        except NoServer as problem:
            message = str(problem) or "No instance of the endpoint is able to answer."
            raise AwsError("ServiceUnavailable", message, status=503) from problem
        except Busy:
            # Its message is null, as others have recorded: https://github.com/opensearch-project/ml-commons/issues/2429
            raise AwsError("ThrottlingException", "") from None

    async def _pass_on(
        self,
        place: Place,
        endpoint: Endpoint,
        body: bytes,
        headers: dict[str, str],
        timeout: aiohttp.ClientTimeout,
        target: str | None,
    ) -> Response:
        fleet = endpoint.fleet
        if fleet is None:
            raise NoServer
        if target is not None and target not in {variant.name for variant in fleet.variants}:
            raise AwsError("ValidationError", f"Variant {target} not found for endpoint {endpoint.name}.")
        async with fleet.serving(target) as (variant, instance):
            began, status = time.perf_counter(), 500
            try:
                rule = await faults.meet("model", "Run", endpoint.arn) if faults.watching() else None
                if rule is not None and (instead := instead_of(rule, instance)) is not None:
                    status, given, said = instead
                else:
                    status, given, said = await self._exchange(instance, body, headers, timeout)
            except TimeoutError:
                raise _model_error(place, endpoint, 0, TIMED_OUT) from None
            except aiohttp.ClientError:
                # The server ended under the request: the next one finds it replaced.
                raise _model_error(place, endpoint, 500, "") from None
            finally:
                self._metrics.add(place, endpoint.name, variant.name, status, time.perf_counter() - began)
        if isinstance(fleet, Shadowed):
            fleet.copy(lambda *chosen: self._shadow(place, endpoint, chosen, body, headers))
        if status >= 400:
            raise _model_error(place, endpoint, status, said.decode("utf-8", "replace"))
        self._capture.note(place, endpoint, variant, (headers, body), (given, said))
        return status, _answered(given, variant), said

    async def _shadow(
        self, place: Place, endpoint: Endpoint, chosen: tuple[Variant, Instance], body: bytes, headers: dict[str, str]
    ) -> None:
        """A copy of a request: its answer is counted and, where the configuration asks for it, captured.

        https://docs.aws.amazon.com/sagemaker/latest/dg/shadow-tests-create.html
        """
        began, status = time.perf_counter(), 500
        with contextlib.suppress(TimeoutError, aiohttp.ClientError):
            timeout = aiohttp.ClientTimeout(total=self._seconds)
            status, given, said = await self._exchange(chosen[1], body, headers, timeout)
            if status < 400:
                self._capture.note(place, endpoint, chosen[0], (headers, body), (given, said))
        self._metrics.add(place, endpoint.name, chosen[0].name, status, time.perf_counter() - began)

    async def _exchange(
        self, instance: Instance, body: bytes, headers: dict[str, str], timeout: aiohttp.ClientTimeout
    ) -> tuple[int, Mapping[str, str], bytes]:
        """The server's answer. Raises `TimeoutError` and `aiohttp.ClientError`."""
        async with self._session().post(
            f"{instance.url}/invocations",
            # aiohttp wants a large body as a file, which it sends in pieces between other work.
            data=body if len(body) < LARGE else io.BytesIO(body),
            headers=headers,
            timeout=timeout,
            skip_auto_headers=("content-type", "accept-encoding", "user-agent"),
        ) as answer:
            return answer.status, answer.headers, await answer.read()


def _forwarded(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: headers[name] for name in ("content-type", "accept", ATTRIBUTES) if name in headers}


def _answered(headers: Mapping[str, str], variant: Variant) -> dict[str, str]:
    answer = {
        "content-type": headers.get("content-type", "application/octet-stream"),
        "x-amzn-invoked-production-variant": variant.name,
    }
    if ATTRIBUTES in headers:
        answer[ATTRIBUTES] = headers[ATTRIBUTES]
    return answer


def _model_error(place: Place, endpoint: Endpoint, status: int, text: str) -> AwsError:
    """ModelError as AWS words it, from public reports of 2018 to 2025.

    https://github.com/aws/amazon-sagemaker-examples/issues/833,
    https://github.com/aws/sagemaker-python-sdk/issues/2955
    """
    side = "client" if 400 <= status < 500 else "server"
    group = f"/aws/sagemaker/Endpoints/{endpoint.name}"
    console = f"https://{place.region}.console.aws.amazon.com/cloudwatch/home?region={place.region}"
    message = (
        f'Received {side} error ({status}) from primary with message "{text}". '
        f"See {console}#logEventViewer:group={group} in account {place.account} for more information."
    )
    return AwsError(
        "ModelError",
        message,
        status=424,
        OriginalStatusCode=status,
        OriginalMessage=text,
        LogStreamArn=f"arn:{partition(place.region)}:logs:{place.region}:{place.account}:log-group:{group}",
    )
