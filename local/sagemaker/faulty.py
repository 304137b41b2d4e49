"""What a fault on purpose makes of a request to a model server."""

from __future__ import annotations

from collections.abc import Mapping

import aiohttp

from local import faults
from local.sagemaker.instance import Instance


def instead_of(rule: faults.Rule, instance: Instance) -> tuple[int, Mapping[str, str], bytes] | None:
    """What a rule has the server answer; None where it is to answer itself, killed or not. Raises as it would."""
    if rule.timeout:
        raise TimeoutError
    if rule.cut:
        raise aiohttp.ServerDisconnectedError
    if rule.kill:
        instance.process.kill()
    if rule.status is None and rule.body is None:
        return None
    return rule.status or 200, {"content-type": "application/json"}, rule.body or b""
