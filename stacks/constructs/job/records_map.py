"""A distributed Map over a job's records, in batches, each an execution of its own."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

RECORD = {"record": "{% $states.context.Map.Item.Value %}"}
OBJECT = {"object": "{% $states.context.Map.Item.Value.Key %}"}
"""What a batch has of each item: the record itself, or the key of the object that it lies in."""


BATCHES = {
    "MaxItemsPerBatch": "{% $job.batchSize %}",
    "MaxInputBytesPerBatch": "{% $job.batchBytes %}",
    "BatchInput": {"prefix": "{% $job.prefix %}"},
}
"""https://docs.aws.amazon.com/step-functions/latest/dg/input-output-itembatcher.html"""


VERSION = "{% $job.version %}"


class RecordsMap(sfn.DistributedMap):
    """Runs `chain` over what `reader` reads, in batches; what the variable `job` says is what it does.

    `of_version` has the reader read the very version of the object that CheckJob found, whatever lands meanwhile.
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
        children: sfn.StateMachineType,
        state_prefix: str,
        item: Mapping[str, str] = RECORD,
        of_version: bool = False,
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            query_language=sfn.QueryLanguage.JSONATA,
            label=construct_id,
            map_execution_type=children,
            item_reader=reader,
            item_selector={"index": "{% $states.context.Map.Item.Index %}", **item},
            jsonata_max_concurrency="{% $job.maxConcurrency %}",
            result_writer_v2=writer,
        )
        self.item_processor(chain)
        self.writer = writer
        self.children = children
        self.state_prefix = state_prefix
        self.of_version = of_version

    def to_state_json(self, state_machine_query_language: sfn.QueryLanguage | None = None) -> Mapping[Any, Any]:
        """The state, with batches and tolerance by expressions, which the library does not take in JSONata.

        Nor has it a reader's version.
        https://docs.aws.amazon.com/step-functions/latest/dg/state-map-distributed.html#map-state-distributed-additional-fields
        https://docs.aws.amazon.com/step-functions/latest/dg/input-output-itemreader.html
        """
        rendered = dict(super().to_state_json(state_machine_query_language))
        if self.of_version:
            reader = rendered["ItemReader"]
            rendered["ItemReader"] = {**reader, "Arguments": {**reader["Arguments"], "VersionId": VERSION}}
        return {**rendered, "ItemBatcher": BATCHES, "ToleratedFailurePercentage": "{% $job.tolerate %}"}

    @functools.cached_property
    def rendered_processor(self) -> Mapping[str, Any]:
        """Its `ItemProcessor`, which the library renders the same for any machine, once the chain stands."""
        return dict(self.to_state_json()["ItemProcessor"])
