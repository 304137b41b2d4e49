"""Data sets that are not as they should be, and what jobs make of them."""

from __future__ import annotations

import csv
import io
import json
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from jobs.names import generated
from jobs.rows import neutral
from jobs.stack import Stack
from model import examples, train
from tests.e2e.client import Client, Results, client_of
from tests.e2e.deployment import Deployment

GOOD = 10_000
MARK = "\ufeff"
REFUSED = {"mean smoothness": 1.7e308, "mean compactness": 1.7e308}
"""Numbers that the model takes and then answers with a NaN: one infinity less another."""

HALF_A_PAIR = "\ud800"
"""Of a surrogate pair: JSON can name it, and UTF-8 has no bytes for it."""

Record = dict[str, Any]

STRANGE_IDS = [
    "a/b/../../c",
    "/",
    "..",
    ".",
    "with spaces  and more ",
    " ",
    "🦆🏳️‍🌈",
    "e\u0301 é",
    'say "yes"',
    "it's",
    "`rm -rf`; $(x)",
    "comma, semicolon; tab\tend",
    "bell\x07 escape\x1b[31m delete\x7f null\x00",
    "two\nlines",
    "line\u2028separator\u0085next",
    "=1+1",
    "-0",
    "٣",
    "null",
    "NaN",
    "x" * 256,
]
"""Ids that stand for their records as they are."""


@pytest.fixture(scope="module")
def client(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with client_of(deployment, tmp_path_factory.mktemp("data-sets")) as client:
        yield client


@pytest.fixture(scope="module")
def records() -> list[Record]:
    """The records of the examples."""
    return examples.records(train.load())


@pytest.fixture(scope="module")
def expected() -> list[float]:
    """scikit-learn's own probability for each of them."""
    data = train.load()
    return [float(p) for p in train.fit(data).predict_proba(data.values)[:, 1]]


class Mixed:
    """Good records with others among them, in an order that looks random and is always the same.

    By index, `predicted` has the number of the example that a record is, `rejected` the error of each other
    and what its cause must say.
    """

    def __init__(self, good: list[Record], strange: list[tuple[Any, Any]], many: int) -> None:
        """`strange` are (record, number of its example) or (record, (error, part of its cause))."""
        count = len(good)
        everything = [({**good[number % count], "id": f"r-{number:05d}"}, number % count) for number in range(many)]
        everything += strange
        random.Random(3).shuffle(everything)
        self.values = [value for value, _ in everything]
        self.predicted: dict[int, int] = {}
        self.rejected: dict[int, tuple[str, str]] = {}
        for index, (_, fate) in enumerate(everything):
            (self.predicted if isinstance(fate, int) else self.rejected)[index] = fate

    def check(self, results: Results, summary: dict[str, Any], expected: list[float], ids: list[Any]) -> None:
        """`ids` has the id of each record that has one of its own."""
        assert summary["records"] == {
            "in": len(self.values),
            "predicted": len(self.predicted),
            "rejected": len(self.rejected),
            "failed": 0,
        }
        assert summary["rejected"] == dict(Counter(error for error, _ in self.rejected.values()))
        assert results.predictions.keys() == self.predicted.keys()
        found = [results.predictions[index]["prediction"]["p_malignant"] for index in self.predicted]
        wanted = [expected[number] for number in self.predicted.values()]
        assert found == pytest.approx(wanted, rel=0, abs=1e-6)
        for index, line in results.predictions.items():
            assert line["id"] == str(ids[index]) if ids[index] not in (None, "") else len(line["id"]) == 32
        assert {index: line["error"] for index, line in results.rejected.items()} == {
            index: error for index, (error, _) in self.rejected.items()
        }
        for index, (_, said) in self.rejected.items():
            cause = results.rejected[index]["cause"]
            assert said in cause
            assert cause.isprintable()
            assert len(cause) < 300


def changed(record: Record, **features: Any) -> Record:
    return {**record, **{name.replace("_", " "): value for name, value in features.items()}}


def strange_values(good: list[Record]) -> list[tuple[Any, Any]]:
    """What is wrong with values in any format, and ids that only look wrong."""
    first = good[0]
    numbers: list[tuple[Any, Any]] = [
        (changed(first, mean_area=value), (error, f"in 'mean area', received {said}"))
        for value, error, said in [
            ("vast", "NotANumber", 'text "vast"'),
            ("1,5", "NotANumber", 'text "1,5"'),
            ("1_000", "NotANumber", 'text "1_000"'),
            ("0x10", "NotANumber", 'text "0x10"'),
            ("\x1b[31mred\x00", "NotANumber", r'text "\u001b[31mred\u0000"'),
            ("🦆", "NotANumber", r'text "\ud83e\udd86"'),
            ("y" * 5_000, "NotANumber", 'text "yyyy'),
            ("NaN", "NotFinite", 'text "NaN"'),
            ("Infinity", "NotFinite", 'text "Infinity"'),
            ("-inf", "NotFinite", 'text "-inf"'),
            ("1e999", "NotFinite", 'text "1e999"'),
            ("", "MissingFeature", "nothing"),
            ("   ", "MissingFeature", "nothing"),
        ]
    ]
    long_id = ({**first, "id": "x" * 257}, ("InvalidId", "at most 256 characters, received 257"))
    refused = [({**good[at], **REFUSED}, ("ModelRefused", "JSON")) for at in range(3)]
    ids = [({**good[at], "id": name}, at) for at, name in enumerate(STRANGE_IDS)]
    same = [({**good[at], "id": "the same"}, at) for at in range(50)]
    without = [({**good[at], "id": ""}, at) for at in range(3)]
    return [*numbers, long_id, *refused, *ids, *same, *without]


def test_a_csv_file_with_everything_that_can_be_wrong_among_ten_thousand_good_records(
    client: Client, records: list[Record], expected: list[float]
) -> None:
    names = list(records[0])
    first = records[0]
    short = (list(first.values())[:-1], ("MissingFeature", "expected a number in 'worst fractal dimension', received"))
    only_id = (["only an id"], ("MissingFeature", "expected a number in 'mean radius', received nothing"))
    long = ([*first.values(), "one", "cell", "too many"], 0)
    strange = [([record[name] for name in names], fate) for record, fate in strange_values(records)]
    mixed = Mixed(records, [*strange, short, only_id, long], GOOD)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(names)
    rows = [value if isinstance(value, list) else list(value.values()) for value in mixed.values]
    writer.writerows(rows)
    job = generated("mixed-csv")
    file = client.write("mixed.csv", MARK + text.getvalue().replace("\r\n", "\r\n\r\n", 1))

    ran = client.run("submit", file, "--wait", "--name", job, "--json")

    assert ran.status == 0, ran.err
    mixed.check(client.results(job), ran.document["summary"], expected, [row[0] for row in rows])
    check_parts(client, job)
    written = client.run("results", job).out
    header, *joined = csv.reader(io.StringIO(written, newline=""))
    assert header == [*names, "label", "p_malignant", "error", "cause"]
    assert [row[0] for row in joined] == [neutral(row[0]) for row in rows]
    assert {index for index, row in enumerate(joined) if row[-2]} == mixed.rejected.keys()

    # Rejected for the same reasons once more, cell for cell the same; and nothing else is run again.
    retried = client.run("retry", job, "--wait", "--name", f"{job}-again", "--json")
    assert retried.status == 0, retried.err
    count = len(mixed.rejected)
    records_again = {"in": count, "predicted": 0, "rejected": count, "failed": 0}
    assert retried.document["summary"]["records"] == records_again
    again, before = (client.results(name).rejected for name in (f"{job}-again", job))
    assert [reason(again[index]) for index in sorted(again)] == [reason(before[index]) for index in sorted(before)]


def reason(line: Record) -> tuple[Any, ...]:
    """What a rejected record's line tells, but for its place. A name is one with or without the file's mark."""
    named = line["id"] if line["error"] != "InvalidId" else None  # else of its content and place
    return named, line["error"], line["cause"], [(name.lstrip(MARK), cell) for name, cell in line["record"].items()]


def check_parts(client: Client, job: str, stack: Stack | None = None) -> None:
    """Each part is named after the first record of its batch, predicted or rejected."""
    firsts: dict[str, int] = {}
    for key, body in client.parts(job, stack).items():
        least = min(json.loads(line)["index"] for line in body.split(b"\n") if line)
        name = key.rpartition("/")[2]
        firsts[name] = min(least, firsts.get(name, least))
    assert all(name == f"part-{first:012d}.jsonl" for name, first in firsts.items())


def strange_json(good: list[Record]) -> list[tuple[Any, Any]]:
    """What only JSON can say."""
    first = good[0]
    without_a_feature = {name: value for name, value in first.items() if name != "mean area"}
    no_records: list[tuple[Any, str]] = [
        (None, "null"),
        (True, "a truth value true"),
        (17.99, "a number 17.99"),
        ("text", 'text "text"'),
        ([first], "a list [{"),
        ([], "a list []"),
    ]
    no_numbers: list[tuple[Any, str, str]] = [
        (None, "MissingFeature", "nothing"),
        (True, "NotANumber", "a truth value true"),
        ({}, "NotANumber", "an object {}"),
        ([1001.0], "NotANumber", "a list [1001.0]"),
    ]
    not_objects = [(value, ("NotAnObject", f"expected a JSON object, received {said}")) for value, said in no_records]
    values = [
        (changed(first, mean_area=value), (error, f"in 'mean area', received {said}"))
        for value, error, said in no_numbers
    ]
    no_names: list[Any] = [{}, [], 1.5, True, False]
    no_ids = [
        ({**first, "id": value}, ("InvalidId", "expected 'id' to be text or a whole number, received"))
        for value in no_names
    ]
    ids = [({**good[at], "id": name}, at) for at, name in enumerate([0, -1, 2**63 - 1, "C:\\new\\table"])]
    null = ({**first, "id": None}, 0)
    none = ({name: value for name, value in first.items() if name != "id"}, 0)
    more = ({**first, "note": {"any": ["thing", None]}, "": 1, "id ": 2}, 0)
    missing = (without_a_feature, ("MissingFeature", "expected a number in 'mean area', received nothing"))
    return [*not_objects, *values, *no_ids, *ids, null, none, more, missing, ({}, ("MissingFeature", "nothing"))]


@pytest.mark.parametrize(("stack", "form"), [("InferenceStack", "jsonl"), ("MlWorkflowStack", "json")])
def test_json_with_everything_that_can_be_wrong_among_good_records(
    client: Client, records: list[Record], expected: list[float], stack: str, form: str
) -> None:
    strange = [*strange_values(records), *strange_json(records)]
    if form == "json":  # one line of JSON Lines with it is no JSON to the reader, and ends the job
        strange.append(({**records[0], "id": HALF_A_PAIR}, ("InvalidId", "expected 'id' to be Unicode text, received")))
    mixed = Mixed(records, strange, 2_000)
    texts = [json.dumps(value) for value in mixed.values]
    body = "\r\n".join(texts) if form == "jsonl" else f"[{','.join(texts)}]"
    job, at = generated(f"mixed-{form}"), client.stack(stack)
    client.start(job, client.put(job, f"mixed.{form}", body.encode(), at), at)

    ended = client.ended(job, at)

    assert ended.status == "SUCCEEDED", ended.cause
    assert ended.summary is not None
    ids = [value.get("id") if isinstance(value, dict) else None for value in mixed.values]
    mixed.check(client.results(job, at), ended.summary, expected, ids)
    check_parts(client, job, at)
    for index, line in client.results(job, at).rejected.items():
        assert line["record"] == mixed.values[index] or HALF_A_PAIR in mixed.values[index]["id"]
        by_model = line["error"] == "ModelRefused"
        assert line["stage"] == ("predict" if by_model else "preprocess")
        # Halved at most seven times until one of a hundred stands alone.
        assert line["attempts"] in (range(2, 9) if by_model else (0,))


def test_the_client_says_in_one_line_why_a_job_could_not_begin(client: Client) -> None:
    job = generated("bad")
    file = client.write("header.csv", "id,mean radius\n")
    ran = client.run("submit", file, "--wait", "--name", job)
    assert ran.status == 1
    assert ran.out.startswith(
        f"{job}: FAILED\n  records  none was run\n  why      InvalidJob: CheckJob: expected records"
    )
    assert len([line for line in ran.out.splitlines() if "InvalidJob" in line]) == 1
    again = client.run("retry", job)
    assert again.status == 2
    assert "correct that and submit the data set again" in again.err


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("absent.csv", "absent.csv is no file here"),
        ("empty.csv", "empty.csv is empty"),
        ("s3://{bucket}/incoming/absent.csv", "there is no object s3://{bucket}/incoming/absent.csv"),
        ("s3://{bucket}/incoming/absent/", "there are no objects under s3://{bucket}/incoming/absent/"),
    ],
)
def test_the_client_submits_nothing_that_is_not_there(client: Client, source: str, said: str) -> None:
    client.write("empty.csv", b"")
    bucket = client.stack().bucket
    given = source.format(bucket=bucket) if source.startswith("s3:") else client.folder / source
    ran = client.run("submit", given, "--wait")
    assert (ran.status, ran.out) == (2, "")
    assert said.format(bucket=bucket) in ran.err
    assert len(ran.err.splitlines()) == 1
