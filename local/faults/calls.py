"""Which AWS operation a request is, on which resource: read from the request, as its protocol has it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qs, unquote

from botocore.model import OperationModel

from local.faults.errors import service_model

_NAMES = {"states": "stepfunctions", "monitoring": "cloudwatch", "cloudcontrolapi": "cloudcontrol"}
"""boto3's names of services that sign with another one."""


@dataclass(frozen=True)
class Call:
    """One request to an AWS service. `protocol` is botocore's name of how it speaks, `head` a request for no body."""

    service: str
    action: str
    resource: str
    protocol: str
    head: bool


def call_of(
    signed: str,
    method: str,
    path: str,
    query: Mapping[str, list[str]],
    headers: Mapping[str, str],
    body: bytes,
    place: tuple[str, str],
) -> Call:
    """The call that a request signed for the service `signed` is; `place` is the account and the region."""
    name = _NAMES.get(signed, signed)
    if name == "sagemaker" and path.startswith("/endpoints/"):
        name = "sagemaker-runtime"
    model = service_model(name)
    protocol = str(model.resolved_protocol) if model is not None else "json"
    if target := headers.get("x-amz-target"):
        return Call(name, target.rpartition(".")[2], _named(body), protocol, False)
    if protocol in ("query", "ec2"):
        form = parse_qs(body.decode("utf-8", "replace")) or query
        return Call(name, form.get("Action", ["?"])[0], _first(form), protocol, False)
    if name == "s3":
        bucket, _, key = path.lstrip("/").partition("/")
        action = _s3_action(method, bool(bucket), bool(key), frozenset(query), "x-amz-copy-source" in headers, query)
        resource = f"arn:aws:s3:::{bucket}/{key}" if key else f"arn:aws:s3:::{bucket}"
        return Call(name, action, resource, protocol, method == "HEAD")
    for route in _routes(name):
        if route.method == method and (found := route.path.fullmatch(path)):
            return Call(name, route.action, _resource(name, found.groupdict(), place), protocol, False)
    return Call(name, "?", path, protocol, method == "HEAD")


def _s3_action(
    method: str, bucket: bool, key: bool, named: frozenset[str], copies: bool, query: Mapping[str, list[str]]
) -> str:
    kind = frozenset((name, query[name][0]) for name in named if name == "list-type")
    return _s3_operation(method, bucket, key, named, copies, kind)


@lru_cache(maxsize=256)
def _s3_operation(
    method: str, bucket: bool, key: bool, named: frozenset[str], copies: bool, kind: frozenset[tuple[str, str]]
) -> str:
    """S3 tells its operations apart by what the query names: the one that asks for most of it is meant."""
    model = service_model("s3")
    assert model is not None
    best, most = "?", -1
    for name in model.operation_names:
        operation = model.operation_model(name)
        template, _, fixed = str(operation.http["requestUri"]).partition("?")
        if operation.http["method"] != method or ("{Bucket}" in template, "{Key+}" in template) != (bucket, key):
            continue
        constants = {part.partition("=")[::2] for part in fixed.split("&") if part}
        wanted = {constant for constant, _ in constants} | _required(operation, "querystring")
        if not wanted <= named or any(value and (constant, value) not in kind for constant, value in constants):
            continue
        copying = "x-amz-copy-source" in {header.lower() for header in _required(operation, "header")}
        if copying != copies:
            continue
        if len(wanted) > most:
            best, most = name, len(wanted)
    return best


def _required(operation: OperationModel, location: str) -> set[str]:
    shape = operation.input_shape
    if shape is None:
        return set()
    members = (shape.members[name].serialization for name in shape.required_members)
    return {str(member["name"]) for member in members if member.get("location") == location}


@dataclass(frozen=True)
class _Route:
    method: str
    path: re.Pattern[str]
    action: str


@lru_cache(maxsize=32)
def _routes(service: str) -> tuple[_Route, ...]:
    """The operations of a REST service by their paths, the most literal first."""
    model = service_model(service)
    if model is None:
        return ()
    operations = [model.operation_model(name) for name in model.operation_names]
    operations.sort(key=lambda operation: str(operation.http["requestUri"]).count("{"))
    return tuple(
        _Route(str(operation.http["method"]), _pattern(str(operation.http["requestUri"])), str(operation.name))
        for operation in operations
    )


def _pattern(template: str) -> re.Pattern[str]:
    parts = re.split(r"\{([^}]+)\}", template.partition("?")[0].rstrip("/"))
    written = ""
    for at, part in enumerate(parts):
        if at % 2 == 0:
            written += re.escape(part)
        else:
            name = re.sub(r"\W", "", part)
            written += f"(?P<{name}>.+)" if part.endswith("+") else f"(?P<{name}>[^/]+)"
    return re.compile(written + "/?")


def _resource(service: str, named: Mapping[str, str], place: tuple[str, str]) -> str:
    account, region = place
    if function := unquote(named.get("FunctionName", "")):
        return function if function.startswith("arn:") else f"arn:aws:lambda:{region}:{account}:function:{function}"
    if endpoint := unquote(named.get("EndpointName", "")):
        return f"arn:aws:sagemaker:{region}:{account}:endpoint/{endpoint.lower()}"
    return next(iter(named.values()), "*")


def _named(body: bytes) -> str:
    """The first ARN or name that a JSON request gives."""
    try:
        document = json.loads(body or b"{}")
    except ValueError:
        return "*"
    return _first(document) if isinstance(document, dict) else "*"


def _first(document: Mapping[str, Any]) -> str:
    for ending in ("arn", "name"):
        for name, value in document.items():
            if name.lower().endswith(ending):
                return str(value[0]) if isinstance(value, list) and value else str(value)
    return "*"
