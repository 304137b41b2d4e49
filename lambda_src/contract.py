"""The contract every room stands on: what a record is, what travels between steps, where results lie.

Nothing here imports anything of ours, or anything outside the standard library: it runs in Lambda, in the
embedded AWS and in the client alike.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

MAX_STATE_BYTES = 262_144
"""What a state's input or output, and one batch of a Distributed Map, may weigh as UTF-8 JSON.

https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
"""

RESULT_BYTES = 256
"""What a record's result (its id, index and prediction, or the reason it was rejected) is reckoned to weigh
beside the record itself."""

ENVELOPE_BYTES = 16_384
"""What a batch's results are reckoned to weigh beside its records' own: among it what the model said of those it
refused."""

MAX_RECORD_BYTES = 131_072
"""What one record may weigh as UTF-8 JSON: with its result it must fit a state, whatever becomes of it."""

DEFAULT_MODE = "realtime"

RECORD_BYTES: Mapping[str, int] = {
    DEFAULT_MODE: MAX_RECORD_BYTES,
    "serverless": MAX_RECORD_BYTES,
    "async": MAX_RECORD_BYTES,
    "transform": 4 * 2**20,
}
"""What a record that lies in an object of its own may weigh, by the mode of the endpoint: in all but the last a batch
of instances travels to the model in a state. Whatever else a record lies in, states bind it."""

TOGETHER_BYTES = 6 * 2**20
"""What the records of one batch may weigh together where they are more than a state lets through: they become the body
of one call in a transform job."""

MAX_CONCURRENCY = 10_000
"""The most children a Map Run has at once.
https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
"""

MAX_DEPTH = 100
"""How deep a rejected record may be nested to travel on with its reason: readers of JSON give up at some depth."""

PRODUCTION, CHALLENGER = "AllTraffic", "Challenger"
"""The variants of an endpoint: the model that serves, and a second one beside it for a part of the traffic."""

BYTE_ORDER_MARK = "\ufeff"

MAX_ID_CHARACTERS = 256
"""An id is a name, not a document: what is longer is rejected as `InvalidId`."""

Stage = Literal["preprocess", "predict"]
"""The step that rejected a record."""

Json = Any
"""A JSON value, as `json.loads` gives it."""


class InvalidRequest(ValueError):
    """The input has no usable shape: nothing in it can be predicted. Never retried."""


class InvalidJob(ValueError):
    """The job cannot begin: its data set or one of its options is of no use. No model was called."""


class ModelRefused(ValueError):
    """The model's own code raised an error on this input. Another part of the batch may still pass."""


class SummaryMismatch(RuntimeError):
    """The counts of a job do not add up: records in are not predicted + rejected + failed."""


class PredictionCountMismatch(ValueError):
    """The model did not answer one prediction for each instance. Never retried, never shifted."""


class ResultConflict(RuntimeError):
    """The key of a result already holds other bytes. Never retried, never overwritten."""


class RejectedRecord(ValueError):
    """One record cannot be predicted; the others of its batch can.

    `error` is a short name in PascalCase that counts are kept by (`MissingFeature`), `cause` a sentence for
    a person: the value received and what is allowed.
    """

    def __init__(self, error: str, cause: str) -> None:
        super().__init__(cause)
        self.error = error
        self.cause = cause


@dataclass(frozen=True)
class Item:
    """One record in its place: `index` counts from 0 in the request or data set; `value` is any JSON value."""

    index: int
    value: Json


def items_of(event: Json) -> list[Item]:
    """The records of a request, `{"records": [...]}`, or of one batch of a job.

    A batch is what ItemBatcher makes of the items that the job's Map selects:
    `{"BatchInput": {...}, "Items": [{"index": 0, "record": {...}}, ...]}`.
    Raises `InvalidRequest` when the event is neither, or has no records.
    """
    if isinstance(event, dict) and isinstance(event.get("Items"), list):
        return [Item(int(item["index"]), shown_value(item)) for item in event["Items"]]
    if not isinstance(event, dict) or not isinstance(event.get("records"), list):
        raise InvalidRequest(f'expected {{"records": [record, ...]}}, received {brief(event)}')
    if not event["records"]:
        raise InvalidRequest("expected at least one record in 'records', received an empty list")
    return [Item(index, value) for index, value in enumerate(event["records"])]


def shown_value(item: dict[str, Json]) -> Json:
    """What stands for the record of a job's item: itself, or, where it lies in an object, `{"object": key}`."""
    return without_mark(item["record"]) if "record" in item else {"object": item["object"]}


def without_mark(record: Json) -> Json:
    """The record as it was meant: a byte-order mark at a file's beginning sticks to its first column's name.

    What AWS's CSV reader does with the mark is unconfirmed: where it takes it away, there is none to be found.
    """
    if not isinstance(record, dict) or not (first := next(iter(record), "")).startswith(BYTE_ORDER_MARK):
        return record
    name = first.removeprefix(BYTE_ORDER_MARK)
    name = name[1:-1] if len(name) > 1 and name[0] == name[-1] == '"' else name  # it hid the quotes too
    return {name: record[first], **{key: value for key, value in record.items() if key != first}}


def most_records(batch_bytes: int) -> int:
    """How many records a batch of so many bytes may hold, so that all their results fit one state's input."""
    return (MAX_STATE_BYTES - ENVELOPE_BYTES - batch_bytes) // RESULT_BYTES


def record_id(item: Item) -> str:
    """The record's own `id` as text, or, where it has none, a hash of its content and its index.

    Raises `RejectedRecord` (`NotAnObject`, `InvalidId`).
    """
    if not isinstance(item.value, dict):
        raise RejectedRecord("NotAnObject", f"expected a JSON object, received {brief(item.value)}")
    given = item.value.get("id")
    if given is None or given == "":
        return derived_id(item)
    if isinstance(given, bool) or not isinstance(given, str | int):
        raise RejectedRecord("InvalidId", f"expected 'id' to be text or a whole number, received {brief(given)}")
    if not is_unicode(name := str(given)):
        raise RejectedRecord("InvalidId", f"expected 'id' to be Unicode text, received {brief(given)}")
    if len(name) > MAX_ID_CHARACTERS:
        raise RejectedRecord(
            "InvalidId", f"expected 'id' of at most {MAX_ID_CHARACTERS} characters, received {len(name)}"
        )
    return name


def is_unicode(text: str) -> bool:
    """Whether UTF-8 has it: half a surrogate pair, which JSON can name, no function can return."""
    try:
        return text.isascii() or bool(text.encode())
    except UnicodeEncodeError:
        return False


def derived_id(item: Item) -> str:
    """An id for a record that carries none: the same content at the same index always has the same id."""
    try:
        content = json.dumps([item.index, item.value], sort_keys=True, separators=(",", ":"))
    except RecursionError:  # nested as deep as it could be read, and a little deeper here
        content = json.dumps([item.index])
    return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def rejection(item: Item, identity: str, stage: Stage, reason: RejectedRecord, attempts: int = 0) -> dict[str, Json]:
    """The line a rejected record leaves. `attempts` counts the model calls the record was part of."""
    return {
        "id": identity,
        "index": item.index,
        "record": item.value,
        "stage": stage,
        "error": reason.error,
        "cause": reason.cause,
        "attempts": attempts,
    }


FORMATS = ("csv", "jsonl", "json", "objects")
"""What a data set may be: CSV with a header row, JSON Lines, one JSON array, or one object a record."""

_SUFFIXES = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json"}


def format_of(key: str) -> str | None:
    """The format that a key's ending tells, None when it tells none."""
    return next((found for suffix, found in _SUFFIXES.items() if key.lower().endswith(suffix)), None)


INCOMING = "incoming/"
"""Where data sets are uploaded in the data bucket; the job reads nothing else."""

SUBMITTED = f"{INCOMING}submitted/"
"""Where the client puts the data set of a job that it is about to start: nothing that lands there starts another."""

EXECUTION_CHARACTERS = 80
"""The most that an execution's name has.
https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
"""


def execution_name(stem: str, ending: str) -> str:
    """A name for an execution that begins as a file is called, as far as ASCII and the length allow: `records-k3x9`."""
    plain = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode()
    room = EXECUTION_CHARACTERS - len(ending) - 1
    safe = re.sub(r"[^A-Za-z0-9_-]+", "-", plain)[:room].strip("-_")
    return f"{safe or 'job'}-{ending}"


ASYNC = "async/"
"""Under it lies what goes to and fro between the workflow and an asynchronous endpoint; it lasts days."""

ASYNC_INPUTS, ASYNC_OUTPUTS, ASYNC_FAILURES = f"{ASYNC}in/", f"{ASYNC}out/", f"{ASYNC}failed/"
"""Where the endpoint finds its input, and leaves its answer or why there is none."""

ASYNC_TOKENS = f"{ASYNC}tokens/"
"""Where a task that waits for an answer leaves its token."""


CAPTURE = "capture/"
"""Under it lies the share of requests and answers that an endpoint is told to capture; it lasts weeks."""


TRANSFORM = "transform/"
"""Under it lies what goes to and fro between the workflow and its transform jobs; it lasts days."""

FIRST, AGAIN = "first", "again"
"""The two transform jobs of a job or request: of whole batches, and of the records of refused ones, one by one."""

PARTS_STORED, REFUSED_STORED = "StoreParts", "StoreRefused"
"""The labels of the Map Runs over batches that have been to the model; a job's records are in another run."""


def transform_folder(prefix: str, attempt: str) -> str:
    """Where a transform job of the job or request that keeps its results under `prefix` has its objects.

    `in/` holds what the model is sent, `out/` its answers under the same names with `.out` after them, and `parts/`
    what each batch needs to be stored.
    """
    return f"{TRANSFORM}{prefix}/{attempt}"


def run_label(map_run_arn: str) -> str:
    """The label of a Map Run, which its ARN has: `arn:aws:states:...:mapRun:machine/label:id`.

    https://docs.aws.amazon.com/step-functions/latest/dg/concepts-examine-map-run.html
    """
    return map_run_arn.rpartition("/")[2].partition(":")[0]


def request_prefix(execution_name: str) -> str:
    """Where the results of one request lie in the data bucket."""
    return f"requests/{execution_name}"


def job_prefix(job_id: str) -> str:
    """Where everything a job writes lies in the data bucket. A job's id is its execution's name."""
    return f"jobs/{job_id}"


def summary_key(job_id: str) -> str:
    """Where a job's counts lie: written last, once, by the Summarize step."""
    return f"{job_prefix(job_id)}/summary.json"


def map_prefix(job_id: str) -> str:
    """Where the job's Map Run leaves its manifest and result files, in a folder named after the run."""
    return f"{job_prefix(job_id)}/map"


def part_key(prefix: str, kind: Literal["predictions", "rejected"], first_index: int) -> str:
    """The key of one batch's results: the same batch always has the same key."""
    return f"{prefix}/{kind}/part-{first_index:012d}.jsonl"


def json_lines(rows: list[dict[str, Json]]) -> bytes:
    """Rows as JSON Lines in UTF-8; the same rows always give the same bytes."""
    encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
    return "".join(f"{encode(row)}\n" for row in rows).encode("utf-8", "surrogatepass")


def read_json_lines(body: bytes) -> Iterator[dict[str, Json]]:
    """The rows that `json_lines` wrote."""
    for line in body.split(b"\n"):
        if line:
            yield json.loads(line.decode("utf-8", "surrogatepass"))


HIDDEN = (
    "\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
    "\xad\u200b\u2060-\u2064\ufeff\ufff9-\ufffb"
)
"""Control characters, lone surrogates, line separators, marks that turn the reading order, and what has no width."""

_ANY_HIDDEN = re.compile(f"[{HIDDEN}]")


def visible(text: str) -> str:
    """Text of unknown origin with escapes for the characters that a terminal would obey or cannot show."""
    return _ANY_HIDDEN.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}"


def brief(value: Json, limit: int = 80) -> str:
    """A value as a person can read it in an error: its JSON type, and its beginning, free of control characters."""
    names = {
        dict: "an object",
        list: "a list",
        str: "text",
        bool: "a truth value",
        int: "a number",
        float: "a number",
    }
    if value is None:
        return "null"
    try:
        text = json.dumps(value, ensure_ascii=True)
    except RecursionError:
        text = "nested too deep to be shown"
    return f"{names.get(type(value), 'a value')} {text if len(text) <= limit else text[: limit - 3] + '...'}"
