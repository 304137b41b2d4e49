"""A whole local run: what it listens on, what its processes are told of the person, and where it writes."""

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from local.cdk import caches
from local.workflows import STACKS, Account
from tests.local_aws import ROOT, deployed, descendants

SECRETS = {
    "AWS_ACCESS_KEY_ID": "AKIAPERSON",
    "AWS_SECRET_ACCESS_KEY": "the-persons-own-secret",
    "AWS_SESSION_TOKEN": "the-persons-own-token",
    "AWS_WEB_IDENTITY_TOKEN_FILE": "the-persons-own-file",
    "CDK_DEFAULT_ACCOUNT": "the-persons-own-account",
    "GITHUB_TOKEN": "the-persons-own-github",
    "NPM_TOKEN": "the-persons-own-npm",
    "HF_TOKEN": "the-persons-own-hub",
    "DATABASE_URL": "postgres://the-persons-own@host/db",
    "SSH_AUTH_SOCK": "the-persons-own-agent",
}
SPOKEN_FOR = ("local.server", "bootstrap", "synth", "app.py", "deploy", "runtime.py", "server import main")
"""What tells each kind of process in its command line."""

NOT_OURS = {
    ".git",
    ".hypothesis",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    ".venv",
    "__pycache__",
    "build",
    "node_modules",
}


class Watched:
    """The processes below this one: their command lines, and the environments that they began with."""

    def __init__(self) -> None:
        self.environments: dict[str, dict[str, str]] = {}
        self._ended = threading.Event()

    @contextmanager
    def watching(self) -> Iterator[None]:
        thread = threading.Thread(target=self._watch)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(0.05):
            for process in descendants(os.getpid()):
                try:
                    command = Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode()
                    text = Path(f"/proc/{process}/environ").read_bytes().decode()
                except OSError:  # it has ended
                    continue
                pairs = [line.partition("=") for line in text.split("\0") if line]
                self.environments[command] = {name: value for name, _, value in pairs}


def listening(processes: set[int]) -> set[str]:
    """The addresses that these processes listen on, in hexadecimal as Linux tells them."""
    links = (link for process in processes for link in Path(f"/proc/{process}/fd").glob("*") if link.is_symlink())
    sockets = {str(link.readlink()) for link in links}
    found = set()
    for table in ("tcp", "tcp6"):
        for row in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            columns = row.split()
            if columns[3] == "0A" and f"socket:[{columns[9]}]" in sockets:
                found.add(columns[1].partition(":")[0])
    return found


def files(folder: Path) -> dict[str, int]:
    """When each file of a folder was written last, but for what is not the project's."""
    found: dict[str, int] = {}
    for here, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in NOT_OURS]
        found |= {f"{here}/{name}": Path(here, name).lstat().st_mtime_ns for name in names}
    return found


def test_a_run_listens_on_this_machine_alone_knows_no_secret_and_writes_in_its_folder_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**caches(), **SECRETS}.items():
        monkeypatch.setenv(name, value)
    home, temporary = tmp_path / "home", tmp_path / "tmp"
    (home / ".aws").mkdir(parents=True)
    (home / ".aws" / "credentials").write_text("[default]\naws_access_key_id = AKIAPERSON\n")
    temporary.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("TMPDIR", str(temporary))
    before = files(tmp_path), files(ROOT), set(Path("/tmp").glob("ministack*"))
    watched = Watched()

    with watched.watching(), deployed() as aws:
        request = json.loads((ROOT / "examples" / "request.json").read_text())
        for stack in STACKS:
            Account(aws.ready).run(stack, request)
        assert [it.stat().st_mode & 0o077 for it in (ROOT / "build" / "local").glob("run-*")] == [0]
        # What points a shell at it has its keys: for nobody else's eyes, and gone with it.
        shell = ROOT / "build" / "local" / "env"
        shown = subprocess.run(["/bin/sh", "-c", f". '{shell}' && env"], capture_output=True, text=True, check=True)
        assert f"AWS_ENDPOINT_URL={aws.ready.endpoint}\n" in shown.stdout
        assert shell.stat().st_mode & 0o077 == 0
        # Loopback, of IPv4; the model server is a listener of its own.
        assert listening(descendants(os.getpid())) == {"0100007F"}

    assert not shell.exists()
    assert (files(tmp_path), files(ROOT), set(Path("/tmp").glob("ministack*"))) == before
    # The command itself, and a child of these tests between fork and exec, have what a person's shell gives them.
    own = {command: told for command, told in watched.environments.items() if " -m local " not in command}
    own = {command: told for command, told in own.items() if not command.startswith("ps -e ")}  # these tests' own look
    own.pop(Path("/proc/self/cmdline").read_bytes().replace(b"\0", b" ").decode(), None)
    for kind in SPOKEN_FOR:
        assert any(kind in command for command in own), kind
    for command, told in own.items():
        assert not [name for name, value in told.items() if value in SECRETS.values()], command
        assert "AWS_PROFILE" not in told, command
        assert told.get("HOME") != str(home), command
        assert told.get("TMPDIR") != str(temporary), command
