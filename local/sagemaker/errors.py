"""How the embedded SageMaker says no: AWS's error names, statuses and documents."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


class AwsError(Exception):
    """An error as an AWS client sees it. `fields` are further members of the error's document."""

    def __init__(self, code: str, message: str, status: int = 400, **fields: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.fields: Mapping[str, Any] = fields

    def response(self) -> tuple[int, dict[str, str], bytes]:
        """The HTTP answer, readable to clients of AWS's JSON 1.1 and REST-JSON protocols alike."""
        said = self.message or None  # a throttle's is null
        document = {"__type": self.code, "message": said, "Message": said, **self.fields}
        headers = {"content-type": "application/x-amz-json-1.1", "x-amzn-errortype": self.code}
        return self.status, headers, json.dumps(document).encode()


def invalid(message: str) -> AwsError:
    """SageMaker's answer to a request it cannot carry out."""
    return AwsError("ValidationException", message)


def unserved(field: str) -> AwsError:
    """The refusal of a setting that would change what the endpoint does: ignoring it would be a lie."""
    return invalid(f"{field} is valid in AWS, but the embedded AWS does not serve it yet. Remove it from this stage.")


def denied(message: str) -> AwsError:
    """SageMaker's answer to a caller without the permission; `message` is IAM's."""
    return AwsError("AccessDeniedException", message)
