"""Batch jobs as a person runs them: submitted, read, stopped, retried, and failed in part."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jobs import job as jobs
from jobs import uploads
from jobs.names import generated
from jobs.objects import keys
from lambda_src.contract import job_prefix, json_lines
from model import examples, train
from tests.e2e.client import Client, client_of
from tests.e2e.deployment import Deployment, until
from tests.e2e.grants import grants_of, without
from tests.synthesis import ROOT, STACKS

RECORDS = ROOT / "examples" / "records.csv"
IN_ALL = 569
MANY = 20_000
NOT_A_NUMBER = {"mean smoothness": 1.7e308, "mean compactness": 1.7e308}
"""Numbers that the model takes and then answers with a NaN: one infinity less another."""


@pytest.fixture(scope="module")
def client(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with client_of(deployment, tmp_path_factory.mktemp("jobs")) as client:
        yield client


@pytest.fixture(scope="module")
def records() -> list[dict[str, Any]]:
    """The records of the examples."""
    return examples.records(train.load())


@pytest.fixture(scope="module")
def expected() -> list[float]:
    """scikit-learn's own probability for each of them."""
    data = train.load()
    return [float(p) for p in train.fit(data).predict_proba(data.values)[:, 1]]


def table(records: Iterable[dict[str, Any]]) -> bytes:
    """Records as a CSV file."""
    text = io.StringIO()
    writer = csv.DictWriter(text, ["id", *train.load().features], lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue().encode()


def many(records: list[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """So many records with ids of their own."""
    return [{**records[number % len(records)], "id": f"r-{number:05d}"} for number in range(count)]


def labels(probabilities: list[float]) -> list[str]:
    return ["malignant" if p >= train.THRESHOLD else "benign" for p in probabilities]


@pytest.mark.parametrize("stack", STACKS)
def test_each_record_of_the_example_file_gets_scikit_learns_own_probability_in_the_files_order_and_columns(
    client: Client, stack: str, records: list[dict[str, Any]], expected: list[float]
) -> None:
    job = generated("example")
    ran = client.run("submit", RECORDS, "--wait", "--name", job, "--stack", stack)
    assert ran.status == 0, ran.err
    assert f"{job}: SUCCEEDED" in ran.out
    assert "569 in: 569 predicted, 0 rejected, 0 failed" in ran.out

    written = client.run("results", job, "--stack", stack)
    assert written.status == 0, written.err
    given = list(csv.reader(io.StringIO(RECORDS.read_text())))
    header, *rows = csv.reader(io.StringIO(written.out))
    assert header == [*given[0], "label", "p_malignant", "error", "cause"]
    assert [row[:31] for row in rows] == given[1:]
    assert [float(row[32]) for row in rows] == pytest.approx(expected, rel=0, abs=1e-6)
    assert [row[31] for row in rows] == labels(expected)
    assert {(row[33], row[34]) for row in rows} == {("", "")}
    # A prediction is told by the record's place in the data set, and carries the record's own id.
    predictions = client.results(job, client.stack(stack)).predictions
    assert [(index, predictions[index]["id"]) for index in range(IN_ALL)] == list(
        enumerate(record["id"] for record in records)
    )


@pytest.mark.parametrize("stack", STACKS)
def test_json_lines_an_array_and_an_object_a_record_give_the_same_predictions_as_csv(
    client: Client, stack: str, records: list[dict[str, Any]], expected: list[float]
) -> None:
    at, some = client.stack(stack), records[::4]
    of_csv, lines, array, objects = (generated(form) for form in ("csv", "lines", "array", "objects"))
    client.start(of_csv, client.put(of_csv, "records.csv", table(some), at), at)
    # As other tools write them: with blank lines and indents, and without an end of the last line.
    spread = "\n\n".join(json.dumps(record) for record in some).encode()
    client.start(lines, client.put(lines, "records.jsonl", spread, at), at)
    client.start(array, client.put(array, "records.json", json.dumps(some, indent=1).encode(), at), at)
    for number, record in enumerate(some):
        client.put(objects, f"{number:03d}.json", json.dumps(record).encode(), at)
    client.start(objects, uploads.incoming_prefix(objects), at)

    ended = [client.ended(job, at) for job in (of_csv, lines, array, objects)]

    assert [job.status for job in ended] == ["SUCCEEDED"] * 4, [job.cause for job in ended]
    first, *others = (client.results(job.id, at) for job in ended)
    found = [first.predictions[index]["prediction"]["p_malignant"] for index in range(len(some))]
    assert found == pytest.approx(expected[::4], rel=0, abs=1e-6)
    assert all(other == first for other in others)


@pytest.mark.parametrize("form", ["jsonl", "json", "objects"])
def test_the_client_submits_and_reads_the_other_formats_too(
    client: Client, form: str, records: list[dict[str, Any]], expected: list[float]
) -> None:
    some = records[:30]
    job = generated(form)
    if form == "objects":
        for number, record in enumerate(some):
            client.put(job + "-source", f"{number:03d}.json", json.dumps(record).encode())
        source: str | Path = client.stack().uri(uploads.incoming_prefix(job + "-source"))
    else:
        text = json.dumps(some) if form == "json" else json_lines(some).decode()
        source = client.write(f"some.{form}", text)
    submitted = client.run("submit", source, "--wait", "--name", job, "--batch-size", "7", "--json")
    assert submitted.status == 0, submitted.err
    assert submitted.document["summary"]["records"] == {"in": 30, "predicted": 30, "rejected": 0, "failed": 0}
    rows = [json.loads(line) for line in client.run("results", job).out.splitlines()]
    assert [{name: row[name] for name in records[0]} for row in rows] == some
    assert [row["prediction"]["p_malignant"] for row in rows] == pytest.approx(expected[:30], rel=0, abs=1e-6)


def test_a_stopped_job_is_retried_with_nothing_predicted_twice_and_nothing_missing(
    client: Client, records: list[dict[str, Any]]
) -> None:
    job = generated("stopped")
    retried = f"{job}-again"
    file = client.write("many.csv", table(many(records, MANY)))
    options = ("--batch-size", "10", "--max-concurrency", "1")
    assert client.run("submit", file, "--no-wait", "--name", job, *options).status == 0
    until(lambda: jobs.live(client.stack(), job), lambda counts: counts is not None and counts.done > 0)
    half = client.run("status", job, "--json").document
    assert half["status"] == "RUNNING"
    assert client.run("retry", job).err.startswith(f"error: job {job} is still running")

    stopped = client.run("stop", job)

    assert stopped.status == 0, stopped.err
    assert f"python -m jobs retry {job}" in stopped.out
    status = client.run("status", job)
    assert status.status == 1
    assert f"{job}: ABORTED" in status.out
    retry = client.run("retry", job, "--wait", "--name", retried, "--batch-size", "1000", "--json")
    assert retry.status == 0, retry.err
    first, second = client.results(job).predictions, client.results(retried).predictions
    assert 0 < len(first) < MANY
    assert retry.document["parent"] == job
    assert retry.document["summary"]["records"]["in"] == MANY - len(first)
    done = [line["id"] for line in [*first.values(), *second.values()]]
    assert len(done) == MANY
    assert set(done) == {f"r-{number:05d}" for number in range(MANY)}


def test_a_retry_of_a_job_that_predicted_all_says_so_and_does_nothing(client: Client) -> None:
    job = generated("whole")
    client.start(job, client.put(job, "records.csv", RECORDS.read_bytes()))
    assert client.ended(job).succeeded
    before = listing(client)
    ran = client.run("retry", job, "--wait")
    assert (ran.status, ran.out) == (0, f"nothing to do: all 569 records of {job} were predicted\n")
    assert listing(client) == before


def listing(client: Client) -> list[tuple[Any, ...]]:
    """All that lies in the bucket and all executions of jobs, with what any change of them would change."""
    stack = client.stack()
    pages = stack.s3.get_paginator("list_objects_v2").paginate(Bucket=stack.bucket)
    objects = [(it["Key"], it["ETag"], it["LastModified"]) for page in pages for it in page.get("Contents", [])]
    found = stack.states.get_paginator("list_executions").paginate(stateMachineArn=stack.machine_arn)
    return objects + [
        (it["executionArn"], it["status"], it["startDate"]) for page in found for it in page["executions"]
    ]


def test_the_same_data_set_under_two_names_leaves_the_same_bytes(client: Client, records: list[dict[str, Any]]) -> None:
    given = many(records, 2_000)
    given[3::7] = [{**record, "mean area": "vast"} for record in given[3::7]]
    given[700] |= NOT_A_NUMBER
    body = table(given)
    pair = [generated("twin"), generated("twin")]
    for job, concurrency in zip(pair, (4, 1), strict=True):
        client.start(job, client.put(job, "records.csv", body), max_concurrency=concurrency)
    ended = [client.ended(job) for job in pair]
    assert [job.summary and job.summary["rejected"] for job in ended] == [{"NotANumber": 286, "ModelRefused": 1}] * 2
    one, other = (client.parts(job) for job in pair)
    assert len(one) == 20 + 20
    assert one == other


def test_a_second_submit_under_a_used_name_says_so_and_changes_nothing(client: Client) -> None:
    job = generated("used")
    assert client.run("submit", RECORDS, "--wait", "--name", job).status == 0
    before = listing(client)
    again = client.run("submit", ROOT / "examples" / "records.jsonl", "--wait", "--name", job)
    assert again.status == 2
    assert again.err == (
        f"error: the name {job} was used before, and nothing was changed: give another --name, "
        f"or look at it with python -m jobs status {job}\n"
    )
    assert listing(client) == before


def test_a_job_that_lost_a_grant_fails_naming_it_and_its_retry_predicts_all(
    client: Client, deployment: Deployment, expected: list[float]
) -> None:
    job = generated("denied")
    retried = f"{job}-again"
    asked = [it for it in grants_of(deployment, "InferenceStack") if it.action == "sagemaker:InvokeEndpoint"]
    assert asked
    with without(deployment, asked):
        failed = client.run("submit", RECORDS, "--wait", "--name", job, "--tolerate", "100", "--json")
    # All failed, and all were allowed to.
    assert failed.status == 0, failed.err
    summary = failed.document["summary"]
    assert summary["records"] == {"in": 569, "predicted": 0, "rejected": 0, "failed": 569}
    rows = [json.loads(line) for line in client.run("results", job, "--format", "jsonl").out.splitlines()]
    assert len(rows) == IN_ALL
    assert all("is not authorized to perform: sagemaker:InvokeEndpoint" in row["error"]["cause"] for row in rows)
    retry = client.run("retry", job, "--wait", "--name", retried, "--tolerate", "0", "--json")
    assert retry.status == 0, retry.err
    assert retry.document["summary"]["records"] == {"in": 569, "predicted": 569, "rejected": 0, "failed": 0}
    predicted = client.results(retried).predictions
    found = [predicted[index]["prediction"]["p_malignant"] for index in range(IN_ALL)]
    assert found == pytest.approx(expected, rel=0, abs=1e-6)


def test_nothing_of_a_job_lies_outside_its_own_folders(client: Client) -> None:
    job = generated("tidy")
    client.start(job, client.put(job, "records.csv", RECORDS.read_bytes()))
    assert client.ended(job).succeeded
    stack = client.stack()
    folders = ("predictions/part-", "map/", "summary.json")
    found = [key.removeprefix(f"{job_prefix(job)}/") for key in keys(stack.s3, stack.bucket, f"{job_prefix(job)}/")]
    assert all(key.startswith(folders) for key in found)
    assert {key.partition("/")[0] for key in keys(stack.s3, stack.bucket, "")} <= {"incoming", "jobs", "requests"}
