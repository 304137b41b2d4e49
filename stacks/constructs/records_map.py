"""A distributed Map over a job's records, in batches, each an Express execution."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import jsii
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from stacks.constructs.data_bucket import DataBucket

RESULTS = "jobs/*/map/*"
"""The keys that the ResultWriter writes, of any job."""

RECORD = {"record": "{% $states.context.Map.Item.Value %}"}
OBJECT = {"object": "{% $states.context.Map.Item.Value.Key %}"}
"""What a batch has of each item: the record itself, or the key of the object that it lies in."""


@jsii.implements(sfn.IItemReader)
class NarrowReader:
    """An item reader that is allowed what it needs: the library's own may read or list the whole bucket."""

    def __init__(self, reader: sfn.IItemReader, statement: iam.PolicyStatement) -> None:
        self._reader = reader
        self._statement = statement

    @property
    def bucket(self) -> s3.IBucket:
        return self._reader.bucket

    @property
    def bucket_name_path(self) -> str | None:
        return self._reader.bucket_name_path

    @property
    def resource(self) -> str:
        return self._reader.resource

    @property
    def max_items(self) -> Any:
        return self._reader.max_items

    def render(self, query_language: sfn.QueryLanguage | None = None) -> Any:
        return self._reader.render(query_language)

    def provide_policy_statements(self) -> list[iam.PolicyStatement]:
        return [self._statement]

    def validate_item_reader(self) -> list[str]:
        return self._reader.validate_item_reader()


class NarrowWriter(sfn.ResultWriterV2):
    """A result writer that may write where jobs keep their Map Runs' results, instead of the whole bucket."""

    def __init__(self, *, data: DataBucket, prefix: str) -> None:
        super().__init__(
            bucket=data.bucket,
            prefix=prefix,
            writer_config=sfn.WriterConfig(output_type=sfn.OutputType.JSONL, transformation=sfn.Transformation.COMPACT),
        )
        self._objects = data.arns([RESULTS])

    def provide_policy_statements(self) -> list[iam.PolicyStatement]:
        """https://docs.aws.amazon.com/step-functions/latest/dg/iam-policies-eg-dist-map.html"""
        actions = ["s3:PutObject", "s3:GetObject", "s3:ListMultipartUploadParts", "s3:AbortMultipartUpload"]
        return [iam.PolicyStatement(actions=actions, resources=self._objects)]


class JobBatcher(sfn.ItemBatcher):
    """Batches as the job wants them. In JSONata the limits may be expressions, which the library does not take."""

    def __init__(self) -> None:
        super().__init__(batch_input={"prefix": "{% $job.prefix %}"})

    def render(self) -> dict[str, Any]:
        """https://docs.aws.amazon.com/step-functions/latest/dg/input-output-itembatcher.html"""
        return {
            "MaxItemsPerBatch": "{% $job.batchSize %}",
            "MaxInputBytesPerBatch": "{% $job.batchBytes %}",
            "BatchInput": {"prefix": "{% $job.prefix %}"},
        }


class RecordsMap(sfn.DistributedMap):
    """Runs `chain` over what `reader` reads, in batches; what the variable `job` says is what it does.

    `item` is what a batch has of each item, beside its index. The names of the chain's states begin with
    `state_prefix`.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        reader: sfn.IItemReader,
        writer: sfn.ResultWriterV2,
        chain: sfn.IChainable,
        state_prefix: str,
        item: Mapping[str, str] = RECORD,
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            query_language=sfn.QueryLanguage.JSONATA,
            label=construct_id,
            map_execution_type=sfn.StateMachineType.EXPRESS,
            item_reader=reader,
            item_selector={"index": "{% $states.context.Map.Item.Index %}", **item},
            item_batcher=JobBatcher(),
            jsonata_max_concurrency="{% $job.maxConcurrency %}",
            result_writer_v2=writer,
        )
        self.item_processor(chain)
        self.writer = writer
        self.state_prefix = state_prefix

    def to_state_json(self, state_machine_query_language: sfn.QueryLanguage | None = None) -> Mapping[Any, Any]:
        """The state, with its tolerance as an expression, which the library does not take in JSONata.

        https://docs.aws.amazon.com/step-functions/latest/dg/state-map-distributed.html#map-state-distributed-additional-fields
        """
        rendered = super().to_state_json(state_machine_query_language)
        return {**rendered, "ToleratedFailurePercentage": "{% $job.tolerate %}"}

    @functools.cached_property
    def rendered_processor(self) -> Mapping[str, Any]:
        """Its `ItemProcessor`, which the library renders the same for any machine, once the chain stands."""
        return dict(self.to_state_json()["ItemProcessor"])
