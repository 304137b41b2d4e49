"""The batch job of a model that runs in transform jobs: one over all batches, one over the records of refused ones."""

from __future__ import annotations

from typing import ClassVar

from aws_cdk import aws_iam as iam
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from constructs import Construct

from lambda_src.contract import AGAIN, FIRST, PARTS_STORED, REFUSED_STORED, TRANSFORM
from stacks.constructs.data_bucket import DataBucket
from stacks.constructs.function.python_function import PythonFunction
from stacks.constructs.guard.protection import Protection
from stacks.constructs.job.job import Job
from stacks.constructs.job.map_runs import CALL_SECONDS, MapRunCall
from stacks.constructs.job.parts_map import TRANSFORMS, PartsMap
from stacks.constructs.states.durations import time_limit
from stacks.constructs.states.failures import ALL, S3_TRANSIENT, failed, handle_call_failures
from stacks.constructs.states.function_step import FunctionStep
from stacks.constructs.states.transform import Transform
from stacks.constructs.states.transform_job import NO_REASON, TransformJob
from stacks.settings import Settings

PREFIX = "$job.prefix"


class TransformBatchJob(Job):
    """The Maps prepare every batch → model → StoreParts; and of refused batches, records one by one → StoreRefused.

    `preprocess` and `store` are `lambda_src.prepare_part` and `lambda_src.store_part`; `name` is the model's state.
    """

    _seen = "mapRuns"
    _variables: ClassVar = {"reason": NO_REASON}

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        data: DataBucket,
        preprocess: PythonFunction,
        transform: Transform,
        store: PythonFunction,
        model_version: str,
        name: str,
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
            concurrency=settings.function_concurrency,
            children=sfn.StateMachineType.EXPRESS,
            settings=settings,
            protection=protection,
        )
        self._preprocess, self._transform, self._store, self._name = preprocess, transform, store, name
        data.grant_read(self.summarize.role, f"{TRANSFORMS}/parts/*")
        self._build()

    def _batch(self, scope: Construct, state_prefix: str) -> sfn.IChainable:
        name = self._preprocess.node.id
        return FunctionStep(
            scope,
            f"{state_prefix}{name}",
            function=self._preprocess,
            payload={
                "request": "{% $states.input %}",
                "prefix": "{% $states.context.Execution.Input.BatchInput.prefix %}",
            },
            outputs={},
            transient=S3_TRANSIENT,
            failed=failed(scope, f"{state_prefix}{name}Failed", name),
        )

    def _after_maps(self, scope: Construct, counting: sfn.IChainable) -> sfn.IChainable:
        """AnyInstances → model → StoreParts → AnyRefused → model again → StoreRefused."""
        store_parts = self._store_map(scope, PARTS_STORED, FIRST, counting)
        store_refused = self._store_map(scope, REFUSED_STORED, AGAIN, counting)
        model, model_again = (
            TransformJob(
                scope, name, transform=self._transform, prefix=PREFIX, attempt=attempt, next=next_state, failed=counting
            )
            for name, attempt, next_state in (
                (self._name, FIRST, store_parts),
                (f"{self._name}Again", AGAIN, store_refused),
            )
        )
        # What the model is sent comes before what is stored, by its name.
        find_parts = FirstObject(scope, "FindParts", data=self.data, attempt=FIRST)
        any_parts = sfn.Choice.jsonata(scope, "AnyParts")
        find_refused = FirstObject(scope, "FindRefused", data=self.data, attempt=AGAIN)
        any_refused = sfn.Choice.jsonata(scope, "AnyRefused")

        some = sfn.Condition.jsonata("{% $states.input.key != '' %}")
        find_parts.next(any_parts)
        any_parts.when(sfn.Condition.jsonata("{% $contains($states.input.key, '/in/') %}"), model)
        any_parts.when(some, store_parts).otherwise(counting)
        store_parts.next(find_refused)
        find_refused.next(any_refused)
        any_refused.when(some, model_again).otherwise(counting)
        store_refused.next(counting)
        return find_parts

    def _store_map(self, scope: Construct, name: str, attempt: str, counting: sfn.IChainable) -> PartsMap:
        found = PartsMap(scope, name, data=self.data, store=self._store, attempt=attempt)
        found.add_catch(counting, errors=[ALL], assign={"failure": "{% $states.errorOutput %}"})
        return found

    def _look(self, states: Construct, summarize: sfn.IChainable) -> sfn.IChainable:
        """Looks at all Map Runs of the job."""
        find_map_runs = MapRunCall(
            states,
            "FindMapRuns",
            action="listMapRuns",
            parameters={"ExecutionArn": "{% $states.context.Execution.Id %}"},
            outputs={"arns": "{% [$states.result.MapRuns.MapRunArn] %}"},
        )
        describe_map_run = MapRunCall(
            states,
            "DescribeMapRun",
            action="describeMapRun",
            parameters={"MapRunArn": "{% $states.input %}"},
            outputs="{% $states.result %}",
        )
        describe_map_runs = sfn.Map.jsonata(
            states,
            "DescribeMapRuns",
            items=sfn.ProvideItems.jsonata("{% $states.input.arns %}"),
            outputs={"mapRuns": "{% $states.result %}"},
        )
        describe_map_runs.item_processor(describe_map_run)
        find_map_runs.next(describe_map_runs)
        describe_map_runs.next(summarize)
        return find_map_runs


class FirstObject(tasks.CallAwsService):
    """The `key` of the first object in an attempt's folder, or an empty one."""

    def __init__(self, scope: Construct, construct_id: str, *, data: DataBucket, attempt: str) -> None:
        self._data = data
        super().__init__(
            scope,
            construct_id,
            query_language=sfn.QueryLanguage.JSONATA,
            service="s3",
            action="listObjectsV2",
            iam_resources=[],
            parameters={
                "Bucket": data.bucket.bucket_name,
                "Prefix": f"{{% '{TRANSFORM}' & {PREFIX} & '/{attempt}/' %}}",
                "MaxKeys": 1,
            },
            outputs={"key": "{% $states.result.KeyCount > 0 ? $states.result.Contents[0].Key : '' %}"},
            task_timeout=time_limit(CALL_SECONDS),
        )
        handle_call_failures(self, failed=failed(scope, f"{construct_id}Failed", construct_id))

    @property
    def _task_policies(self) -> list[iam.PolicyStatement] | None:
        """The library's own lists the whole bucket."""
        return [self._data.list_statement(TRANSFORMS)]
