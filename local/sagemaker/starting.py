"""Starts the servers of a model: its data read, its log written as its execution role."""

from __future__ import annotations

import asyncio
import contextlib

from local.sagemaker import containers
from local.sagemaker.aws import Aws, Place
from local.sagemaker.instance import Instance
from local.sagemaker.models import PRINCIPAL, Container


async def start(aws: Aws, place: Place, container: Container, role: str | None, group: str, stream: str) -> Instance:
    """A server that loads its model. Raises what `containers.start` and `Aws.read_object` raise."""
    data = None if container.data is None else await asyncio.to_thread(aws.read_object, *container.data)

    def log(line: str) -> None:
        # A model without a role has no log; nor has one whose role has gone since.
        with contextlib.suppress(ValueError):
            if role is not None:
                session = aws.role_session(role, "SageMaker", service=PRINCIPAL, source_arn=place.source_arn)
                aws.log(session.access_key, group, stream, line)

    return await containers.start(container.image, data, container.environment, place.region, log)
