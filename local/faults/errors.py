"""The errors that AWS services answer with: their real names, HTTP statuses and messages."""

from __future__ import annotations

from functools import lru_cache

import botocore.session
from botocore.exceptions import UnknownServiceError
from botocore.model import ServiceModel

CALLERS = {
    "SdkClientException": "Unable to execute HTTP request: Connection reset",
    "ClientExecutionTimeoutException": "Client execution did not complete before the specified timeout configuration",
}
"""What the caller's own SDK raises when no answer comes. Step Functions calls with the SDK for Java:
https://docs.aws.amazon.com/step-functions/latest/dg/bp-lambda-serviceexception.html"""

_S3 = {
    "AccessDenied": (403, "Access Denied"),
    "ConditionalRequestConflict": (409, "The conditional request cannot succeed due to a conflicting operation"),
    "InternalError": (500, "We encountered an internal error. Please try again."),
    "NoSuchKey": (404, "The specified key does not exist."),
    "OperationAborted": (409, "A conflicting conditional operation is currently in progress against this resource."),
    "PreconditionFailed": (412, "At least one of the pre-conditions you specified did not hold"),
    "RequestTimeout": (400, "Your socket connection to the server was not read from or written to in time."),
    "ServiceUnavailable": (503, "Service is unable to handle request."),
    "SlowDown": (503, "Please reduce your request rate."),
}
"""https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html"""

_COMMON = {
    "AccessDeniedException": (400, "User is not authorized to perform this action"),
    "InternalFailure": (500, "The request processing has failed because of an unknown error."),
    "ServiceUnavailable": (503, "The request has failed due to a temporary failure of the server."),
    "ThrottlingException": (400, "Rate exceeded"),
    "ValidationError": (400, "The input fails to satisfy the constraints specified by an AWS service."),
}
"""https://docs.aws.amazon.com/general/latest/gr/api-error-codes.html and each service's CommonErrors page"""

_SPECIAL = {
    "lambda": {
        "AccessDeniedException": (403, "User is not authorized to perform: lambda:InvokeFunction"),
        "AWSLambdaException": (500, "Internal error"),
        "ServiceException": (500, "The service encountered an internal error."),
        "TooManyRequestsException": (429, "Rate Exceeded."),
    },
    "s3": _S3,
    "sagemaker-runtime": {
        "AccessDeniedException": (403, "User is not authorized to perform: sagemaker:InvokeEndpoint"),
        "ModelNotReadyException": (429, "Model is not ready for inference requests."),
    },
}

PASSING = {
    "lambda": ("TooManyRequestsException", "ServiceException", "AWSLambdaException", *CALLERS),
    "s3": ("SlowDown", "InternalError", "ServiceUnavailable"),
    "sagemaker-runtime": (
        "ThrottlingException",
        "ServiceUnavailable",
        "InternalFailure",
        "InternalDependencyException",
        "ModelNotReadyException",
        "SdkClientException",
    ),
}
"""The errors that another try may not meet, by service; any other service throttles."""

TRANSIENT = "transient"
"""Stands for one of `PASSING`."""


@lru_cache(maxsize=64)
def service_model(service: str) -> ServiceModel | None:
    """What botocore knows of the service; None when it knows none of that name."""
    try:
        return botocore.session.Session().get_service_model(service)
    except UnknownServiceError:
        return None


@lru_cache(maxsize=256)
def errors_of(service: str) -> dict[str, tuple[int, str]]:
    """The errors that are known of a service: HTTP status and message by name; of `*` those any service has."""
    model = service_model(service)
    modelled = {
        str(shape.metadata.get("error", {}).get("code", shape.name)): (
            int(shape.metadata.get("error", {}).get("httpStatusCode", 400)),
            f"{shape.name} (injected fault)",
        )
        for shape in (model.error_shapes if model is not None else ())
    }
    common = {} if service == "s3" else _COMMON
    return {**modelled, **common, **_SPECIAL.get(service, {})}


def passing(service: str) -> tuple[str, ...]:
    """The names of the errors of a service that pass."""
    return PASSING.get(service, ("ThrottlingException",))
