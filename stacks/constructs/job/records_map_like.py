"""A Map that does what another Map of the same machine does, over records from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from stacks.constructs.job.records_map import RECORD, RecordsMap


class RecordsMapLike(RecordsMap):
    """Runs the chain of the Map `like` over what another reader reads.

    A machine may use the name of a state only once, so each Map has states of its own. Here they are the other
    Map's as it renders them, named with another prefix. Built once more from constructs they would be the same, but
    for about a hundred calls into the CDK's own process each time, which took a third of a synth in all.
    Their permissions the machine has from the other Map; what reader, writer and label need it gets for this one too.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        like: RecordsMap,
        reader: sfn.IItemReader,
        state_prefix: str,
        item: Mapping[str, str] = RECORD,
        of_version: bool = False,
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            reader=reader,
            writer=like.writer,
            # The library insists on a chain. This state only holds its place: no definition has it.
            chain=sfn.Pass.jsonata(scope, f"{state_prefix}Batch"),
            children=like.children,
            state_prefix=state_prefix,
            item=item,
            of_version=of_version,
        )
        self._like = like

    def to_state_json(self, state_machine_query_language: sfn.QueryLanguage | None = None) -> Mapping[Any, Any]:
        """The state as the library renders it, with the other Map's chain."""
        processor = renamed(self._like.rendered_processor, self._like.state_prefix, self.state_prefix)
        return {**super().to_state_json(state_machine_query_language), "ItemProcessor": processor}


def renamed(processor: Mapping[str, Any], old: str, new: str) -> dict[str, Any]:
    """An `ItemProcessor` whose states' names begin with `new` instead of `old`, wherever they are named.

    https://docs.aws.amazon.com/step-functions/latest/dg/concepts-states.html
    """

    def name(state: str) -> str:
        return new + state.removeprefix(old)

    def renamed_next(fields: Mapping[str, Any]) -> dict[str, Any]:
        return {key: name(value) if key in ("Next", "Default") else value for key, value in fields.items()}

    def renamed_state(state: Mapping[str, Any]) -> dict[str, Any]:
        ways = {key: [renamed_next(way) for way in state[key]] for key in ("Choices", "Catch") if key in state}
        return {**renamed_next(state), **ways}

    states = {name(it): renamed_state(state) for it, state in processor["States"].items()}
    return {**processor, "StartAt": name(processor["StartAt"]), "States": states}
