"""What a Map in DISTRIBUTED mode may say, and what is refused."""

from typing import Any

import pytest

from local.states.parser import parse
from local.states.problems import InvalidDefinition, Problem
from tests.local.states.fake_aws import machine

Json = Any
GET = "arn:aws:states:::s3:getObject"
LIST = "arn:aws:states:::s3:listObjectsV2"
PUT = "arn:aws:states:::s3:putObject"
PLACE = {"Bucket": "b", "Key": "k"}


def distributed(**fields: Json) -> dict[str, Json]:
    """A distributed Map with these fields beside its processor."""
    processor = {
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"},
        "StartAt": "In",
        "States": {"In": {"Type": "Succeed"}},
    }
    return {"Type": "Map", "ItemProcessor": processor, "End": True, **fields}


def csv(**config: Json) -> dict[str, Json]:
    """An ItemReader of a CSV file whose header is its first row, with these changes."""
    usual = {"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW"}
    return {"Resource": GET, "Arguments": PLACE, "ReaderConfig": usual | config}


def problems(state: Json, kind: str = "STANDARD") -> list[Problem]:
    try:
        parse(machine({"M": state}), kind)
    except InvalidDefinition as refused:
        return refused.problems
    return []


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"Items": "{% $states.input %}", "ItemSelector": {"v": "{% $states.context.Map.Item.Value %}"}},
        {"MaxConcurrency": 1000, "Label": "Records"},
        {"ToleratedFailureCount": 5, "ToleratedFailurePercentage": "{% 5 %}"},
        {"ItemReader": csv(MaxItems=10)},
        {"ItemReader": csv(CSVHeaderLocation="GIVEN", CSVHeaders=["a", "b"], CSVDelimiter="TAB")},
        {"ItemReader": {"Resource": GET, "Arguments": PLACE, "ReaderConfig": {"InputType": "JSON"}}},
        {"ItemReader": {"Resource": GET, "Arguments": PLACE, "ReaderConfig": {"InputType": "JSONL"}}},
        {"ItemReader": {"Resource": LIST, "Arguments": {"Bucket": "b", "Prefix": "{% 'p' %}"}}},
        {"ItemBatcher": {"MaxItemsPerBatch": 10, "MaxInputBytesPerBatch": 1000, "BatchInput": {"x": "{% 1 %}"}}},
        {"ResultWriter": {"Resource": PUT, "Arguments": {"Bucket": "b", "Prefix": "p"}}},
        {"ResultWriter": {"WriterConfig": {"Transformation": "FLATTEN", "OutputType": "JSON"}}},
    ],
)
def test_a_distributed_map_takes_its_own_fields(fields: dict[str, Json]) -> None:
    assert problems(distributed(**fields)) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"Items": [], "ItemReader": csv()},
        {"ItemReader": csv(InputType="PARQUET")},
        {"ItemReader": csv(InputType="MANIFEST")},
        {"ItemReader": csv(CSVHeaderLocation="LAST_ROW")},
        {"ItemReader": csv(CSVHeaderLocation="GIVEN")},
        {"ItemReader": csv(CSVHeaders=["a"])},
        {"ItemReader": csv(CSVDelimiter="HASH")},
        {"ItemReader": csv(Colour="red")},
        {"ItemReader": {"Resource": PUT, "Arguments": PLACE}},
        {"ItemReader": csv() | {"Arguments": {"Bucket": "b"}}},
        {"ItemReader": csv() | {"Parameters": PLACE}},
        {"ItemReader": {"Resource": LIST, "Arguments": {"Bucket": "b"}, "ReaderConfig": {"InputType": "CSV"}}},
        {"ItemReader": {"Resource": GET, "Arguments": PLACE, "ReaderConfig": {"InputType": "JSON", "CSVHeaders": []}}},
        {"ItemBatcher": {}},
        {"ItemBatcher": {"MaxItemsPerBatch": 0}},
        {"ItemBatcher": {"MaxItemsPerBatch": 1, "Colour": "red"}},
        {"ResultWriter": {}},
        {"ResultWriter": {"Resource": GET, "Arguments": {"Bucket": "b"}}},
        {"ResultWriter": {"Resource": PUT, "Arguments": {"Prefix": "p"}}},
        {"ResultWriter": {"WriterConfig": {"Transformation": "SQUASH", "OutputType": "JSON"}}},
        {"ResultWriter": {"WriterConfig": {"Transformation": "NONE", "OutputType": "XML"}}},
        {"Label": ""},
        {"Label": "x" * 41},
        {"Label": "a b"},
        {"ToleratedFailureCount": -1},
        {"ToleratedFailurePercentage": 101},
        {"MaxConcurrency": -1},
        {"MaxConcurrency": 1.5},
        {"Colour": "red"},
        {"ItemsPath": "$"},
        {"Iterator": {}},
    ],
)
def test_a_distributed_map_that_aws_or_the_engine_would_not_run_is_refused(fields: dict[str, Json]) -> None:
    found = problems(distributed(**fields))
    assert found
    assert all(problem.location.startswith("/States/M") for problem in found)


@pytest.mark.parametrize(
    "field",
    ["ItemReader", "ItemBatcher", "ResultWriter", "Label", "ToleratedFailureCount", "ToleratedFailurePercentage"],
)
def test_what_is_only_of_a_distributed_map_is_refused_in_an_inline_one(field: str) -> None:
    state = distributed(**{field: 1})
    state["ItemProcessor"] |= {"ProcessorConfig": {"Mode": "INLINE"}}
    [problem] = problems(state)
    assert problem.message == f"The field '{field}' is only of a Map in DISTRIBUTED mode"


@pytest.mark.parametrize(
    "config",
    [
        {"Mode": "DISTRIBUTED"},
        {"Mode": "DISTRIBUTED", "ExecutionType": "FAST"},
        {"Mode": "ELSEWHERE"},
        {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS", "Colour": "red"},
    ],
)
def test_a_processor_config_that_does_not_exist_is_refused(config: Json) -> None:
    state = distributed()
    state["ItemProcessor"] |= {"ProcessorConfig": config}
    assert problems(state)


def test_an_express_machine_starts_no_map_runs() -> None:
    [problem] = problems(distributed(), "EXPRESS")
    assert problem.message == "Express state machine does not support a Map in DISTRIBUTED mode"
