"""The `aws-sdk:` integrations: any operation of any service that botocore describes, called as the machine's role."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode

import botocore.parsers
import botocore.serialize
import botocore.session
from botocore.awsrequest import AWSRequest, HeadersDict
from botocore.model import ListShape, MapShape, OperationModel, ServiceModel, Shape, StructureShape
from botocore.validate import ParamValidator

from lambda_src.contract import MAX_STATE_BYTES
from local.states.calling import Caller, ServiceError, UnknownIntegration
from local.states.documents import Texts, text
from local.states.expressions import is_expression
from local.states.failures import DATA_LIMIT_EXCEEDED, StateFailure, too_large

Json = Any

_ALIASES = {"sfn": "stepfunctions", "cloudwatchlogs": "logs", "eventbridge": "events"}
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z][a-z]+|[a-z]+|\d+")


@lru_cache(maxsize=1)
def _session() -> botocore.session.Session:
    return botocore.session.Session()


@lru_cache(maxsize=64)
def _service(name: str) -> ServiceModel | None:
    """The service that Step Functions calls `name`: its SDK's package name in Java, in lower case."""
    available = _session().get_available_services()
    wanted = _ALIASES.get(name) or next((found for found in available if found.replace("-", "") == name), None)
    return _session().get_service_model(wanted) if wanted else None


class AwsSdkCall:
    """One operation of one service.

    Names, casing and the treatment of blobs follow what AWS recorded for s3:putObject, s3:getObject and others:
    members begin with a capital, a blob takes any JSON value as its JSON text (so a string keeps its quotes), and
    a blob in the answer is its text. https://docs.aws.amazon.com/step-functions/latest/dg/supported-services-awssdk.html
    """

    def __init__(self, service: ServiceModel, operation: OperationModel, name: str, action: str) -> None:
        self.resource_type = f"aws-sdk:{name}"
        self.resource = action
        self._service = service
        self._operation = operation
        self._error_prefix = java_name(str(service.service_id))
        protocol = str(service.resolved_protocol)
        self._serializer = botocore.serialize.create_serializer(protocol)
        self._parser = botocore.parsers.create_parser(protocol)

    @classmethod
    def find(cls, name: str, action: str, resource: str) -> AwsSdkCall:
        """The call that `aws-sdk:<name>:<action>` means. Raises `UnknownIntegration`."""
        service = _service(name)
        if service is not None:
            for operation in service.operation_names:
                if operation[0].lower() + operation[1:] == action:
                    return cls(service, service.operation_model(operation), name, action)
        raise UnknownIntegration(
            f"The resource provided {resource} is not recognized. "
            "The value is not a valid resource ARN, or the resource is not available in this region."
        )

    def problems(self, arguments: Json) -> Iterator[tuple[str, str]]:
        """See `Integration`."""
        if is_expression(arguments):
            return
        if not isinstance(arguments, dict):
            yield "Arguments must be an object or a JSONata expression", ""
            return
        shape = self._operation.input_shape
        members = {_capital(name): name for name in shape.members} if shape else {}
        for name in arguments:
            if name not in members:
                yield f"The field '{name}' is not supported by Step Functions", f"/{name}"
        for name in shape.required_members if shape else ():
            if _capital(name) not in arguments:
                yield f"The field '{_capital(name)}' is required but was missing", ""

    async def call(self, arguments: Json, caller: Caller) -> Json:
        """See `Integration`. The errors are named as the AWS SDK for Java names its exceptions."""
        for message, _ in self.problems(arguments):
            raise StateFailure("States.Runtime", message)
        shape = self._operation.input_shape
        answer = await self.send(_to_request(arguments, shape, caller.texts) if shape else {}, caller)
        result = _from_response(answer, self._operation.output_shape)
        if caller.texts.weigh(result) > MAX_STATE_BYTES:
            raise StateFailure(DATA_LIMIT_EXCEEDED, too_large(self.resource_type))
        return result

    async def send(self, parameters: dict[str, Any], caller: Caller) -> dict[str, Any]:
        """Makes the call with botocore's own parameters and gives botocore's own answer. Raises `StateFailure`."""
        shape = self._operation.input_shape
        report = ParamValidator().validate(parameters, shape) if shape else None
        if report is not None and report.has_errors():
            raise StateFailure(f"{self._error_prefix}.{self._error_prefix}Exception", report.generate_report())
        try:
            request = self._request(parameters, caller)
        except ServiceError as problem:
            cause = f"{problem.message} (Service: {self._error_prefix}, Status Code: {problem.status})"
            raise StateFailure(f"{self._error_prefix}.{self._error_prefix}Exception", cause) from problem
        try:
            status, headers, body = await caller.aws.send(request)
        except ServiceError as problem:  # no answer came, for which the SDK has errors of its own
            raise StateFailure(f"{self._error_prefix}.{problem.code}", problem.message) from problem
        answer = self._parser.parse(
            {
                "status_code": status,
                "headers": HeadersDict(headers),
                "body": Body(body) if status < 300 and self._operation.has_streaming_output else body,
            },
            self._operation.output_shape or _NOTHING,
        )
        if status >= 300:
            raise self._failure(answer, status)
        answer.pop("ResponseMetadata", None)
        return dict(answer)

    def _request(self, parameters: dict[str, Any], caller: Caller) -> Any:
        serialized = self._serializer.serialize_to_request(parameters, self._operation)
        scope = str(self._service.signing_name)
        query = urlencode(serialized.get("query_string") or {}, doseq=True)
        path = serialized["url_path"]
        joined = f"{path}{'&' if '?' in path else '?'}{query}" if query else path
        headers = dict(serialized["headers"])
        headers["Authorization"] = caller.authorization(scope)
        if "Content-Type" not in headers and isinstance(serialized["body"], dict):
            headers["Content-Type"] = "application/x-www-form-urlencoded; charset=utf-8"
        request = AWSRequest(
            method=serialized["method"],
            url=f"http://{self._service.endpoint_prefix}.amazonaws.com{joined}",
            data=serialized["body"],
            headers=headers,
        )
        return request.prepare()

    def _failure(self, answer: Mapping[str, Any], status: int) -> StateFailure:
        problem = answer.get("Error", {})
        code = str(problem.get("Code", ""))
        modelled = {name: shape.name for shape in self._service.error_shapes for name in _codes(shape)}
        name = java_exception(modelled[code]) if code in modelled else f"{self._error_prefix}Exception"
        request_id = answer.get("ResponseMetadata", {}).get("RequestId", "")
        cause = (
            f"{problem.get('Message', '')} "
            f"(Service: {self._error_prefix}, Status Code: {status}, Request ID: {request_id})"
        )
        return StateFailure(f"{self._error_prefix}.{name}", cause)


_NOTHING = StructureShape("Nothing", {"type": "structure", "members": {}})


class Body:
    """A streamed answer, as botocore's parser passes it on."""

    def __init__(self, content: bytes) -> None:
        self.content = content


def _codes(shape: Shape) -> tuple[str, str]:
    """The codes an error may come with: its own, where the model gives one, or its shape's name."""
    return str(shape.metadata.get("error", {}).get("code", shape.name)), shape.name


def java_name(service_id: str) -> str:
    """The service's name in the AWS SDK for Java, which prefixes its errors: `SageMaker Runtime` is `SageMakerRuntime`.

    Recorded from AWS: `S3`, `DynamoDb`, `SecretsManager`, `Sfn`.
    """
    return "".join(word[0].upper() + word[1:].lower() for word in _WORD.findall(service_id))


def java_exception(shape_name: str) -> str:
    """The class the AWS SDK for Java makes of an error's shape: `NoSuchKey` is `NoSuchKeyException`."""
    if shape_name.endswith("Exception"):
        return shape_name
    return shape_name.removesuffix("Fault") + "Exception"


def _capital(name: str) -> str:
    return name[0].upper() + name[1:]


def _to_request(value: Json, shape: Shape, texts: Texts) -> Any:
    if isinstance(shape, StructureShape) and isinstance(value, dict):
        names = {_capital(name): name for name in shape.members}
        return {
            names.get(name, name): _to_request(inner, shape.members[names[name]], texts) if name in names else inner
            for name, inner in value.items()
            if inner is not None
        }
    if isinstance(shape, ListShape) and isinstance(value, list):
        return [_to_request(inner, shape.member, texts) for inner in value]
    if isinstance(shape, MapShape) and isinstance(value, dict):
        return {name: _to_request(inner, shape.value, texts) for name, inner in value.items()}
    if shape.type_name == "blob":
        return texts.of(value)
    if shape.type_name == "string" and isinstance(value, dict | list):
        return text(value)  # as recorded for sfn:startExecution's Input
    return value


def _from_response(value: Any, shape: Shape | None) -> Json:
    if isinstance(value, dict):
        members = shape.members if isinstance(shape, StructureShape) else None
        inner_shape = getattr(shape, "value", None)
        return {
            _capital(name) if members is not None else name: _from_response(
                inner, members.get(name) if members is not None else inner_shape
            )
            for name, inner in value.items()
        }
    if isinstance(value, list):
        return [_from_response(inner, getattr(shape, "member", None)) for inner in value]
    if isinstance(value, Body):
        value = value.content
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return value
