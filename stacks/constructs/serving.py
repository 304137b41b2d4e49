"""The model as a stage's mode serves it: an endpoint, and the states that ask it."""

from __future__ import annotations

from dataclasses import dataclass

from constructs import Construct

from stacks.constructs.async_endpoint import AsyncEndpoint
from stacks.constructs.async_predictor import AsyncPredictor
from stacks.constructs.data_bucket import DataBucket
from stacks.constructs.model_endpoint import ModelEndpoint
from stacks.constructs.predictor import EndpointPredictor, Predictor
from stacks.constructs.protection import Protection
from stacks.constructs.python_function import PythonFunction
from stacks.constructs.realtime_endpoint import RealtimeEndpoint
from stacks.constructs.served_model import ServedModel
from stacks.constructs.serverless_endpoint import ServerlessEndpoint
from stacks.modes import ASYNC, SERVERLESS
from stacks.settings import Settings


@dataclass(frozen=True)
class Serving:
    """What asks the model, and the endpoint that it asks."""

    endpoint: ModelEndpoint
    predictor: Predictor
    functions: tuple[PythonFunction, ...] = ()
    """Those that it takes besides, for each batch."""


def serving(
    scope: Construct, *, model: ServedModel, data: DataBucket, name: str, settings: Settings, protection: Protection
) -> Serving:
    """The settings' mode; `name` is the state's. Each mode's endpoint has an id of its own (see `ModelEndpoint`)."""
    if settings.mode == ASYNC:
        queue = AsyncEndpoint(scope, "Async", model=model, data=data, settings=settings, protection=protection)
        waiting = AsyncPredictor(
            scope, "AsyncModel", endpoint=queue, data=data, name=name, settings=settings, protection=protection
        )
        return Serving(queue, waiting, (waiting.submit, waiting.resume))
    endpoint: ModelEndpoint
    if settings.mode == SERVERLESS:
        endpoint = ServerlessEndpoint(scope, "Serverless", model=model, settings=settings)
    else:
        endpoint = RealtimeEndpoint(scope, "Realtime", model=model, settings=settings, protection=protection)
    return Serving(endpoint, EndpointPredictor(endpoint, name=name, concurrency=settings.capacity))
