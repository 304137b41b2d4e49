"""S3 as the functions use it, where no step's own tests look: lines that are read part by part."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lambda_src import storage
from tests.lambda_src.bucket import Bucket


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=9).map(lambda line: line.replace(b"\n", b"")), max_size=6), st.integers(1, 8))
def test_lines_are_the_same_however_the_object_is_cut_into_parts(
    data: Bucket, monkeypatch: pytest.MonkeyPatch, lines: list[bytes], part: int
) -> None:
    monkeypatch.setattr(storage, "PART_BYTES", part)
    data.objects["lines"] = b"".join(line + b"\n" for line in lines) + b"the last"
    assert list(storage.lines("lines")) == [*lines, b"the last"]
    data.objects["lines"] = b"".join(line + b"\n" for line in lines)
    assert list(storage.lines("lines")) == lines


def test_a_long_line_takes_no_longer_to_find_than_its_bytes_to_come(data: Bucket) -> None:
    # Each part is looked at once: with botocore's own iter_lines this takes most of a minute.
    long = b"x" * 6 * 2**20
    data.objects["lines"] = b"short\n" + long + b"\nshort"
    assert list(storage.lines("lines")) == [b"short", long, b"short"]


def test_no_client_tries_again_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    # Step Functions counts the tries: tries under its tries would multiply.
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    config: Any = storage.client.__wrapped__().meta.config  # its stub lacks what it was made with
    assert config.retries == {"total_max_attempts": 1, "mode": "legacy"}
    sources = {path.name: path.read_text() for path in Path(storage.__file__).parent.glob("*.py")}
    calling = {name: text for name, text in sources.items() if "boto3." in text}
    assert sorted(calling) == ["resume_inference.py", "start_job.py", "storage.py", "submit_inference.py"]
    for text in calling.values():
        assert text.count("boto3.") == text.count("ONE_TRY)") == 1, "a client that tries again"
