"""The environment of a function's process: Lambda's variables, the function's own, none of the person's."""

import tempfile
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local.ministack import Credentials


def log_group(config: Mapping[str, Any]) -> str:
    """The log group that the function writes to."""
    return str((config.get("LoggingConfig") or {}).get("LogGroup") or f"/aws/lambda/{config['FunctionName']}")


def environment(config: Mapping[str, Any], credentials: Credentials, endpoint: str, folder: Path) -> dict[str, str]:
    """The variables; Lambda's own win over the function's.

    https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
    AWS_ENDPOINT_URL and TMPDIR are those that Lambda does not set. A function that sets them itself keeps its own.
    """
    day = time.strftime("%Y/%m/%d", time.gmtime())
    region = str(config["FunctionArn"]).split(":")[3]
    version = str(config.get("Version", "$LATEST"))
    own = {str(name): str(value) for name, value in _variables(config).items()}
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "LANG": "en_US.UTF-8",
        "PATH": "/usr/local/bin:/usr/bin/:/bin:/opt/bin",
        "TZ": ":UTC",
        # As in Lambda, a home without a person's settings: botocore would read ~/.aws.
        "HOME": str(folder / ".home"),
        # In Lambda /tmp is the function's own. Here it is everybody's, so temporary files go where the run's are.
        "TMPDIR": tempfile.gettempdir(),
        **own,
        "_HANDLER": str(config["Handler"]),
        "AWS_ACCESS_KEY_ID": credentials.access_key,
        "AWS_SECRET_ACCESS_KEY": credentials.secret_key,
        "AWS_SESSION_TOKEN": credentials.token,
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{config.get('Runtime')}",
        "AWS_LAMBDA_FUNCTION_NAME": str(config["FunctionName"]),
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(config.get("MemorySize", 128)),
        "AWS_LAMBDA_FUNCTION_VERSION": version,
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": log_group(config),
        "AWS_LAMBDA_LOG_STREAM_NAME": f"{day}/[{version}]{uuid.uuid4().hex}",
        "LAMBDA_TASK_ROOT": str(folder),
    }


def _variables(config: Mapping[str, Any]) -> Mapping[str, Any]:
    return (config.get("Environment") or {}).get("Variables") or {}
