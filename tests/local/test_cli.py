"""The command line: what it shows, what it says when it cannot, and that it leaves nothing running."""

import json
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from local import cdk, cli
from local.cdk import node
from local.failure import CommandError
from tests.local_aws import ROOT, alive, command, descendants


def _last_line(text: str) -> str:
    return text.strip().splitlines()[-1]


def test_run_with_json_writes_one_document_and_nothing_else() -> None:
    with command("run", "--json") as run:
        written, progress = run.communicate(timeout=120)
    assert run.returncode == 0, progress
    document = json.loads(written)
    request = document["requests"][0]
    workflows = {found["workflow"]: found for found in request["runs"]}
    assert set(workflows) == {"MlWorkflowStack", "InferenceStack"}
    expected = [record["id"] for record in json.loads((ROOT / request["request"]).read_text())["records"]]
    for found in workflows.values():
        assert [row["id"] for row in found["predictions"]] == expected
        assert found["rejected"] == []
    assert workflows["InferenceStack"]["results"].startswith("s3://")
    first, second = ([row["prediction"]["p_malignant"] for row in found["predictions"]] for found in workflows.values())
    assert first == pytest.approx(second, abs=1e-9)
    bad = document["requests"][1]["runs"][0]
    assert len(bad["rejected"]) > 0
    assert len(bad["rejected"]) + len(bad["predictions"]) == len(
        json.loads((ROOT / document["requests"][1]["request"]).read_text())["records"]
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_middle_of_the_deployment_leaves_nothing_running(number: signal.Signals) -> None:
    with command("run") as run:
        assert run.stderr is not None
        while "synthesizing" not in run.stderr.readline():
            pass
        started = descendants(run.pid)
        assert len(started) >= 2
        run.send_signal(number)
        assert run.wait(30) == 128 + number
        assert alive(started) == set()


def test_what_it_started_ends_when_the_command_is_killed() -> None:
    with command("run") as run:
        assert run.stderr is not None
        while "answers" not in run.stderr.readline():
            pass
        children = descendants(run.pid)
        run.kill()
        run.wait()
        servers = {pid for pid in children if _is_server(pid)}
        assert servers
        _wait_for_end(servers)


def _is_server(pid: int) -> bool:
    shown = subprocess.run(["ps", "-p", str(pid), "-o", "args="], capture_output=True, text=True, check=False)
    return "local.server" in shown.stdout


def _wait_for_end(processes: set[int]) -> None:
    for _ in range(200):
        if not alive(processes):
            return
    raise AssertionError(f"still running: {alive(processes)}")


def test_a_taken_port_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with command("up", "--port", str(port)) as up:
            written, said = up.communicate(timeout=30)
    assert (up.returncode, written) == (1, "")
    assert _last_line(said) == (
        f"error: cannot listen on 127.0.0.1:{port}: Address already in use: "
        "choose another --port, or leave it out for a free one"
    )


def test_a_stage_that_does_not_exist_is_named_with_those_that_do() -> None:
    with command("run", "--stage", "moon") as run:
        written, said = run.communicate(timeout=60)
    assert (run.returncode, written) == (1, "")
    assert re.match(
        r"error: cdk synth failed: stage: expected one of local, dev, prod, received moon \(", _last_line(said)
    )


def test_without_the_cdk_the_command_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cdk, "CLI", tmp_path / "cdk")
    previous = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    try:
        assert cli.main(["run"]) == 1
    finally:
        signal.signal(signal.SIGINT, previous[0])
        signal.signal(signal.SIGTERM, previous[1])
    said = capsys.readouterr()
    assert (said.out, said.err) == (
        "",
        "error: the CDK command line is not installed in node_modules: run `make setup`\n",
    )


def test_without_node_the_command_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(_name: str) -> None:
        return None

    monkeypatch.setattr("importlib.util.find_spec", nowhere)
    with pytest.raises(CommandError, match=r"Node\.js is not installed in this Python environment: run `make setup`"):
        node()


@pytest.mark.parametrize("port", ["65536", "-1", "http"])
def test_a_port_that_is_none_is_refused(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(["up", f"--port={port}"])
    assert f"expected a number from 0 to 65535, received '{port}'" in capsys.readouterr().err


@pytest.mark.parametrize("given", ["customer_key", "=true"])
def test_a_context_that_is_no_pair_is_refused(given: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["run", "-c", given])
    expected = f"expected a name and a value such as customer_key=true, received {given!r}"
    assert expected in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--help"], ["up", "--help"], ["run", "--help"]])
def test_help_has_examples(arguments: list[str]) -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "local", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "python -m local run --json" in shown.stdout
