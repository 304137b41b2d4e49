"""`cdk synth` as CI runs it: without Docker, credentials or network."""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from local.cdk import CLI, node
from local.embedded import NO_PERSON
from tests.synthesis import ROOT, STACKS, STAGES, Assembly

NOWHERE = "http://127.0.0.1:9"
"""The port of the discard service, where nothing listens."""


@pytest.fixture(scope="module")
def cut_off() -> list[str]:
    """What runs a command without a network, where this machine can; proxies lead nowhere in any case."""
    unshare = shutil.which("unshare")
    command = [unshare, "--map-root-user", "--net"] if unshare else []
    able = unshare and subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0
    return command if able else []


def synth(stage: str, folder: Path, cut_off: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*cut_off, str(node()), str(CLI), "synth", "--quiet", "--output", str(folder), "-c", f"stage={stage}"],
        cwd=ROOT,
        env={
            # Nothing else: no `docker`, no AWS settings. The home has the caches of jsii and uv.
            "PATH": os.pathsep.join([sysconfig.get_path("scripts"), str(node().parent)]),
            "HOME": os.environ["HOME"],
            "HTTP_PROXY": NOWHERE,
            "HTTPS_PROXY": NOWHERE,
            # So that only problems go to stderr.
            "CI": "true",
            **NO_PERSON,
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_stage_is_synthesized_without_docker_credentials_or_network(
    tmp_path: Path, synthesized: Callable[[str], Assembly], cut_off: list[str]
) -> None:
    # The first synth of all downloads the packages that functions need, here and in Lambda.
    assert synthesized("local")
    assert synthesized("prod")
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda stage: synth(stage, tmp_path / stage, cut_off), STAGES))
    assert [(it.returncode, it.stderr) for it in done] == [(0, "")] * len(STAGES)
    for stage in STAGES:
        assert {path.name for path in (tmp_path / stage).glob("*.template.json")} == {
            f"{name}.template.json" for name in STACKS
        }
