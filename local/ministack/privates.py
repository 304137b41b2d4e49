"""MiniStack's own modules, whose names used here are private; and how it is set up."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
from pathlib import Path
from typing import Any

from local import keep
from local.clock import Clock

VERSION = "1.5.33"
ACCOUNT = "000000000000"
REGION = "us-east-1"

KEPT = keep.folder()
_SETTINGS = {
    "AUTH": "true",
    "BIND_HOST": "127.0.0.1",
    "LOG_LEVEL": "WARNING",
    "MINISTACK_ACCOUNT_ID": ACCOUNT,
    "MINISTACK_REGION": REGION,
    "MINISTACK_TEST_NO_AUTOSTART": "1",
    "PERSIST_STATE": "1" if KEPT else "0",
    "S3_PERSIST": "1" if KEPT else "0",
    "STATE_DIR": str((KEPT or Path()) / "ministack"),
    "S3_DATA_DIR": str((KEPT or Path()) / "s3"),
    "IOT_MTLS_ENABLED": "0",
    "SFTP_ENABLED": "0",
    "LAMBDA_EXECUTOR": "local",
    # https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
    "LAMBDA_ASYNC_RETRY_BASE_SECONDS": str(60 * Clock().scale),
    "LAMBDA_ASYNC_RETRY_MAX_SECONDS": str(120 * Clock().scale),
}


def imported(name: str) -> Any:
    """A module of MiniStack's."""
    return importlib.import_module(f"ministack.{name}")


def check_version() -> None:
    """Raises `ImportError` when another version than ours is installed."""
    installed = importlib.metadata.version("ministack")
    if installed != VERSION:
        raise ImportError(f"local/ministack is written for ministack {VERSION}, but {installed} is installed")


check_version()
os.environ.update(_SETTINGS)
# Credentials of the person would otherwise reach MiniStack as those of its root user.
for _name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
    os.environ.pop(_name, None)

application = imported("app")
iam = imported("core.iam_evaluator")
iam_actions = imported("core.iam_actions")
responses = imported("core.responses")
router = imported("core.router")
iam_service = imported("services.iam")
cloudwatch = imported("services.cloudwatch")
ec2 = imported("services.ec2")
events = imported("services.eventbridge")
kms = imported("services.kms")
lambda_service = imported("services.lambda_svc")
logs_service = imported("services.cloudwatch_logs")
s3 = imported("services.s3")
sts = imported("services.sts")
provisioners = imported("services.cloudformation.provisioners")
stacks = imported("services.cloudformation.stacks")
