"""The reasons for which a distributed Map's definition is refused, and where they point."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambda_src.contract import MAX_STATE_BYTES
from local.states import definition as d
from local.states.parser import parse
from local.states.problems import InvalidDefinition
from local.states.readers import MAX_ITEMS
from tests.local.states.fake_aws import machine
from tests.local.states.fake_s3 import PASS, distributed, reader, writer

Json = Any
FIRST_ROW = {"CSVHeaderLocation": "FIRST_ROW"}
LISTING = {"Resource": "arn:aws:states:::s3:listObjectsV2", "Arguments": {"Bucket": "b"}}


def refusals(state: Json, kind: str = "STANDARD") -> dict[str, str]:
    """Messages by the path below the state they point to."""
    try:
        parse(machine({"M": state}), kind)
    except InvalidDefinition as refused:
        return {problem.location.removeprefix("/States/M"): problem.message for problem in refused.problems}
    return {}


def parsed(**fields: Json) -> d.DistributedMap:
    """The Map these fields define."""
    state = parse(machine({"M": distributed(**fields)})).states["M"]
    assert isinstance(state, d.DistributedMap)
    return state


@pytest.mark.parametrize(
    ("fields", "where", "message"),
    [
        ({"ItemReader": 1}, "/ItemReader", "Expected a JSON object"),
        (
            {"ItemReader": reader("XLS")},
            "/ItemReader/ReaderConfig/InputType",
            'The embedded AWS does not read the InputType "XLS", only CSV, JSON and JSONL',
        ),
        ({"ItemReader": reader("JSON") | {"ReaderConfig": []}}, "/ItemReader/ReaderConfig", "Expected a JSON object"),
        ({"ItemReader": {}}, "/ItemReader/Resource", "The resource provided None is not recognized."),
        (
            {"ItemReader": reader("JSON") | {"Arguments": {"Key": "k", "Delimiter": "/"}}},
            "/ItemReader/Arguments",
            "These fields are required: [Bucket]",
        ),
        (
            {"ItemReader": {**LISTING, "Arguments": []}},
            "/ItemReader",
            "These fields are required: [Arguments]",
        ),
        (
            {"ItemReader": {**LISTING, "ReaderConfig": {"InputType": "JSON"}}},
            "/ItemReader/ReaderConfig",
            "A listing of objects has no ReaderConfig but MaxItems",
        ),
        (
            {"ItemReader": reader("CSV")},
            "/ItemReader/ReaderConfig/CSVHeaderLocation",
            "The field 'CSVHeaderLocation' should have one of these values: [FIRST_ROW, GIVEN]",
        ),
        (
            {"ItemReader": reader("CSV", CSVHeaderLocation="GIVEN", CSVHeaders=["a", 1])},
            "/ItemReader/ReaderConfig",
            "CSVHeaders is a list of texts, given with CSVHeaderLocation GIVEN alone",
        ),
        (
            {"ItemReader": reader("CSV", **FIRST_ROW, CSVHeaders="a")},
            "/ItemReader/ReaderConfig",
            "CSVHeaders is a list of texts, given with CSVHeaderLocation GIVEN alone",
        ),
        (
            {"ItemReader": reader("JSONL", CSVDelimiter="TAB")},
            "/ItemReader/ReaderConfig/CSVDelimiter",
            "The field 'CSVDelimiter' is only of the InputType CSV",
        ),
        (
            {"ItemReader": reader("JSONL", MaxItems=-1)},
            "/ItemReader/ReaderConfig/MaxItems",
            "The field 'MaxItems' must be a whole number of at least 0, not -1",
        ),
        (
            {"ItemBatcher": {"BatchInput": {}}},
            "/ItemBatcher",
            "One of [MaxItemsPerBatch, MaxInputBytesPerBatch] is required",
        ),
        (
            {"ItemBatcher": {"MaxInputBytesPerBatch": MAX_STATE_BYTES + 1}},
            "/ItemBatcher/MaxInputBytesPerBatch",
            "MaxInputBytesPerBatch must be at most 262144, not 262145",
        ),
        (
            {"ResultWriter": {}},
            "/ResultWriter",
            "ResultWriter needs WriterConfig, or Resource and Arguments, or all three",
        ),
        ({"ResultWriter": {"WriterConfig": "NONE"}}, "/ResultWriter/WriterConfig", "Expected a JSON object"),
        (
            {"ResultWriter": writer(Transformation="SQUASH")},
            "/ResultWriter/WriterConfig/Transformation",
            "The field 'Transformation' should have one of these values: [NONE, COMPACT, FLATTEN]",
        ),
        (
            {"ToleratedFailurePercentage": 100.1},
            "/ToleratedFailurePercentage",
            "ToleratedFailurePercentage must be between 0 and 100.",
        ),
        ({"Label": 1}, "/Label", "Label cannot be empty"),
        ({"Label": "x" * 41}, "/Label", "Label cannot exceed 40 characters"),
        ({"Items": {"a": 1}}, "/Items", "The field 'Items' must be an array or a JSONata expression"),
        ({"Items": [], "ItemReader": reader("JSON")}, "", "Only one of [Items, ItemReader] can be given"),
        ({"ItemSelector": "{% $ + %}"}, "/ItemSelector", ""),
        ({"ItemProcessor": None}, "", "These fields are required: [ItemProcessor]"),
    ],
)
def test_each_refusal_says_what_is_wrong_and_where(fields: dict[str, Json], where: str, message: str) -> None:
    found = refusals(distributed(**fields) | fields)
    assert where in found
    assert message in found[where]


@pytest.mark.parametrize("character", [*' ?*<>{}[]:;,\\|^~$#%&`"', "\x00", "\t", "\n", "\x1f", "\x7f", "\x9f"])
def test_a_label_with_a_character_that_no_arn_bears_is_refused_in_the_words_of_aws(character: str) -> None:
    assert refusals(distributed(Label=f"a{character}b")) == {
        "/Label": f"Label contains invalid character: {character!r}"
    }


def test_a_map_without_a_label_gets_one_that_fits_an_arn() -> None:
    first, second = parsed().label, parsed().label
    assert first != second
    assert refusals(distributed(Label=first)) == {}


@pytest.mark.parametrize(("given", "most"), [(0, 0), (7, 7), (MAX_ITEMS, MAX_ITEMS), (MAX_ITEMS * 9, MAX_ITEMS)])
def test_max_items_goes_as_far_as_aws_reads(given: int, most: int) -> None:
    found = parsed(ItemReader=reader("CSV", **FIRST_ROW, MaxItems=given)).reader
    assert found is not None
    assert found.max_items == most


def test_a_distributed_map_in_an_express_child_is_refused_as_in_an_express_machine() -> None:
    inner = distributed({"Q": PASS["P"]})
    message = "Express state machine does not support a Map in DISTRIBUTED mode"
    where = "/ItemProcessor/States/I/ItemProcessor/ProcessorConfig"
    assert refusals(distributed({"I": inner}, kind="EXPRESS")) == {where: message}
    assert refusals(distributed({"I": inner}, kind="STANDARD")) == {}
    assert refusals(distributed(), "EXPRESS") == {"/ItemProcessor/ProcessorConfig": message}


def test_what_follows_an_express_child_is_bound_as_its_own_machine_is() -> None:
    states = {"M": distributed(Next="N"), "N": distributed({"Q": PASS["P"]})}
    assert set(parse(machine(states)).states) == {"M", "N"}


def test_the_default_form_of_results_depends_on_where_they_go() -> None:
    in_the_state, in_s3 = (
        parsed(ResultWriter={"WriterConfig": {"OutputType": "JSON"}}).writer,
        parsed(ResultWriter=writer()).writer,
    )
    assert in_the_state is not None
    assert in_s3 is not None
    assert (in_the_state.transformation, in_s3.transformation, in_s3.output_type) == ("COMPACT", "NONE", "JSON")


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 10**12)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
PATHS = [
    "ItemReader",
    "ItemReader/Resource",
    "ItemReader/Arguments",
    "ItemReader/ReaderConfig",
    "ItemReader/ReaderConfig/InputType",
    "ItemReader/ReaderConfig/CSVHeaderLocation",
    "ItemReader/ReaderConfig/CSVHeaders",
    "ItemReader/ReaderConfig/CSVDelimiter",
    "ItemReader/ReaderConfig/MaxItems",
    "ItemBatcher",
    "ItemBatcher/MaxItemsPerBatch",
    "ItemBatcher/MaxInputBytesPerBatch",
    "ItemBatcher/BatchInput",
    "ResultWriter",
    "ResultWriter/Resource",
    "ResultWriter/Arguments",
    "ResultWriter/WriterConfig",
    "ResultWriter/WriterConfig/Transformation",
    "ResultWriter/WriterConfig/OutputType",
    "Items",
    "ItemSelector",
    "Label",
    "MaxConcurrency",
    "ToleratedFailureCount",
    "ToleratedFailurePercentage",
    "ItemProcessor",
    "ItemProcessor/ProcessorConfig",
    "ItemProcessor/ProcessorConfig/Mode",
    "ItemProcessor/ProcessorConfig/ExecutionType",
]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(PATHS), ANYTHING)
def test_whatever_stands_in_a_field_is_taken_or_refused_and_never_breaks_the_parser(path: str, value: Json) -> None:
    config = {"Transformation": "NONE", "OutputType": "JSON"}
    state = distributed(
        ItemReader=reader("CSV", **FIRST_ROW),
        ItemBatcher={"MaxItemsPerBatch": 2},
        ResultWriter=writer(**config),
        Label="L",
    )
    state = json.loads(json.dumps(state))
    *within, last = path.split("/")
    place = state
    for name in within:
        place = place[name]
    place[last] = value
    for location in refusals(state):
        assert location == "" or location.startswith("/")
