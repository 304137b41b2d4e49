"""The model as a stage's mode serves it: what stands behind the steps of a request and of a job."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from stacks.constructs.data_bucket import DataBucket
from stacks.constructs.endpoint.async_endpoint import AsyncEndpoint
from stacks.constructs.endpoint.model_endpoint import ModelEndpoint
from stacks.constructs.endpoint.realtime_endpoint import RealtimeEndpoint
from stacks.constructs.endpoint.serverless_endpoint import ServerlessEndpoint
from stacks.constructs.function.python_function import PythonFunction
from stacks.constructs.guard.protection import Protection
from stacks.constructs.job.batch_job import BatchJob
from stacks.constructs.job.job import Job
from stacks.constructs.job.transform_batch_job import TransformBatchJob
from stacks.constructs.model.served_model import ServedModel
from stacks.constructs.states.async_predictor import AsyncPredictor
from stacks.constructs.states.inference_chain import InferenceChain, Store
from stacks.constructs.states.predictor import EndpointPredictor, Predictor
from stacks.constructs.states.transform import Transform
from stacks.constructs.states.transform_chain import TransformChain
from stacks.settings import Settings
from stacks.settings.modes import ASYNC, SERVERLESS, TRANSFORM


@dataclass(frozen=True)
class Steps:
    """The functions before and after the model, and where both workflows keep their data."""

    data: DataBucket
    preprocess: PythonFunction
    store: PythonFunction
    model_version: str
    settings: Settings
    protection: Protection


class Serving(Protocol):
    """One mode. `preprocess` and `store` are the modules of the functions before and after the model, `functions`
    those that each batch takes besides; `endpoint` is None where there is none."""

    preprocess: str
    store: str

    @property
    def endpoint(self) -> ModelEndpoint | None: ...
    @property
    def functions(self) -> tuple[PythonFunction, ...]: ...

    def request(self, scope: Construct, construct_id: str, steps: Steps, *, prefix: str) -> sfn.IChainable:
        """The states of a request, whose results go to `prefix`, a JSONata expression."""
        ...

    def job(self, scope: Construct, construct_id: str, steps: Steps) -> Job:
        """The batch job."""
        ...


@dataclass(frozen=True)
class EndpointServing:
    """A request or a batch asks an endpoint, by its predictor."""

    endpoint: ModelEndpoint
    predictor: Predictor
    functions: tuple[PythonFunction, ...] = ()
    preprocess = "preprocess"
    store = "store_results"

    def request(self, scope: Construct, construct_id: str, steps: Steps, *, prefix: str) -> sfn.IChainable:
        """See `Serving`."""
        return InferenceChain(
            scope,
            construct_id,
            preprocess=steps.preprocess,
            predictor=self.predictor,
            store=Store(steps.store, prefix),
            split_calls=steps.settings.split_calls,
        ).chain

    def job(self, scope: Construct, construct_id: str, steps: Steps) -> Job:
        """See `Serving`."""
        return BatchJob(
            scope,
            construct_id,
            data=steps.data,
            preprocess=steps.preprocess,
            predictor=self.predictor,
            store=steps.store,
            model_version=steps.model_version,
            settings=steps.settings,
            protection=steps.protection,
        )


@dataclass(frozen=True)
class TransformServing:
    """A request or a job runs transform jobs; the functions before and after write and read what these go over."""

    transform: Transform
    name: str
    endpoint = None
    functions: tuple[PythonFunction, ...] = ()
    preprocess = "prepare_part"
    store = "store_part"

    def request(self, scope: Construct, construct_id: str, steps: Steps, *, prefix: str) -> sfn.IChainable:
        """See `Serving`."""
        return TransformChain(
            scope,
            construct_id,
            preprocess=steps.preprocess,
            transform=self.transform,
            store=steps.store,
            prefix=prefix,
            name=self.name,
        ).chain

    def job(self, scope: Construct, construct_id: str, steps: Steps) -> Job:
        """See `Serving`."""
        self.transform.grant_steps(steps.preprocess.role, steps.store.role)
        return TransformBatchJob(
            scope,
            construct_id,
            data=steps.data,
            preprocess=steps.preprocess,
            transform=self.transform,
            store=steps.store,
            model_version=steps.model_version,
            name=self.name,
            settings=steps.settings,
            protection=steps.protection,
        )


def serving(
    scope: Construct,
    *,
    model: ServedModel,
    challenger: ServedModel | None,
    data: DataBucket,
    name: str,
    settings: Settings,
    protection: Protection,
) -> Serving:
    """The settings' mode; `name` is the state's. Each mode's endpoint has an id of its own (see `ModelEndpoint`).

    A challenger is for mode realtime alone.
    """
    if settings.mode == TRANSFORM:
        transform = Transform(scope, "Transform", model=model, data=data, settings=settings, protection=protection)
        return TransformServing(transform, name)
    if settings.mode == ASYNC:
        queue = AsyncEndpoint(scope, "Async", model=model, data=data, settings=settings, protection=protection)
        waiting = AsyncPredictor(
            scope, "AsyncModel", endpoint=queue, data=data, name=name, settings=settings, protection=protection
        )
        return EndpointServing(queue, waiting, (waiting.submit, waiting.resume))
    endpoint: ModelEndpoint
    if settings.mode == SERVERLESS:
        endpoint = ServerlessEndpoint(scope, "Serverless", model=model, settings=settings)
    else:
        endpoint = RealtimeEndpoint(
            scope,
            "Realtime",
            model=model,
            challenger=challenger,
            data=data,
            settings=settings,
            protection=protection,
        )
    return EndpointServing(endpoint, EndpointPredictor(endpoint, name=name, concurrency=settings.capacity))
