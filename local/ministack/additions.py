"""What is added: services of ours, and resource types for stacks."""

from __future__ import annotations

import uuid
from typing import Any

from local.ministack.answers import error_body
from local.ministack.privates import application, provisioners, stacks
from local.ministack.shapes import Handle, ResourceType, Response

services: dict[str, Handle] = {}
_resource_types: set[str] = set()
_on_worker = stacks._runs_on_worker_thread


def _on_worker_thread(resource_type: str) -> bool:
    return resource_type in _resource_types or bool(_on_worker(resource_type))


stacks._runs_on_worker_thread = _on_worker_thread


def add_service(name: str, handle: Handle) -> None:
    """Sends every request signed for service `name` to `handle`, instead of MiniStack's own if it has one."""
    services[name] = handle

    async def refuse(*_request: Any) -> Response:
        return 400, {"content-type": "application/json"}, error_body(f"not a request signed for {name}")

    # A request signed for another service could otherwise reach MiniStack's own by its target header.
    application.SERVICE_HANDLERS[name] = refuse


def add_resource_type(name: str, resource: ResourceType) -> None:
    """Makes stacks with a resource of type `name` possible, instead of MiniStack's own if it has one."""
    _resource_types.add(name)
    provisioners._RESOURCE_HANDLERS[name] = {
        "create": resource.create,
        "update": resource.update,
        "update_with_logical_id": True,
        "delete": resource.delete,
    }


def physical_name(stack_name: str, logical_id: str, *, max_length: int, replacing: bool = False) -> str:
    """A name for a resource that has none in its template, as CloudFormation makes one.

    The same each time for one resource of a stack; `replacing=True`, for use in an update, makes a new one.
    """
    if replacing:
        provisioners._NAME_SEED.set(uuid.uuid4().hex[:8])
    return str(provisioners._physical_name(stack_name, logical_id, max_len=max_length))
