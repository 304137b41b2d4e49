"""A distributed Map over the batches that a transform job has been given, each stored by an execution of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from lambda_src.contract import TRANSFORM
from stacks.constructs.data_bucket import DataBucket
from stacks.constructs.function.python_function import PythonFunction
from stacks.constructs.job.narrow_access import MapRunWriter, ObjectsReader
from stacks.constructs.states.failures import S3_TRANSIENT, failed
from stacks.constructs.states.function_step import FunctionStep
from stacks.constructs.states.transform_job import part_payload

TRANSFORMS = f"{TRANSFORM}jobs/*"
"""The keys of what goes to and fro for jobs."""


class PartsMap(sfn.DistributedMap):
    """Gives each object under `parts/` of an attempt's folder to `store` (see `lambda_src.store_part`)."""

    def __init__(
        self, scope: Construct, construct_id: str, *, data: DataBucket, store: PythonFunction, attempt: str
    ) -> None:
        reader = ObjectsReader(
            bucket=data.bucket, prefix=f"{{% '{TRANSFORM}' & $job.prefix & '/{attempt}/parts/' %}}"
        ).allowing(data.list_statement(TRANSFORMS))
        super().__init__(
            scope,
            construct_id,
            query_language=sfn.QueryLanguage.JSONATA,
            label=construct_id,
            map_execution_type=sfn.StateMachineType.EXPRESS,
            item_reader=reader,
            item_selector=part_payload("$job.prefix", attempt, "$states.context.Map.Item.Value.Key", job=True),
            jsonata_max_concurrency="{% $job.maxConcurrency %}",
            result_writer_v2=MapRunWriter(data=data, prefix="{% $job.mapPrefix %}"),
        )
        step = FunctionStep(
            scope,
            f"{construct_id}{store.node.id}",
            function=store,
            transient=S3_TRANSIENT,
            failed=failed(scope, f"{construct_id}{store.node.id}Failed", store.node.id),
        )
        self.item_processor(step)

    def to_state_json(self, state_machine_query_language: sfn.QueryLanguage | None = None) -> Mapping[Any, Any]:
        """The state, with the job's tolerance, which the library does not take in JSONata."""
        rendered = super().to_state_json(state_machine_query_language)
        return {**rendered, "ToleratedFailurePercentage": "{% $job.tolerate %}"}
