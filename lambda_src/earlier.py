"""What an earlier run of a batch has stored, where another model predicted it than predicts it now."""

from __future__ import annotations

from typing import Literal

from lambda_src import contract, storage
from lambda_src.contract import Json

Lines = list[dict[str, Json]]
MAKER = ("variant", "modelVersion")


def results(prefix: str, first: int, rows: Lines, rejected: Lines) -> tuple[Lines, Lines] | None:
    """The predictions and rejections that lie there, if they are whole and another model's; else None.

    A batch may run twice (an Express execution may, and a redrive starts it again), and between two runs an update
    or a challenger may have changed the model. Then the first results stand. Whole is each of the records once.
    Raises `storage.S3Unavailable` and botocore's `ClientError`.
    """
    try:
        stored = _lines(prefix, "predictions", first), _lines(prefix, "rejected", first)
        whole = _records(*stored) == _records(rows, rejected)
        others = {_maker(line) for line in stored[0]} != {_maker(line) for line in rows}
    except (ValueError, KeyError, TypeError):  # no lines of ours
        return None
    return stored if whole and others else None


def _lines(prefix: str, kind: Literal["predictions", "rejected"], first: int) -> Lines:
    return list(contract.read_json_lines(storage.found(contract.part_key(prefix, kind, first)) or b""))


def _records(rows: Lines, rejected: Lines) -> list[tuple[int, str]]:
    return sorted((line["index"], line["id"]) for line in [*rows, *rejected])


def _maker(line: dict[str, Json]) -> tuple[Json, ...]:
    return tuple(line.get(name) for name in MAKER)
