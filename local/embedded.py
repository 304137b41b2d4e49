"""Starts the embedded AWS in a process of its own and ends it, with everything that it has started."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from local.failure import CommandError
from local.interrupt import held
from local.server import Ready

ROOT = Path(__file__).resolve().parents[1]
STOP_SECONDS = 10.0
# What a program needs of its surroundings to run at all, and what shortens the states engine's waits
# (`local/clock.py`). Nothing else of the person's reaches the embedded AWS.
_KEPT = ("PATH", "LANG", "LC_ALL", "SYSTEMROOT", "SLUICE_WAIT_SCALE")
# botocore would otherwise read the person's settings from their home.
NO_PERSON = {
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}


def clean_environment(folder: Path, **variables: str) -> dict[str, str]:
    """An environment for a program that is to write below `folder` alone, and to know nothing of the person.

    It has the few variables that any program needs, and `variables`.
    """
    home, temporary = folder / "home", folder / "tmp"
    for made in (home, temporary):
        made.mkdir(parents=True, exist_ok=True)
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    own = dict.fromkeys(("TMPDIR", "TMP", "TEMP"), str(temporary)) | {"HOME": str(home)}
    return kept | NO_PERSON | own | variables


def docker() -> dict[str, str]:
    """Where the person's Docker is, and its logins: a model's own image runs there."""
    names = ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY")
    config = os.environ.get("DOCKER_CONFIG", str(Path.home() / ".docker"))
    return {name: os.environ[name] for name in names if name in os.environ} | {"DOCKER_CONFIG": config}


@contextmanager
def embedded(
    log: Path, data: Path, port: int, allowed: Path | None = None, keep: Path | None = None
) -> Iterator[Ready]:
    """A running embedded AWS on 127.0.0.1; port 0 is any free one. It ends when the `with` or this process does.

    `log` takes what it writes, and its folder all else that is of this run; `data` what it keeps between runs;
    `allowed` what IAM allows (`local.permissions`); `keep` all that it holds, for the next one (`local.keep`).
    Raises CommandError when it does not start.
    """
    command = [sys.executable, "-m", "local.server", "--port", str(port), "--folder", str(data)]
    if allowed is not None:
        command += ["--allowed", str(allowed)]
    if keep is not None:
        command += ["--keep", str(keep)]
    with started(command, log=log, cwd=ROOT, env=clean_environment(log.parent, **docker()), spoken=True) as server:
        yield _ready(server, log)


@contextmanager
def started(
    command: Sequence[str], *, log: Path, cwd: Path, env: Mapping[str, str], spoken: bool = False
) -> Iterator[subprocess.Popen[bytes]]:
    """A process whose output goes to `log`, and which ends, with all that it has started, when the `with` does.

    `spoken`: its stdin and stdout are pipes. It leads a session of its own: Ctrl-C is for the command, which
    then ends this process in order.
    """
    process = None
    try:
        with held(), log.open("ab") as output:
            process = subprocess.Popen(  # noqa: S603 -- this project's own programs
                command,
                cwd=cwd,
                env=env,
                stdin=subprocess.PIPE if spoken else subprocess.DEVNULL,
                stdout=subprocess.PIPE if spoken else output,
                stderr=output,
                start_new_session=True,
            )
        yield process
    finally:
        if process is not None:
            end(process)


def _ready(server: subprocess.Popen[bytes], log: Path) -> Ready:
    assert server.stdout is not None
    line = server.stdout.readline()
    if not line:
        server.wait()
        raise CommandError(_why(log))
    return Ready(**json.loads(line))


def _why(log: Path) -> str:
    lines = [line for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
    last = lines[-1] if lines else "it wrote nothing"
    if last.startswith("cannot listen on"):
        return f"{last}: choose another --port, or leave it out for a free one"
    return f"the embedded AWS did not start: {last} (its log: {log})"


def end(process: subprocess.Popen[bytes]) -> None:
    """Asks the process, the leader of a session, to end; then ends what is left of its group."""
    if process.stdin is not None:
        with suppress(OSError):
            process.stdin.close()
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        pass
    finally:
        # The kernel ends a killed process a moment later; one that nobody reaps stays in its group.
        for _ in range(100):
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                break
            process.poll()
            time.sleep(0.005)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
