"""A model-server process: how it comes up, what it sees of this machine, and that it never stays behind."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from local.sagemaker import instance
from local.sagemaker.archive import UnsafeArchive
from local.sagemaker.instance import Instance, ServerFailed
from tests.local.sagemaker.around import packed, program

SEES = """
import json, os, sys
print("loading")
def model_fn(model_dir):
    return model_dir
def transform_fn(model, data, content_type, accept):
    return json.dumps({"env": dict(os.environ), "path": sys.path, "cwd": os.getcwd(), "model": model})
"""


@asynccontextmanager
async def running(
    data: bytes, environment: dict[str, str] | None = None, seconds: float = 20
) -> AsyncIterator[tuple[Instance, aiohttp.ClientSession, list[str]]]:
    lines: list[str] = []
    async with aiohttp.ClientSession() as session:
        server = await instance.start(data, environment or {}, "eu-central-1", lines.append)
        try:
            await server.wait_until_ready(session, seconds)
            yield server, session, lines
        finally:
            await server.stop()


def test_who_does_not_know_the_servers_key_is_not_answered() -> None:
    async def statuses() -> list[int]:
        async with running(program(SEES)) as (server, session, _):
            root = server.url.rpartition("/")[0]
            found = []
            for path in ("/invocations", "//invocations", f"/{'0' * 32}/invocations", "/ping", "/"):
                # As a form of any web page in a browser sends it.
                async with session.post(f"{root}{path}", data=b"x", headers={"Origin": "http://a.example"}) as answer:
                    found.append(answer.status)
            async with session.post(f"{server.url}/invocations", data=b"x") as answer:
                return [*found, answer.status]

    assert asyncio.run(statuses()) == [404] * 5 + [200]


async def failure(data: bytes, environment: dict[str, str] | None = None, seconds: float = 20) -> str:
    with pytest.raises(ServerFailed) as caught:
        async with running(data, environment, seconds):
            pass
    return str(caught.value)


def test_the_model_sees_its_folder_and_nothing_of_the_persons_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the person's")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")

    async def seen() -> tuple[dict[str, object], list[str], Path]:
        async with running(program(SEES), {"MY_SETTING": "1"}) as (server, session, lines):
            async with session.post(f"{server.url}/invocations", data=b"") as answer:
                told = await answer.json(content_type=None)
            assert Path(told["cwd"]).exists()
            return told, lines, Path(told["cwd"])

    told, lines, folder = asyncio.run(seen())
    environment = told["env"]
    assert isinstance(environment, dict)
    assert environment["MY_SETTING"] == "1"
    assert environment["SM_MODEL_DIR"] == told["model"] == str(folder / "model")
    assert environment["AWS_REGION"] == "eu-central-1"
    assert not {"AWS_SECRET_ACCESS_KEY", "PYTHONPATH"} & environment.keys()
    path = told["path"]
    assert isinstance(path, list)
    assert path[0] == str(folder / "model" / "code")
    assert str(instance.ROOT) not in path
    assert lines[0] == "loading"
    assert not folder.exists()


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("def model_fn(model_dir): raise RuntimeError('weights are missing')", "RuntimeError: weights are missing"),
        ("import sys; sys.exit('not today')", "SystemExit: not today"),
        ("import os; os._exit(7)", "it ended with status 7"),
    ],
)
def test_a_server_that_does_not_come_up_says_why(source: str, reason: str) -> None:
    assert asyncio.run(failure(program(source))) == reason


def test_a_model_that_never_loads_is_given_up_and_stopped() -> None:
    reason = asyncio.run(failure(program("import time; time.sleep(600)"), seconds=0.3))

    assert reason == "no answer to /ping within 0.3 seconds"


def test_an_unsafe_archive_starts_nothing() -> None:
    with pytest.raises(UnsafeArchive, match="outside itself"):
        asyncio.run(failure(packed({"../x": ""})))


def test_errors_of_the_model_carry_their_text_and_their_own_status() -> None:
    source = (
        "class Refused(Exception):\n"
        "    status_code, message = 422, 'not this'\n"
        "def model_fn(model_dir): pass\n"
        "def transform_fn(model, data, content_type, accept):\n"
        "    raise Refused if data == b'own' else ValueError('too short')\n"
    )

    async def answers() -> list[tuple[int, str]]:
        async with running(program(source)) as (server, session, _):
            found = []
            for data in (b"own", b"other"):
                async with session.post(f"{server.url}/invocations", data=data) as answer:
                    found.append((answer.status, await answer.text()))
            return found

    own, other = asyncio.run(answers())
    assert own[0] == 422
    assert own[1].startswith("not this\nTraceback")
    assert other[0] == 500
    assert other[1].startswith("too short\nTraceback")


def test_only_the_two_routes_of_the_container_contract_exist() -> None:
    async def statuses() -> list[int]:
        async with running(program("def model_fn(model_dir): pass")) as (server, session, _):
            found = []
            for method, path in (("GET", "/ping"), ("POST", "/ping"), ("GET", "/invocations"), ("GET", "/")):
                async with session.request(method, server.url + path) as answer:
                    found.append(answer.status)
            return found

    assert asyncio.run(statuses()) == [200, 404, 404, 404]


PARENT = """
import asyncio, os, sys
from local.sagemaker import instance
async def main():
    server = await instance.start(open(sys.argv[1], "rb").read(), {}, "eu-central-1", lambda line: None)
    print(server.process.pid, flush=True)
    os._exit(0) if sys.argv[2] == "exit" else os.kill(os.getpid(), 9)
asyncio.run(main())
"""


@pytest.mark.parametrize("how", ["exit", "kill"])
@pytest.mark.parametrize("source", ["def model_fn(model_dir): pass", "import time; time.sleep(600)"])
def test_a_server_ends_when_its_parent_does_and_leaves_no_file(tmp_path: Path, source: str, how: str) -> None:
    archive = tmp_path / "model.tar.gz"
    archive.write_bytes(program(source))
    environment = {"PYTHONPATH": str(instance.ROOT), "TMPDIR": str(tmp_path), "PATH": os.environ["PATH"]}
    parent = subprocess.run(
        [sys.executable, "-c", PARENT, str(archive), how],
        env=environment,
        stdout=subprocess.PIPE,
        check=False,
        timeout=30,
    )
    pid = int(parent.stdout)

    asyncio.run(_until_gone(pid))

    assert [path.name for path in tmp_path.iterdir()] == ["model.tar.gz"]


async def _until_gone(pid: int) -> None:
    async with asyncio.timeout(10):
        while _runs(pid):
            await asyncio.sleep(0.02)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # Where nobody collects orphans, a process that has ended stays in Linux's table as a zombie.
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"


def test_json_of_the_sample_model_is_what_the_contract_says() -> None:
    from tests.local.sagemaker.around import MODEL, sample_model

    row = json.loads((MODEL / "weights.json").read_text())["mean"]

    async def answer() -> tuple[str, bytes]:
        async with running(sample_model()) as (server, session, _):
            headers = {"content-type": "application/json"}
            body = json.dumps({"instances": [row]})
            async with session.post(f"{server.url}/invocations", data=body, headers=headers) as response:
                return response.headers["content-type"], await response.read()

    content_type, body = asyncio.run(answer())
    assert content_type == "application/json"
    assert list(json.loads(body)["predictions"][0]) == ["label", "p_malignant"]
