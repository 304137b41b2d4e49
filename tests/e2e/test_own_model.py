"""docs/bring-your-own-model.md, followed to the letter: its files written and its commands run, in order."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import joblib  # type: ignore[import-untyped]  # it ships no type hints
import pytest

from lambda_src.contract import job_prefix, summary_key
from local.sagemaker.containers import SCRIPT_MODE
from local.server import Ready
from local.workflows import Account
from model import train
from stacks.constructs.model.model_image import IMAGES
from stacks.settings import Settings
from stacks.settings.model import FRAMEWORKS, SKLEARN
from tests.e2e.deployment import until
from tests.local.sagemaker import fake_docker
from tests.synthesis import ROOT

PAGE = ROOT / "docs" / "bring-your-own-model.md"
COPIED = ("app.py", "cdk.json", "examples", "jobs", "lambda_src", "local", "model", "stacks")
SHARED = ("functions", "packages")
"""What was built before, in folders that are named after their content."""

FENCE = re.compile(r"```(\w+)\n(.*?)```\n", re.DOTALL)
FILE = re.compile(r"`(build/[\w/.]+\.py)`")
UP = "python -m local up"


@dataclass(frozen=True)
class Block:
    """A fenced block: Python belongs into `file`, which the words before it named last."""

    language: str
    text: str
    file: str | None


def blocks() -> list[Block]:
    page, found, end = PAGE.read_text(), [], 0
    for fence in FENCE.finditer(page):
        named = FILE.findall(page, end, fence.start())
        found.append(Block(fence[1], fence[2], named[-1] if named else None))
        end = fence.end()
    return found


@dataclass(frozen=True)
class Left:
    """What a job left: its summary, and its predictions in the records' order."""

    summary: dict[str, Any]
    predictions: list[dict[str, Any]]


@dataclass(frozen=True)
class Terminal:
    """Where the commands run: a copy of the project, with a shell that keeps its variables from block to block."""

    project: Path

    @property
    def environment(self) -> dict[str, str]:
        fake = self.project.parent / "docker" / "bin"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        path = os.pathsep.join([str(fake), str(Path(sys.executable).parent), os.environ["PATH"]])
        # A person is asked whether the changed permissions are meant.
        told = {"CDK_REQUIRE_APPROVAL": "never", "CDK_DISABLE_CLI_TELEMETRY": "1", "CI": "true", "NO_COLOR": "1"}
        return {**kept, **told, "PATH": path}

    def run(self, commands: str) -> str:
        """What the commands wrote; each of them has to succeed."""
        script = f"test ! -e ../variables || . ../variables\n{commands}\nexport -p > ../variables\n"
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self.project,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=180,
            check=False,
        )
        assert done.returncode == 0, f"{commands}\n{done.stdout}"
        return done.stdout

    def left(self, job: str) -> Left:
        exports = dict(re.findall(r"export (\w+)=(.*)", (self.project / "build" / "local" / "env").read_text()))
        account = Account(
            Ready(
                endpoint=exports["AWS_ENDPOINT_URL"],
                access_key=exports["AWS_ACCESS_KEY_ID"],
                secret_key=exports["AWS_SECRET_ACCESS_KEY"],
                region=exports["AWS_REGION"],
                account="",
            )
        )
        bucket = account.outputs("InferenceStack")["ResultsBucketUri"].removeprefix("s3://").strip("/")
        s3 = account.client("s3")

        def read(key: str) -> str:
            return str(s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode())

        listed = s3.list_objects_v2(Bucket=bucket, Prefix=f"{job_prefix(job)}/predictions/")["Contents"]
        parts = [read(it["Key"]) for it in listed]
        lines = [json.loads(line) for part in parts for line in part.splitlines()]
        return Left(json.loads(read(summary_key(job))), sorted(lines, key=lambda line: line["index"]))

    @contextmanager
    def running(self, command: str) -> Iterator[None]:
        """`python -m local up` in a terminal of its own, until Ctrl-C."""
        log = self.project.parent / "up.log"
        with log.open("wb") as output:
            up = subprocess.Popen(
                command.split(), cwd=self.project, env=self.environment, stdout=output, stderr=subprocess.STDOUT
            )
        try:
            ready = self.project / "build" / "local" / "env"
            until(lambda: ready.exists() or up.poll() is not None, bool, 120)
            assert up.poll() is None, log.read_text()
            yield
        finally:
            up.send_signal(signal.SIGINT)
            assert up.wait(60) == 0, log.read_text()


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Terminal:
    """With a stand-in for Docker on the PATH; the machine that runs the tests need not have one."""
    folder = tmp_path_factory.mktemp("own")
    fake_docker.install(folder / "docker")
    project = folder / "project"
    (project / "build").mkdir(parents=True)
    for name in COPIED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
        copy(ROOT / name, project / name)
    (project / "node_modules").symlink_to(ROOT / "node_modules")
    for name in SHARED:
        (ROOT / "build" / name).mkdir(parents=True, exist_ok=True)
        (project / "build" / name).symlink_to(ROOT / "build" / name)
    return Terminal(project)


@pytest.fixture(scope="module")
def followed(terminal: Terminal) -> Iterator[dict[str, Left]]:
    """The page, followed: what each of its jobs left, by its name."""
    found: dict[str, Left] = {}
    with ExitStack() as open_terminals:
        for block in blocks():
            if block.language == "python":
                assert block.file is not None, block.text
                (terminal.project / block.file).parent.mkdir(parents=True, exist_ok=True)
                (terminal.project / block.file).write_text(block.text)
            elif block.text.startswith(UP):
                open_terminals.enter_context(terminal.running(block.text))
            else:
                terminal.run(block.text)
            for job in re.findall(r"submit .* --name (\w+)", block.text):
                found[job] = terminal.left(job)
        yield found


def test_another_archive_is_served_by_two_settings_and_no_code(terminal: Terminal, followed: dict[str, Left]) -> None:
    job = followed["boosting"]
    model = joblib.load(terminal.project / "build" / "boosting" / "model.joblib")
    expected = model.predict_proba(train.load().values)[:, 1].round(9).tolist()
    assert [line["prediction"]["p_malignant"] for line in job.predictions] == expected
    assert job.summary["records"] == {"in": 569, "predicted": 569, "rejected": 0, "failed": 0}
    assert {line["modelVersion"] for line in job.predictions} == {job.summary["model"]}
    with (terminal.project / "build" / "boosting.csv").open() as file:
        assert [row["id"] for row in csv.DictReader(file)] == train.load().ids


def test_an_image_is_run_by_docker_and_ends_with_its_endpoint(terminal: Terminal, followed: dict[str, Left]) -> None:
    job = followed["image"]
    assert {line["prediction"]["p_malignant"] for line in job.predictions} == {fake_docker.P_MALIGNANT}
    assert job.summary["records"]["predicted"] == 569
    assert job.summary["model"] == "1"
    docker = terminal.project.parent / "docker"
    calls = [json.loads(line) for line in (docker / "calls").read_text().splitlines()]
    assert [call[-2:] for call in calls if call[0] == "run"] == [
        ["123456789012.dkr.ecr.us-east-1.amazonaws.com/team/tumours:1", "serve"]
    ]
    assert list((docker / "containers").iterdir()) == []


def test_a_version_of_the_registry_is_served_as_the_archive_it_names(followed: dict[str, Left]) -> None:
    job = followed["package"]
    assert [line["prediction"] for line in job.predictions] == [
        line["prediction"] for line in followed["boosting"].predictions
    ]
    assert {line["modelVersion"] for line in job.predictions} == {job.summary["model"]} == {"tumours/1"}


def test_the_page_names_every_setting_of_a_model_and_every_image_that_script_mode_stands_in_for() -> None:
    page = PAGE.read_text()
    settings = {
        field.name for field in fields(Settings) if re.match("model_(archive|framework|image|package)", field.name)
    }
    assert {name for name in settings if f"`{name}`" not in page} == set()
    assert {name for name in (*SCRIPT_MODE, *FRAMEWORKS) if f"`{name}`" not in page} == set()
    assert ":".join(IMAGES[SKLEARN]) in page
    assert {name for name, _ in IMAGES.values()} == set(SCRIPT_MODE)
