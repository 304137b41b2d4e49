"""Tests of the commands as a person types them, against the embedded AWS with a stand-in for the job's machine."""

from __future__ import annotations

import csv
import io
import json
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from botocore.loaders import JSONFileLoader

from jobs import progress, submit
from jobs.cli import main
from jobs.job import Counts, find
from jobs.stack import Stack, connect
from lambda_src.contract import Item, derived_id, job_prefix, json_lines, part_key, summary_key
from local.embedded import embedded
from tests.jobs import stand_in

MIXED = "id,do,note\na,,=1+1\nb,reject,\nc,fail,-5\n,,plain\ne,,x\n"


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("aws")
    with embedded(folder / "aws.log", folder, 0) as ready, pytest.MonkeyPatch.context() as patch:
        stand_in.deploy(ready)
        for name in ("AWS_PROFILE", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN"):
            patch.delenv(name, raising=False)
        patch.setenv("AWS_ENDPOINT_URL", ready.endpoint)
        patch.setenv("AWS_ACCESS_KEY_ID", ready.access_key)
        patch.setenv("AWS_SECRET_ACCESS_KEY", ready.secret_key)
        patch.setenv("AWS_REGION", ready.region)
        patch.setenv("SLUICE_STACK", stand_in.STACK)
        # botocore reads its models anew in each session: the same for each of these commands.
        read, models = JSONFileLoader.load_file, dict[str, Any]()
        patch.setattr(
            JSONFileLoader,
            "load_file",
            lambda self, path: models[path] if path in models else models.setdefault(path, read(self, path)),
        )
        yield


@pytest.fixture(scope="module")
def whole(environment: None, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A job that has ended, with a record of each kind."""
    file = tmp_path_factory.mktemp("whole") / "mixed.csv"
    file.write_text(MIXED, newline="")
    assert main(["submit", str(file), "--name", "whole", "--tolerate", "50", "--wait", "--json"]) == 0
    return "whole"


@dataclass(frozen=True)
class Answer:
    status: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


Jobs = Callable[..., Answer]


@pytest.fixture
def jobs(environment: None, capsysbinary: pytest.CaptureFixture[bytes]) -> Jobs:
    def run(*arguments: str | Path) -> Answer:
        capsysbinary.readouterr()
        status = main([str(argument) for argument in arguments])
        told = capsysbinary.readouterr()
        return Answer(status, told.out.decode(), told.err.decode())

    return run


@pytest.fixture
def stack(jobs: Jobs) -> Stack:
    return connect(stand_in.STACK)


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    file = tmp_path / "mixed.csv"
    file.write_text(MIXED, newline="")
    return file


def _keys(stack: Stack, prefix: str) -> list[str]:
    return [entry["Key"] for entry in stack.s3.list_objects_v2(Bucket=stack.bucket, Prefix=prefix).get("Contents", [])]


def test_a_job_is_submitted_watched_and_its_results_joined_to_the_input(jobs: Jobs, mixed: Path) -> None:
    ended = jobs("submit", mixed, "--name", "joined", "--tolerate", "50", "--wait")
    assert (ended.status, ended.out.splitlines()[:2]) == (0, ["joined: SUCCEEDED", "  records  5 of 5 done, 1 failed"])
    results = jobs("results", "joined")
    assert "5 records: 3 predicted, 1 rejected, 1 failed" in results.err
    assert list(csv.reader(io.StringIO(results.out))) == [
        ["id", "do", "note", "label", "p_malignant", "error", "cause"],
        ["a", "", "'=1+1", "benign", "0", "", ""],
        ["b", "reject", "", "", "", "NotANumber", "expected a number"],
        ["c", "fail", "-5", "", "", "ModelBroken", "the model \x1b[31mbroke"],
        ["", "", "plain", "benign", "0.375", "", ""],
        ["e", "", "x", "benign", "0.5", "", ""],
    ]


def test_results_can_be_json_lines_or_one_document_or_a_file(jobs: Jobs, whole: str, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in jobs("results", whole, "--format", "jsonl").out.splitlines()]
    assert rows[0] == {"id": "a", "do": "", "note": "=1+1", "prediction": {"label": "benign", "p_malignant": 0}}
    assert rows[2]["error"] == {"error": "ModelBroken", "cause": "the model \x1b[31mbroke"}
    document = jobs("results", whole, "--json")
    assert (document.err, document.document["results"]) == ("", rows)
    file = tmp_path / "out.csv"
    told = jobs("results", whole, "--output", file, "--json")
    counts = {"records": 5, "predicted": 3, "rejected": 1, "failed": 1, "missing": 0}
    assert told.document == {"job": "whole", "status": "SUCCEEDED", "records": counts, "output": str(file)}
    assert file.read_text() == jobs("results", whole).out


def test_results_into_a_folder_that_is_not_there_say_so(jobs: Jobs, whole: str, tmp_path: Path) -> None:
    told = jobs("results", whole, "--output", tmp_path / "none" / "out.csv")
    assert (told.status, told.err.count("\n")) == (2, 1)
    assert "give another --output" in told.err


def test_a_job_that_fails_says_why_and_its_exit_status_is_1(jobs: Jobs, mixed: Path) -> None:
    ended = jobs("submit", mixed, "--name", "failing", "--wait")
    assert ended.status == 1
    assert "failing: FAILED" in ended.out
    assert "why      States.ExceedToleratedFailureThreshold" in ended.out
    assert "python -m jobs retry failing" in ended.out
    assert jobs("status", "failing").status == 1


def test_a_second_submit_under_a_used_name_changes_nothing(jobs: Jobs, whole: str, mixed: Path, stack: Stack) -> None:
    before = _keys(stack, "")
    mixed.write_text("id,do\nother,\n")
    told = jobs("submit", mixed, "--name", whole, "--tolerate", "50", "--wait")
    assert (told.status, told.out) == (2, "")
    assert "the name whole was used before, and nothing was changed" in told.err
    assert _keys(stack, "") == before
    assert (
        stack.s3.get_object(Bucket=stack.bucket, Key="incoming/submitted/whole/mixed.csv")["Body"].read()
        == MIXED.encode()
    )


def test_a_name_whose_data_set_is_there_already_is_used_too(jobs: Jobs, mixed: Path, stack: Stack) -> None:
    stack.s3.put_object(Bucket=stack.bucket, Key="incoming/submitted/half/other.csv", Body=b"1")
    assert jobs("submit", mixed, "--name", "half").status == 2


def test_two_submits_at_once_cannot_overwrite_each_other(
    jobs: Jobs, mixed: Path, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack.s3.put_object(Bucket=stack.bucket, Key="incoming/submitted/race/mixed.csv", Body=b"first")
    monkeypatch.setattr(submit, "check_free", lambda *_: None)
    told = jobs("submit", mixed, "--name", "race")
    assert (told.status, told.err.count("\n")) == (2, 1)
    assert "exists already and was left as it is" in told.err
    assert stack.s3.get_object(Bucket=stack.bucket, Key="incoming/submitted/race/mixed.csv")["Body"].read() == b"first"


def test_a_large_file_is_uploaded_in_parts_and_never_over_another(
    jobs: Jobs, tmp_path: Path, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "large.csv"
    file.write_text("id,do\n" + "x" * (17 * 1024 * 1024) + ",\n")
    stack.s3.put_object(Bucket=stack.bucket, Key="incoming/submitted/large/large.csv", Body=b"first")
    monkeypatch.setattr(submit, "check_free", lambda *_: None)
    assert "exists already" in jobs("submit", file, "--name", "large").err
    assert jobs("submit", file, "--name", "large-2", "--no-wait").status == 0
    head = stack.s3.head_object(Bucket=stack.bucket, Key="incoming/submitted/large-2/large.csv")
    assert (head["ContentLength"], head["ETag"].endswith('-3"')) == (file.stat().st_size, True)
    jobs("stop", "large-2")


def test_a_retry_runs_what_was_not_predicted_and_nothing_twice(jobs: Jobs, whole: str, stack: Stack) -> None:
    told = jobs("retry", whole, "--name", "second", "--wait")
    assert "2 of 5 records were not predicted: 1 rejected, 1 failed, 0 not run" in told.err
    body = stack.s3.get_object(Bucket=stack.bucket, Key="incoming/submitted/second/mixed.csv")["Body"].read().decode()
    assert list(csv.DictReader(io.StringIO(body))) == [
        {"id": "b", "do": "reject", "note": ""},
        {"id": "c", "do": "fail", "note": "-5"},
    ]
    document = jobs("status", "second", "--json").document
    assert (document["parent"], document["live"]) == ("whole", {"total": 2, "done": 2, "failed": 1})


def test_a_job_stopped_half_way_goes_on_with_what_is_missing(jobs: Jobs, tmp_path: Path, stack: Stack) -> None:
    file = tmp_path / "slow.csv"
    file.write_text("id,do\n" + "".join(f"r{index},{'' if index % 2 else 'wait'}\n" for index in range(8)))
    assert jobs("submit", file, "--name", "slow", "--no-wait", "--json").document["status"] == "RUNNING"
    progress_of(stack, "slow", done=4)
    running = jobs("results", "slow")
    assert "4 missing: not yet: the job is still running" in running.err
    assert running.out.splitlines()[1] == "r0,wait,,,NotPredicted,not yet: the job is still running"
    assert "still running" in jobs("retry", "slow").err
    assert jobs("stop", "slow").out.startswith("stopped slow\n  next     python -m jobs retry slow")
    assert "had ended before (ABORTED)" in jobs("stop", "slow").out
    assert "slow: ABORTED" in jobs("status", "slow").out
    assert "not run: the job ended before this record" in jobs("results", "slow").out
    told = jobs("retry", "slow", "--name", "slow-2", "--no-wait")
    assert "4 of 8 records were not predicted: 0 rejected, 0 failed, 4 not run" in told.err
    body = stack.s3.get_object(Bucket=stack.bucket, Key="incoming/submitted/slow-2/slow.csv")["Body"].read().decode()
    assert [row["id"] for row in csv.DictReader(io.StringIO(body))] == ["r0", "r2", "r4", "r6"]
    jobs("stop", "slow-2")


def progress_of(stack: Stack, job: str, *, done: int) -> None:
    """Waits until so many records of a job are done."""

    class Enough(Exception):
        pass

    def told(counts: Counts | None) -> None:
        if counts is not None and counts.done >= done:
            raise Enough

    with pytest.raises(Enough):
        progress.watch(stack, job, told)


def test_a_retry_of_a_job_that_predicted_all_does_nothing(jobs: Jobs, tmp_path: Path, stack: Stack) -> None:
    file = tmp_path / "good.csv"
    file.write_text("id,do\na,\nb,\n")
    jobs("submit", file, "--name", "good", "--wait")
    told = jobs("retry", "good", "--name", "good-2")
    assert (told.status, told.out) == (0, "nothing to do: all 2 records of good were predicted\n")
    assert _keys(stack, "incoming/submitted/good-2/") == []
    assert jobs("status", "good-2").status == 2


def test_ctrl_c_detaches_and_says_how_to_come_back(jobs: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    file = tmp_path / "slow.csv"
    file.write_text("id,do\na,wait\n")
    monkeypatch.setattr(progress.watch, "__defaults__", (interrupt,))
    told = jobs("submit", file, "--name", "detached", "--wait")
    assert (told.status, told.out) == (130, "")
    assert told.err.endswith("detached: detached goes on; come back with python -m jobs status detached\n")
    assert jobs("status", "detached", "--json").document["status"] == "RUNNING"
    jobs("stop", "detached")


def test_the_list_has_the_latest_job_first(jobs: Jobs, mixed: Path, stack: Stack) -> None:
    jobs("submit", mixed, "--name", "older", "--tolerate", "50", "--wait")
    jobs("submit", mixed, "--name", "newer", "--wait")
    summary = {"records": {"in": 5, "predicted": 3, "rejected": 1, "failed": 1}}
    stack.s3.put_object(Bucket=stack.bucket, Key=summary_key("older"), Body=json.dumps(summary))
    newer, older = jobs("list", "--limit", "2", "--json").document["jobs"]
    assert (newer["job"], newer["status"], newer["predicted"]) == ("newer", "FAILED", None)
    assert (older["job"], older["records"], older["predicted"], older["rejected"]) == ("older", 5, 3, 1)
    table = jobs("list", "--limit", "1").out
    assert "newer" in table
    assert "older" not in table
    assert "\x1b" not in table


@pytest.mark.parametrize("form", ["json", "jsonl", "objects"])
def test_json_data_sets_are_joined_and_retried_in_their_own_format(
    jobs: Jobs, stack: Stack, tmp_path: Path, form: str
) -> None:
    values: list[Any] = [{"id": "ü😀/..", "x": 1.5}, {"x": 2}, 7]
    prefix = f"incoming/submitted/made-{form}/"
    texts = [json.dumps(value, ensure_ascii=False) for value in values]
    place = {"prefix": prefix} if form == "objects" else {"key": f"{prefix}records.{form}"}
    if form == "objects":
        for number, text in enumerate(texts):
            stack.s3.put_object(Bucket=stack.bucket, Key=f"{prefix}{number}.json", Body=text.encode())
    else:
        whole = "\n".join(texts) if form == "jsonl" else f"[{','.join(texts)}]"
        stack.s3.put_object(Bucket=stack.bucket, Key=place["key"], Body=whole.encode())
    job = f"made-{form}"
    part = part_key(job_prefix(job), "predictions", 0)
    rows = json_lines([{"id": "ü😀/..", "index": 0, "prediction": {"label": "benign"}}])
    stack.s3.put_object(Bucket=stack.bucket, Key=part, Body=rows)
    summary = {
        "job": job,
        "status": "SUCCEEDED",
        "dataset": {**place, "format": form},
        "records": {"in": 3, "predicted": 1, "rejected": 0, "failed": 2},
    }
    stack.s3.put_object(Bucket=stack.bucket, Key=summary_key(job), Body=json.dumps(summary))
    found = [json.loads(line) for line in jobs("results", job).out.splitlines()]
    assert found[0] == {**values[0], "prediction": {"label": "benign"}}
    assert [row["error"]["error"] for row in found[1:]] == ["NotPredicted", "NotPredicted"]
    table = list(csv.reader(io.StringIO(jobs("results", job, "--format", "csv").out)))
    assert table[0] == ["id", "x", "record", "label", "error", "cause"]
    assert [row[:4] for row in table[1:]] == [["ü😀/..", "1.5", "", "benign"], ["", "2", "", ""], ["", "", "7", ""]]
    assert jobs("retry", job, "--name", f"again-{form}", "--no-wait").status == 0
    bodies = [
        stack.s3.get_object(Bucket=stack.bucket, Key=key)["Body"].read().decode()
        for key in _keys(stack, f"incoming/submitted/again-{form}/")
    ]
    again = {"x": 2, "id": derived_id(Item(1, {"x": 2}))}
    if form == "json":
        assert json.loads(bodies[0]) == [again, 7]
    else:
        lines = bodies if form == "objects" else bodies[0].splitlines()
        assert [json.loads(line) for line in lines] == [again, 7]


def test_a_data_set_in_s3_is_used_in_place_or_copied(jobs: Jobs, stack: Stack) -> None:
    stack.s3.create_bucket(Bucket="elsewhere")
    for bucket, key in ((stack.bucket, "incoming/mine/a.csv"), ("elsewhere", "x/a.csv")):
        stack.s3.put_object(Bucket=bucket, Key=key, Body=b"id,do\na,\n")
    in_place = jobs("submit", f"s3://{stack.bucket}/incoming/mine/a.csv", "--name", "in-place", "--wait", "--json")
    assert in_place.document["dataset"] == {"key": "incoming/mine/a.csv"}
    copied = jobs("submit", "s3://elsewhere/x/a.csv", "--name", "copied", "--wait", "--json")
    assert copied.document["dataset"] == {"key": "incoming/submitted/copied/a.csv"}
    jobs("submit", "s3://elsewhere/x/", "--name", "objects", "--no-wait")
    assert _keys(stack, "incoming/submitted/objects/") == ["incoming/submitted/objects/a.csv"]
    assert "there is no object" in jobs("submit", "s3://elsewhere/none.csv").err
    assert "there are no objects under" in jobs("submit", "s3://elsewhere/none/").err


def test_no_control_character_of_a_cause_reaches_a_terminal(jobs: Jobs, stack: Stack) -> None:
    summary = {
        "job": "evil",
        "status": "FAILED",
        "error": "E\x1b]0;x\x07",
        "cause": "a\x1b[2J\nb\u202e",
        "dataset": {"key": "incoming/evil/a.csv", "format": "csv"},
        "records": {"in": 1, "predicted": 0, "rejected": 1, "failed": 0},
        "rejected": {"\x9bBad": 1},
    }
    stack.s3.put_object(Bucket=stack.bucket, Key=summary_key("evil"), Body=json.dumps(summary))
    told = jobs("status", "evil").out
    assert all(line.isprintable() for line in told.splitlines())
    assert "why      E\\x1b]0;x\\x07: a\\x1b[2J b\\u202e" in told
    assert "rejected: \\x9bBad 1" in told


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["status", "nobody"], 2, "there is no job 'nobody' in stack StandIn: python -m jobs list shows them"),
        (["status", "a b"], 2, "there is no job 'a b'"),
        (["list", "--stack", "Nothing"], 3, "no stack Nothing in region us-east-1: deploy it"),
        (["list", "--stack", "Other"], 3, "stack Other has no output BatchJobArn or ResultsBucketUri"),
        (["list", "--profile", "nobody"], 3, "could not be found: name another with --profile or AWS_PROFILE"),
        (["list", "--limit", "0"], 2, "see python -m jobs list --help"),
        (["submit"], 2, "Missing argument"),
        (["nothing"], 2, "No such command 'nothing'"),
        (["submit", "none.csv"], 2, "none.csv is no file here"),
    ],
)
def test_an_error_is_one_line_with_what_to_do_and_an_exit_status(
    jobs: Jobs, arguments: list[str], status: int, message: str
) -> None:
    told = jobs(*arguments)
    assert (told.status, told.out, told.err.count("\n")) == (status, "", 1)
    assert message in told.err
    document = jobs(*arguments, "--json").document
    assert (document["exitStatus"], message in document["error"]) == (status, True)


def test_without_credentials_or_an_answer_the_exit_status_is_3(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    told = jobs("list")
    assert (told.status, told.err.count("\n")) == (3, 1)
    assert "check the network, the region and AWS_ENDPOINT_URL" in told.err
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    told = jobs("list")
    assert (told.status, "sign in, or set AWS_PROFILE" in told.err) == (3, True)
    monkeypatch.delenv("AWS_REGION")
    assert "set AWS_REGION, or give --region" in jobs("list").err


@pytest.mark.parametrize("endpoint", ["nowhere", "http://["])
def test_an_endpoint_that_is_no_url_is_named(jobs: Jobs, monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    told = jobs("list")
    assert (told.status, told.out, told.err.count("\n")) == (3, "", 1)
    assert "check AWS_ENDPOINT_URL" in told.err


def test_a_job_that_another_client_started_with_a_deceiving_input_is_shown_and_read_like_any(
    jobs: Jobs, stack: Stack
) -> None:
    name = "it's(\u202egnp.exe)!"
    key = "incoming/deceiving/\x1b]8;;http://a.example\x07[red]\x1b[2J/.."
    stack.s3.put_object(Bucket=stack.bucket, Key=key, Body=b"id,do\n\x1b[31mone,\ntwo,reject\n")
    stack.states.start_execution(
        stateMachineArn=stack.machine_arn,
        name=name,
        input=json.dumps({"dataset": {"key": key}, "format": "csv", "parent": "\x1b[2J[bold]" * 5_000}),
    )
    assert progress.watch(stack, name, lambda counts: None).status == "SUCCEEDED"
    said = [jobs("list"), jobs("status", name), jobs("results", name, "--format", "jsonl"), jobs("retry", name)]
    for told in said:
        assert told.status == 0, told.err
        assert (told.out + told.err).replace("\n", "").isprintable()
    assert "it's(\\u202egnp.exe)!" in said[0].out
    assert "python -m jobs results " + shlex.quote(name).replace("\u202e", "\\u202e") in said[1].out
    assert max(len(line) for line in said[1].out.splitlines()) < 400
    assert [json.loads(line)["id"] for line in said[2].out.splitlines()] == ["\x1b[31mone", "two"]
    assert jobs("status", name, "--json").document["dataset"] == {"key": key}


@pytest.mark.parametrize("name", ["../../x", "/etc/passwd", "", "a" * 5_000, "\x1b[31m", "{% 1 %}", "a:b", "$(x)"])
@pytest.mark.parametrize("command", ["status", "results", "retry", "stop"])
def test_what_no_job_can_be_called_is_no_job(jobs: Jobs, command: str, name: str) -> None:
    told = jobs(command, name)
    assert (told.status, told.out) == (2, "")
    assert told.err.startswith("error: there is no job ")
    assert (len(told.err.splitlines()), told.err[:-1].isprintable()) == (1, True)


def test_a_job_whose_input_is_nested_deeper_than_python_reads_is_found(whole: str, stack: Stack) -> None:
    class Deep:
        def describe_execution(self, **asked: str) -> Any:
            return {**stack.states.describe_execution(**asked), "input": "[" * 100_000 + "]" * 100_000}

    found = find(replace(stack, states=Deep()), whole)
    assert (found.status, found.input) == ("SUCCEEDED", {})


@pytest.mark.parametrize("command", ["submit", "list", "status", "results", "retry", "stop"])
def test_every_command_has_help_with_examples(jobs: Jobs, command: str) -> None:
    told = jobs(command, "--help")
    assert told.status == 0
    assert f"  python -m jobs {command}" in told.out
    assert "exit status:" in jobs("--help").out
