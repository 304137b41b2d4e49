"""The batch job of a model that answers each batch at once, or with a token later."""

from __future__ import annotations

from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from stacks.constructs.data_bucket import DataBucket
from stacks.constructs.function.python_function import PythonFunction
from stacks.constructs.guard.protection import Protection
from stacks.constructs.job.job import Job
from stacks.constructs.states.inference_chain import InferenceChain, Store
from stacks.constructs.states.predictor import Predictor
from stacks.settings import Settings


class BatchJob(Job):
    """Each batch goes through the chain of states that a request goes through; then the job is counted."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        data: DataBucket,
        preprocess: PythonFunction,
        predictor: Predictor,
        store: PythonFunction,
        model_version: str,
        settings: Settings,
        protection: Protection,
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            data=data,
            preprocess=preprocess,
            store=store,
            model_version=model_version,
            concurrency=predictor.concurrency,
            children=predictor.children,
            settings=settings,
            protection=protection,
        )
        self._preprocess, self._predictor, self._store = preprocess, predictor, store
        self._build()

    def _batch(self, scope: Construct, state_prefix: str) -> sfn.IChainable:
        return InferenceChain(
            scope,
            "Batch",
            preprocess=self._preprocess,
            predictor=self._predictor,
            store=Store(self._store, "$states.context.Execution.Input.BatchInput.prefix", counted=True),
            split_calls=self._settings.split_calls,
            state_prefix=state_prefix,
        ).chain
