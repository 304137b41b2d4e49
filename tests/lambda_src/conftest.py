"""A data bucket for the functions' tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from lambda_src import storage
from tests.lambda_src.bucket import Bucket, serving


@pytest.fixture(scope="session")
def served() -> Iterator[tuple[Bucket, Any]]:
    """One bucket and its client for all tests."""
    bucket = Bucket()
    with serving(bucket) as client:
        yield bucket, client


@pytest.fixture
def data(served: tuple[Bucket, Any], monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """The bucket `data` as the functions see it, empty."""
    bucket, client = served
    bucket.objects.clear()
    bucket.asked.clear()
    monkeypatch.setenv("DATA_BUCKET", "data")
    monkeypatch.setattr(storage, "client", lambda: client)
    return bucket
