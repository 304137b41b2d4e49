"""Functions run as in AWS: what they see, what they answer when they fail, and what their log holds."""

import io
import json
import stat
import threading
import time
import uuid
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from local import ministack
from local.functions import FunctionNotFoundError, Invocation, current
from local.functions import code as code_module
from local.functions.code import PackageError, unpack
from local.functions.pool import MAX_PROCESSES
from tests.local_aws import LAMBDA_TRUST, LocalAws, zipped

Run = Callable[..., Any]

LOGS = {"Effect": "Allow", "Action": ["logs:CreateLogStream", "logs:PutLogEvents"], "Resource": "*"}


def _create(aws: LocalAws, code: str, *, role: str = "", timeout: int = 10, **settings: Any) -> str:
    name = f"f-{uuid.uuid4().hex[:8]}"
    aws.client("lambda").create_function(
        FunctionName=name,
        Role=role or aws.role(f"{name}-role", LAMBDA_TRUST),
        Runtime="python3.13",
        Handler=settings.pop("Handler", "app.handler"),
        Timeout=timeout,
        Code={"ZipFile": zipped(app=code)},
        **settings,
    )
    return name


def _invoke(name: str, event: Any = None) -> Invocation:
    return ministack.run_on_loop(current().invoke(name, json.dumps(event).encode()))


def _error(aws: LocalAws, code: str, event: Any = None, **settings: Any) -> dict[str, Any]:
    done = _invoke(_create(aws, code, **settings), event)
    assert done.error == "Unhandled"
    document: dict[str, Any] = json.loads(done.payload)
    return document


def test_a_function_answers_alike_through_the_api_and_in_process(aws: LocalAws) -> None:
    name = _create(aws, "def handler(event, context):\n    return {'got': event, 'umlaut': 'ü'}")
    answer = aws.client("lambda").invoke(FunctionName=name, Payload=json.dumps({"a": 1}))
    assert "FunctionError" not in answer
    expected = {"got": {"a": 1}, "umlaut": "ü"}
    assert json.loads(answer["Payload"].read()) == expected
    done = _invoke(name, {"a": 1})
    assert (json.loads(done.payload), done.error) == (expected, None)


def test_an_exception_is_named_by_its_class(aws: LocalAws) -> None:
    code = "class BadRecord(ValueError): ...\ndef handler(event, context):\n    raise BadRecord('no id')"
    name = _create(aws, code)
    answer = aws.client("lambda").invoke(FunctionName=name, Payload=b"{}", LogType="Tail")
    assert answer["FunctionError"] == "Unhandled"
    document = json.loads(answer["Payload"].read())
    assert (document["errorType"], document["errorMessage"]) == ("BadRecord", "no id")
    assert len(document["stackTrace"]) == 1
    assert "raise BadRecord" in document["stackTrace"][0]
    assert document["requestId"]


def test_an_exception_costs_no_new_process(aws: LocalAws) -> None:
    code = """
import os
def handler(event, context):
    if event == "pid":
        return os.getpid()
    raise KeyError("x")
"""
    name = _create(aws, code)
    first = _invoke(name, "pid").payload
    assert _invoke(name).error == "Unhandled"
    assert _invoke(name, "pid").payload == first


def test_a_function_that_takes_too_long_is_ended(aws: LocalAws) -> None:
    document = _error(aws, "def handler(event, context):\n    while True: pass", timeout=1)
    assert document["errorType"] == "Sandbox.Timedout"
    assert document["errorMessage"].endswith("Error: Task timed out after 1.00 seconds")


def test_a_timed_out_function_works_at_the_next_call(aws: LocalAws) -> None:
    name = _create(aws, "import time\ndef handler(event, context):\n    time.sleep(event)", timeout=1)
    assert _invoke(name, 5).error == "Unhandled"
    assert _invoke(name, 0).error is None


@pytest.mark.parametrize(
    ("statement", "ending"),
    [
        ("os._exit(3)", "Runtime exited with error: exit status 3"),
        ("os._exit(0)", "Runtime exited without providing a reason"),
        ("sys.exit(1)", "Runtime exited with error: exit status 1"),
        ("os.kill(os.getpid(), 9)", "Runtime exited with error: signal: killed"),
    ],
)
def test_a_function_that_ends_its_process_says_how(aws: LocalAws, statement: str, ending: str) -> None:
    document = _error(aws, f"import os, sys\ndef handler(event, context):\n    {statement}")
    assert document["errorType"] == "Runtime.ExitError"
    assert document["errorMessage"] == f"RequestId: {document['requestId']} Error: {ending}"


def test_an_answer_that_is_not_json_is_a_marshal_error(aws: LocalAws) -> None:
    document = _error(aws, "def handler(event, context):\n    return {1, 2}")
    assert document["errorType"] == "Runtime.MarshalError"
    assert document["errorMessage"] == "Unable to marshal response: Object of type set is not JSON serializable"


def test_an_answer_over_the_limit_is_refused(aws: LocalAws) -> None:
    name = _create(aws, "def handler(event, context):\n    return 'x' * event")
    assert len(_invoke(name, 6_291_554).payload) == 6_291_556
    document = json.loads(_invoke(name, 6_291_555).payload)
    assert document["errorType"] == "Function.ResponseSizeTooLarge"
    assert "6291556 bytes" in document["errorMessage"]


@pytest.mark.parametrize(
    ("code", "handler", "kind", "message"),
    [
        (
            "import numpy",
            "app.handler",
            "Runtime.ImportModuleError",
            "Unable to import module 'app': No module named 'numpy'",
        ),
        (
            "import local.ministack",
            "app.handler",
            "Runtime.ImportModuleError",
            "Unable to import module 'app': No module named 'local'",
        ),
        (
            "",
            "other.handler",
            "Runtime.ImportModuleError",
            "Unable to import module 'other': No module named 'other'",
        ),
        ("", "app.handler", "Runtime.HandlerNotFound", "Handler 'handler' missing on module 'app'"),
        ("def f(:", "app.handler", "Runtime.UserCodeSyntaxError", "Syntax error in module 'app'"),
        ("raise OSError('no disk')", "app.handler", "OSError", "no disk"),
    ],
)
def test_code_that_cannot_be_loaded_says_why(aws: LocalAws, code: str, handler: str, kind: str, message: str) -> None:
    document = _error(aws, code, Handler=handler)
    assert document["errorType"] == kind
    assert document["errorMessage"].startswith(message)
    assert document["requestId"]


def test_boto3_is_in_the_runtime_and_reaches_the_embedded_aws_as_the_functions_role(aws: LocalAws) -> None:
    name = _create(
        aws,
        "import boto3\ndef handler(event, context):\n    return boto3.client('sts').get_caller_identity()['Arn']",
    )
    assert json.loads(_invoke(name).payload) == f"arn:aws:sts::{ministack.ACCOUNT}:assumed-role/{name}-role/{name}"


def test_the_library_that_the_runtime_reads_json_with_is_not_the_functions(aws: LocalAws) -> None:
    seen = _create(
        aws, "import sys\ndef handler(event, context):\n    return [n for n in sys.modules if 'orjson' in n]"
    )
    assert _invoke(seen).payload == b"[]"
    assert _error(aws, "import orjson")["errorMessage"] == "Unable to import module 'app': No module named 'orjson'"


def test_a_function_sees_nothing_of_the_persons_environment(aws: LocalAws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_SECRET", "secret")
    monkeypatch.setenv("PYTHONPATH", str(Path.cwd()))
    variables = {"MODE": "fast", "AWS_REGION": "mars-1"}
    name = _create(
        aws,
        "import os, sys\ndef handler(event, context):\n    return [dict(os.environ), sys.path]",
        Environment={"Variables": variables},
    )
    environment, path = json.loads(_invoke(name).payload)
    assert environment["MODE"] == "fast"
    assert environment["AWS_REGION"] == "us-east-1"
    assert environment["AWS_ENDPOINT_URL"] == aws.ready.endpoint
    assert environment["AWS_ACCESS_KEY_ID"] != aws.ready.access_key
    # LC_CTYPE is Python's own doing.
    assert set(environment) - {"LC_CTYPE"} <= {
        *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION"),
        *("AWS_DEFAULT_REGION", "AWS_EXECUTION_ENV", "AWS_LAMBDA_FUNCTION_NAME"),
        *("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_VERSION"),
        *("AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME"),
        *("AWS_ENDPOINT_URL", "HOME", "LANG", "LAMBDA_TASK_ROOT", "MODE", "PATH", "TMPDIR", "TZ", "_HANDLER"),
    }
    assert not any("site-packages" in entry or entry == str(Path.cwd()) for entry in path)


def test_new_code_takes_effect_at_the_next_call(aws: LocalAws) -> None:
    name = _create(aws, "def handler(event, context):\n    return 1")
    assert _invoke(name).payload == b"1"
    client = aws.client("lambda")
    new = zipped(app="def handler(event, context):\n    return 2")
    client.update_function_code(FunctionName=name, ZipFile=new)
    assert _invoke(name).payload == b"2"


def test_new_variables_take_effect_at_the_next_call(aws: LocalAws) -> None:
    name = _create(aws, "import os\nM = os.environ.get('M')\ndef handler(event, context):\n    return M")
    assert _invoke(name).payload == b"null"
    aws.client("lambda").update_function_configuration(FunctionName=name, Environment={"Variables": {"M": "1"}})
    assert _invoke(name).payload == b'"1"'


def test_a_version_and_an_alias_keep_their_code(aws: LocalAws) -> None:
    name = _create(aws, "def handler(event, context):\n    return context.function_version")
    client = aws.client("lambda")
    version = client.publish_version(FunctionName=name)["Version"]
    alias = client.create_alias(FunctionName=name, Name="live", FunctionVersion=version)["AliasArn"]
    new = zipped(app="def handler(event, context):\n    return 'new'")
    client.update_function_code(FunctionName=name, ZipFile=new)
    assert json.loads(_invoke(alias).payload) == version
    assert json.loads(_invoke(name).payload) == "new"
    with pytest.raises(FunctionNotFoundError):
        _invoke(f"{name}:9")


def test_concurrent_calls_run_side_by_side_up_to_a_bound(aws: LocalAws) -> None:
    code = "import os, time\ndef handler(event, context):\n    time.sleep(0.2)\n    return os.getpid()"
    name = _create(aws, code)
    pids: list[bytes] = []
    threads = [threading.Thread(target=lambda: pids.append(_invoke(name).payload)) for _ in range(2 * MAX_PROCESSES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(pids) == 2 * MAX_PROCESSES
    assert len(set(pids)) == MAX_PROCESSES


def _messages(aws: LocalAws, group: str) -> list[str]:
    return [event["message"] for event in aws.client("logs").filter_log_events(logGroupName=group)["events"]]


def test_what_a_handler_writes_is_in_its_log_group(aws: LocalAws) -> None:
    code = """
import logging, os, sys
def handler(event, context):
    print("printed")
    print("no end", end="")
    logging.getLogger().warning("logged %s", 1)
    os.write(1, b"native\\n")
"""
    aws.client("logs").create_log_group(logGroupName="mine")
    name = _create(aws, code, role=aws.role("logging", LAMBDA_TRUST, LOGS), LoggingConfig={"LogGroup": "mine"})
    assert "printed" in _invoke(name).tail
    _invoke(name)
    text = "\n".join(_messages(aws, "mine"))
    for part in ("START RequestId: ", "printed", "no end", "[WARNING]", "logged 1", "END RequestId: ", "REPORT "):
        assert part in text
    assert "native" in text


def test_the_log_of_a_function_that_took_too_long_holds_what_it_wrote(aws: LocalAws) -> None:
    code = "def handler(event, context):\n    print('before')\n    while True: pass"
    tail = _invoke(_create(aws, code, timeout=1)).tail
    assert "before" in tail
    assert "Task timed out after 1.00 seconds" in tail


def test_a_role_without_the_logs_permission_leaves_no_log_and_no_error(aws: LocalAws) -> None:
    aws.client("logs").create_log_group(logGroupName="denied")
    name = _create(
        aws,
        "def handler(event, context):\n    print('x')",
        LoggingConfig={"LogGroup": "denied"},
    )
    assert _invoke(name).error is None
    _invoke(name)
    assert _messages(aws, "denied") == []


def test_a_role_that_does_not_trust_lambda_runs_nothing(aws: LocalAws) -> None:
    role = aws.role("states-only", "states.amazonaws.com")
    name = _create(aws, "def handler(event, context): ...", role=role)
    with pytest.raises(ministack.RoleError, match="states-only"):
        _invoke(name)


def test_a_call_costs_little_when_the_process_is_warm(aws: LocalAws) -> None:
    name = _create(aws, "def handler(event, context):\n    return event")

    async def calls() -> float:
        await current().invoke(name, b"{}")
        start = time.perf_counter()
        for _ in range(100):
            await current().invoke(name, b"{}")
        return (time.perf_counter() - start) / 100

    # Measured at 0.3 ms; ten times that allows for a machine that does other work too.
    assert ministack.run_on_loop(calls()) < 0.003


def _zip(*members: tuple[str, str]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in members:
            archive.writestr(name, text)
    return content.getvalue()


@pytest.mark.parametrize("name", ["../outside.py", "/tmp/outside.py", "a/../../outside.py", "..\\outside.py"])
def test_a_package_with_a_path_outside_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(PackageError, match="leads outside"):
        unpack(_zip((name, "x")), tmp_path / "functions")
    assert list(tmp_path.rglob("*.py")) == []


def test_a_link_in_a_package_is_written_as_a_file(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link.py")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(link, "/etc/passwd")
    folder = unpack(content.getvalue(), tmp_path)
    assert not (folder / "link.py").is_symlink()
    assert (folder / "link.py").read_text() == "/etc/passwd"


def test_a_package_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_module, "MAX_BYTES", 10)
    with pytest.raises(PackageError, match="smaller than 10 bytes"):
        unpack(_zip(("a.py", "x" * 6), ("b.py", "x" * 6)), tmp_path)
    assert list(tmp_path.iterdir()) == []


def _packed_by(method: int, name: str = "a.py") -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", method) as archive:
        archive.writestr(name, "x" * 1_000)
    return content.getvalue()


def _damaged() -> bytes:
    """A package whose one file is not what its checksum says."""
    return _packed_by(zipfile.ZIP_STORED).replace(b"x" * 1_000, b"y" * 1_000)


@pytest.mark.parametrize(
    ("package", "reason"),
    [
        (b"no zip", "Could not unzip"),
        (_damaged(), "Could not unzip.*CRC"),
        (_packed_by(zipfile.ZIP_DEFLATED).replace(b"\x14\0\0\0\x08\0", b"\x14\0\1\0\x08\0"), "encrypted"),
        (_packed_by(zipfile.ZIP_LZMA), "neither stored nor deflated"),
        (_zip(("x" * 300, "")), "File name too long"),
        (_zip((".", "x")), "Is a directory"),
        (_zip(("a", "x"), ("a/b", "x")), "Could not unzip"),
        (_zip(("a/" * 101 + "b", "x")), "more than 100 folders"),
    ],
    ids=["no zip", "damaged", "encrypted", "lzma", "long name", "the folder", "a file as a folder", "deep"],
)
def test_a_package_that_cannot_be_unpacked_is_refused_with_the_reason_and_leaves_nothing(
    tmp_path: Path, package: bytes, reason: str
) -> None:
    with pytest.raises(PackageError, match=reason):
        unpack(package, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_package_of_too_many_files_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_module, "MAX_FILES", 2)
    with pytest.raises(PackageError, match="has 3 files: expected at most 2"):
        unpack(_zip(("a.py", ""), ("b.py", ""), ("c.py", "")), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_package_is_unpacked_once_for_its_content(tmp_path: Path) -> None:
    first = unpack(_zip(("a.py", "x")), tmp_path)
    (first / "mark").touch()
    assert (unpack(_zip(("a.py", "x")), tmp_path) / "mark").exists()
