"""CommandError, what a command tells a person when it cannot go on, and the exit statuses."""

from __future__ import annotations

from botocore import exceptions as aws

SUCCESS = 0
JOB_FAILED = 1
WRONG_USE = 2
NO_AWS = 3
DETACHED = 130
"""After Ctrl-C, as shells have it: 128 and the number of the signal."""

_CREDENTIALS = (
    aws.NoCredentialsError,
    aws.PartialCredentialsError,
    aws.CredentialRetrievalError,
    aws.TokenRetrievalError,
    aws.SSOError,
)
_REJECTED_CREDENTIALS = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "403"})


class CommandError(Exception):
    """One line that says what went wrong and what to do about it, and the exit status that goes with it."""

    def __init__(self, message: str, status: int = WRONG_USE) -> None:
        super().__init__(" ".join(message.split()))
        self.status = status


def code_of(error: aws.ClientError) -> str:
    """AWS's name for the error."""
    return str(error.response.get("Error", {}).get("Code", ""))


def message_of(error: aws.ClientError) -> str:
    """What AWS says about the error."""
    return str(error.response.get("Error", {}).get("Message", "")) or str(error)


def explained(error: aws.BotoCoreError | aws.ClientError) -> CommandError:
    """What botocore or AWS reports, with what to do about it."""
    if isinstance(error, aws.ClientError):
        code, operation = code_of(error), error.operation_name
        if code in _REJECTED_CREDENTIALS:
            return CommandError(f"AWS does not accept these credentials ({code}): sign in again", NO_AWS)
        if code in _DENIED:
            return CommandError(f"AWS refused {operation}: {message_of(error)}; ask for that permission", NO_AWS)
        return CommandError(f"{operation} failed with {code}: {message_of(error)}", NO_AWS)
    if isinstance(error, _CREDENTIALS):
        return CommandError(f"{error}: sign in, or set AWS_PROFILE or AWS_ACCESS_KEY_ID", NO_AWS)
    if isinstance(error, aws.NoRegionError):
        return CommandError("no AWS region is set: set AWS_REGION, or give --region", NO_AWS)
    if isinstance(error, aws.ProfileNotFound):
        return CommandError(f"{error}: name another with --profile or AWS_PROFILE", NO_AWS)
    if isinstance(error, aws.ConnectionError | aws.HTTPClientError):
        return CommandError(f"{error}: check the network, the region and AWS_ENDPOINT_URL", NO_AWS)
    return CommandError(str(error), NO_AWS)
