"""Reads the Map state of a definition, in both its modes."""

from __future__ import annotations

import json
import re
import uuid
from typing import TYPE_CHECKING, Any

from lambda_src.contract import MAX_STATE_BYTES
from local.states import definition as d
from local.states.csv_text import DELIMITERS
from local.states.expressions import is_expression
from local.states.readers import MAX_ITEMS
from local.states.results import OUTPUT_TYPES, TRANSFORMATIONS

if TYPE_CHECKING:
    from local.states.parser import Reader

Json = Any
Body = dict[str, Json]

_DISTRIBUTED_ONLY = frozenset(
    {"ItemReader", "ItemBatcher", "ResultWriter", "Label", "ToleratedFailureCount", "ToleratedFailurePercentage"}
)
FIELDS = frozenset({"ItemProcessor", "Items", "ItemSelector", "MaxConcurrency"}) | _DISTRIBUTED_ONLY
"""What a Map may have beside what every state that can be retried has."""

_PROCESSOR = frozenset({"StartAt", "States", "Comment", "QueryLanguage", "ProcessorConfig"})
_CONFIG = frozenset({"Mode", "ExecutionType"})
_READER = frozenset({"Resource", "ReaderConfig", "Arguments"})
_READER_CONFIG = frozenset({"InputType", "CSVHeaderLocation", "CSVHeaders", "CSVDelimiter", "MaxItems"})
_OBJECT = frozenset({"Bucket", "Key", "VersionId"})
_LISTING = frozenset({"Bucket", "Prefix"})
_BATCHER = frozenset({"MaxItemsPerBatch", "MaxInputBytesPerBatch", "BatchInput"})
_WRITER = frozenset({"Resource", "WriterConfig", "Arguments"})
_WRITER_CONFIG = frozenset({"Transformation", "OutputType"})
_GET = re.compile(r"arn:aws[a-z-]*:states:::s3:getObject")
_LIST = re.compile(r"arn:aws[a-z-]*:states:::s3:listObjectsV2")
_PUT = re.compile(r"arn:aws[a-z-]*:states:::s3:putObject")
_BAD_IN_LABEL = re.compile(r'[\s?*<>{}\[\]:;,\\|^~$#%&`"\x00-\x1f\x7f-\x9f]')


def read_map(reader: Reader, name: str, body: Body, at: str) -> d.State | None:
    """The Map state that `body` defines; None, with the problems noted, when it defines none."""
    config = _processor_config(reader, body, at)
    processor = _processor(reader, body, config, at)
    items = body.get("Items")
    if items is not None and not isinstance(items, list) and not is_expression(items):
        reader.problems.add("The field 'Items' must be an array or a JSONata expression", f"{at}/Items")
    shared = (name, reader.then(body, at), reader.retriers(body, at), reader.catchers(body, at))
    render_items = reader.template(body, "Items", at)
    selector = reader.template(body, "ItemSelector", at)
    concurrency = reader.seconds(body, "MaxConcurrency", at, lowest=0)
    if config.get("Mode", "INLINE") == "INLINE":
        for field in sorted(_DISTRIBUTED_ONLY & body.keys()):
            reader.problems.add(f"The field '{field}' is only of a Map in DISTRIBUTED mode", f"{at}/{field}")
        if processor is None:
            return None
        return d.Map(*shared, render_items, selector, concurrency, processor)
    if "Items" in body and "ItemReader" in body:
        reader.problems.add("Only one of [Items, ItemReader] can be given", at)
    state = d.DistributedMap(
        *shared,
        render_items,
        _reader(reader, body, at),
        selector,
        _batcher(reader, body, at),
        _writer(reader, body, at),
        concurrency,
        reader.seconds(body, "ToleratedFailureCount", at, lowest=0),
        _percentage(reader, body, at),
        _label(reader, body, at),
        config.get("ExecutionType", "STANDARD"),
        processor or d.Machine("", {}),
    )
    return state if processor else None


def _processor_config(reader: Reader, body: Body, at: str) -> Body:
    processor = body.get("ItemProcessor")
    config = processor.get("ProcessorConfig", {}) if isinstance(processor, dict) else {}
    where = f"{at}/ItemProcessor/ProcessorConfig"
    if not isinstance(config, dict):
        reader.problems.add("Expected a JSON object", where)
        return {}
    reader.check_fields(config, where, _CONFIG)
    _one_of(reader, config, "Mode", ("INLINE", "DISTRIBUTED"), where)
    _one_of(reader, config, "ExecutionType", ("STANDARD", "EXPRESS"), where)
    if config.get("Mode") == "DISTRIBUTED" and "ExecutionType" not in config:
        reader.problems.add("These fields are required: [ExecutionType]", where)
    if config.get("Mode") == "DISTRIBUTED" and reader.kind == "EXPRESS":
        reader.problems.add("Express state machine does not support a Map in DISTRIBUTED mode", where)
    return config


def _processor(reader: Reader, body: Body, config: Body, at: str) -> d.Machine | None:
    if not isinstance(body.get("ItemProcessor"), dict):
        reader.problems.add("These fields are required: [ItemProcessor]", at)
        return None
    outside = reader.kind
    if config.get("Mode") == "DISTRIBUTED" and config.get("ExecutionType") == "EXPRESS":
        reader.kind = "EXPRESS"  # what runs in an Express child is bound as an Express machine is
    machine = reader.machine(body["ItemProcessor"], f"{at}/ItemProcessor", _PROCESSOR)
    reader.kind = outside
    return machine


def _reader(reader: Reader, body: Body, at: str) -> d.Reader | None:
    given, where = _part(reader, body, "ItemReader", at, _READER)
    if given is None:
        return None
    resource = str(given.get("Resource"))
    config = _part(reader, given, "ReaderConfig", where, _READER_CONFIG)[0] or {}
    if _LIST.fullmatch(resource):
        kind = "OBJECTS"
        _arguments(reader, given, where, _LISTING, required=("Bucket",))
        if set(config) - {"MaxItems"}:
            reader.problems.add("A listing of objects has no ReaderConfig but MaxItems", f"{where}/ReaderConfig")
    elif _GET.fullmatch(resource):
        kind = str(config.get("InputType"))
        _arguments(reader, given, where, _OBJECT, required=("Bucket", "Key"))
        if kind not in ("CSV", "JSON", "JSONL"):
            message = f"The embedded AWS does not read the InputType {json.dumps(config.get('InputType'))}"
            reader.problems.add(f"{message}, only CSV, JSON and JSONL", f"{where}/ReaderConfig/InputType")
    else:
        reader.problems.add(f"The resource provided {resource} is not recognized.", f"{where}/Resource")
        return None
    headers = _csv_headers(reader, config, kind, f"{where}/ReaderConfig")
    delimiter = str(config.get("CSVDelimiter", "COMMA"))
    _one_of(reader, config, "CSVDelimiter", tuple(DELIMITERS), f"{where}/ReaderConfig")
    arguments = reader.template(given, "Arguments", where, "")
    most = _max_items(reader, config, f"{where}/ReaderConfig")
    return d.Reader(kind, arguments, most, headers, delimiter) if arguments is not None else None


def _max_items(reader: Reader, config: Body, where: str) -> d.Seconds | None:
    """MaxItems may be larger than any number of seconds: recorded from AWS, 100,000,000 is taken."""
    value = config.get("MaxItems")
    if isinstance(value, int) and not isinstance(value, bool) and value >= MAX_ITEMS:
        return float(MAX_ITEMS)
    return reader.seconds(config, "MaxItems", where, lowest=0)


def _csv_headers(reader: Reader, config: Body, kind: str, where: str) -> tuple[str, ...] | None:
    location = config.get("CSVHeaderLocation")
    if kind != "CSV":
        for field in ("CSVHeaderLocation", "CSVHeaders", "CSVDelimiter"):
            if field in config:
                reader.problems.add(f"The field '{field}' is only of the InputType CSV", f"{where}/{field}")
        return None
    if location not in ("FIRST_ROW", "GIVEN"):
        message = "The field 'CSVHeaderLocation' should have one of these values: [FIRST_ROW, GIVEN]"
        reader.problems.add(message, f"{where}/CSVHeaderLocation")
    headers = config.get("CSVHeaders")
    texts = isinstance(headers, list) and bool(headers) and all(isinstance(header, str) for header in headers)
    if (location == "GIVEN") != ("CSVHeaders" in config) or ("CSVHeaders" in config and not texts):
        reader.problems.add("CSVHeaders is a list of texts, given with CSVHeaderLocation GIVEN alone", where)
    return tuple(map(str, headers)) if isinstance(headers, list) else None


def _batcher(reader: Reader, body: Body, at: str) -> d.Batcher | None:
    given, where = _part(reader, body, "ItemBatcher", at, _BATCHER)
    if given is None:
        return None
    if not {"MaxItemsPerBatch", "MaxInputBytesPerBatch"} & given.keys():
        reader.problems.add("One of [MaxItemsPerBatch, MaxInputBytesPerBatch] is required", where)
    most_bytes = given.get("MaxInputBytesPerBatch")
    if isinstance(most_bytes, int | float) and most_bytes > MAX_STATE_BYTES:
        message = f"MaxInputBytesPerBatch must be at most {MAX_STATE_BYTES}, not {most_bytes}"
        reader.problems.add(message, f"{where}/MaxInputBytesPerBatch")
    return d.Batcher(
        reader.seconds(given, "MaxItemsPerBatch", where, lowest=1),
        reader.seconds(given, "MaxInputBytesPerBatch", where, lowest=1),
        reader.template(given, "BatchInput", where, ""),
    )


def _writer(reader: Reader, body: Body, at: str) -> d.Writer | None:
    given, where = _part(reader, body, "ResultWriter", at, _WRITER)
    if given is None:
        return None
    if not given or ("Resource" in given) != ("Arguments" in given):
        reader.problems.add("ResultWriter needs WriterConfig, or Resource and Arguments, or all three", where)
    config = _part(reader, given, "WriterConfig", where, _WRITER_CONFIG)[0] or {}
    _one_of(reader, config, "Transformation", TRANSFORMATIONS, f"{where}/WriterConfig")
    _one_of(reader, config, "OutputType", OUTPUT_TYPES, f"{where}/WriterConfig")
    if "Resource" in given:
        if not _PUT.fullmatch(str(given["Resource"])):
            message = f"The resource provided {given['Resource']} is not recognized."
            reader.problems.add(message, f"{where}/Resource")
        _arguments(reader, given, where, _LISTING, required=("Bucket",))
    usual = "NONE" if "Resource" in given else "COMPACT"
    arguments = reader.template(given, "Arguments", where, "")
    return d.Writer(arguments, config.get("Transformation", usual), config.get("OutputType", "JSON"))


def _label(reader: Reader, body: Body, at: str) -> str:
    label = body.get("Label")
    if label is None:
        return uuid.uuid4().hex
    where = f"{at}/Label"
    if not isinstance(label, str) or not label:
        reader.problems.add("Label cannot be empty", where)
    elif len(label) > 40:
        reader.problems.add("Label cannot exceed 40 characters", where)
    elif bad := _BAD_IN_LABEL.search(label):
        reader.problems.add(f"Label contains invalid character: {bad.group()!r}", where)
    return str(label)


def _percentage(reader: Reader, body: Body, at: str) -> d.Seconds | None:
    field = "ToleratedFailurePercentage"
    if is_expression(body.get(field)):
        return reader.seconds(body, field, at, lowest=0)
    value = reader.constant_number(body, field, at, lowest=0, whole=False)
    if value is not None and value > 100:
        reader.problems.add(f"{field} must be between 0 and 100.", f"{at}/{field}")
    return value


def _part(reader: Reader, body: Body, field: str, at: str, allowed: frozenset[str]) -> tuple[Body | None, str]:
    where = f"{at}/{field}"
    given = body.get(field)
    if field in body and not isinstance(given, dict):
        reader.problems.add("Expected a JSON object", where)
    if not isinstance(given, dict):
        return None, where
    reader.check_fields(given, where, allowed)
    return given, where


def _arguments(reader: Reader, given: Body, where: str, allowed: frozenset[str], required: tuple[str, ...]) -> None:
    arguments = given.get("Arguments")
    if is_expression(arguments):
        return
    if not isinstance(arguments, dict):
        reader.problems.add("These fields are required: [Arguments]", where)
        return
    reader.check_fields(arguments, f"{where}/Arguments", allowed)
    missing = [name for name in required if name not in arguments]
    if missing:
        reader.problems.add(f"These fields are required: [{', '.join(missing)}]", f"{where}/Arguments")


def _one_of(reader: Reader, given: Body, field: str, allowed: tuple[str, ...], where: str) -> None:
    if field in given and given[field] not in allowed:
        message = f"The field '{field}' should have one of these values: [{', '.join(allowed)}]"
        reader.problems.add(message, f"{where}/{field}")
