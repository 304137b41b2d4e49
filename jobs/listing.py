"""The jobs of a stack, latest first, with what became of their records."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from jobs.job import find, live
from jobs.objects import ahead
from jobs.stack import Stack
from lambda_src.contract import Json


def list_jobs(stack: Stack, limit: int) -> list[dict[str, Json]]:
    """`{"job", "status", "startedAt", "endedAt", "parent", "records", "predicted", "rejected", "failed"}` each.

    Counts of a job without a summary come from its Map Run; what is not known is None.
    """
    return [row for _, row in ahead(lambda name: _row(stack, name), islice(_names(stack), limit))]


def _names(stack: Stack) -> Iterator[str]:
    pages: Any = stack.states.get_paginator("list_executions").paginate(stateMachineArn=stack.machine_arn)
    for page in pages:  # AWS lists the latest first
        for execution in page["executions"]:
            yield execution["name"]


def _row(stack: Stack, name: str) -> dict[str, Json]:
    job = find(stack, name)
    row: dict[str, Json] = {
        "job": job.id,
        "status": job.status,
        "startedAt": job.started,
        "endedAt": job.ended,
        "parent": job.input.get("parent"),
        "records": None,
        "predicted": None,
        "rejected": None,
        "failed": None,
    }
    if job.summary:
        told = job.summary["records"]
        row |= {"records": told["in"], **{kind: told[kind] for kind in ("predicted", "rejected", "failed")}}
    elif counts := live(stack, name):
        row |= {"records": counts.total, "failed": counts.failed}
    return row
