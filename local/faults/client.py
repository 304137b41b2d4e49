"""Puts rules into a running embedded AWS, and reads what was seen: for the command line and for tests."""

from __future__ import annotations

import http.client
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from local.faults.rules import Rule, RuleError, matches, rules_of
from local.server import Ready

SECONDS = 30.0


def load(path: Path) -> tuple[list[dict[str, Any]], list[Rule]]:
    """The faults of a file, as written and as understood: JSON by its ending, else TOML. Raises `RuleError`."""
    try:
        text = path.read_text("utf-8")
    except OSError as problem:
        raise RuleError(f"{path}: cannot be read: {problem.strerror}") from problem
    except UnicodeDecodeError as problem:
        raise RuleError(f"{path}: expected text in UTF-8: {problem}") from problem
    kind = "JSON" if path.suffix == ".json" else "TOML"
    try:
        document = json.loads(text) if kind == "JSON" else tomllib.loads(text)
    except ValueError as problem:
        raise RuleError(f"{path}: expected {kind}: {problem}") from problem
    rules = rules_of(document, str(path))
    return document["fault"], rules


@dataclass
class Seen:
    """What became of rules since they were added: read from the embedded AWS, and kept when they are removed."""

    _ready: Ready
    _id: str
    _last: dict[str, Any] | None = field(default=None)

    @property
    def report(self) -> dict[str, Any]:
        """All of it, see `local.faults.plan.Watch.report`."""
        return self._last or _ask(self._ready, {"action": "read", "id": self._id})

    @property
    def matched(self) -> list[int]:
        """For each rule, the calls that it means."""
        return list(self.report["matched"])

    @property
    def fired(self) -> list[int]:
        """For each rule, the calls that it fired for."""
        return list(self.report["fired"])

    @property
    def waits(self) -> dict[str, list[tuple[str, float]]]:
        """The waits before retries, by the ARN of the execution or child: state and unscaled seconds."""
        return {arn: [(state, seconds) for state, seconds in waits] for arn, waits in self.report["waits"].items()}

    def calls(self, service: str = "*", action: str = "*", resource: str = "*") -> int:
        """How many calls there were, by patterns."""
        return sum(
            count
            for *call, count in self.report["calls"]
            if all(matches(pattern, text) for pattern, text in zip((service, action, resource), call, strict=True))
        )

    def release(self) -> None:
        """Lets the calls go on that a `hold` holds."""
        _ask(self._ready, {"action": "release", "id": self._id})

    def remove(self) -> None:
        """Takes the rules out of force."""
        self._last = _ask(self._ready, {"action": "remove", "id": self._id})


def add(ready: Ready, rules: Sequence[Mapping[str, Any]], *, counting: bool) -> Seen:
    """Puts rules into force. `counting` counts all calls too, which costs a little memory with each.

    Raises `RuleError` for rules that cannot mean anything.
    """
    asked = {"action": "add", "rules": [dict(rule) for rule in rules], "counting": counting}
    return Seen(ready, str(_ask(ready, asked)["id"]))


def _ask(ready: Ready, document: dict[str, Any]) -> dict[str, Any]:
    body = json.dumps(document).encode()
    request = AWSRequest(method="POST", url=f"{ready.endpoint}/", data=body)
    SigV4Auth(Credentials(ready.access_key, ready.secret_key), "faults", ready.region).add_auth(request)
    connection = http.client.HTTPConnection(urlsplit(ready.endpoint).netloc, timeout=SECONDS)
    try:
        connection.request("POST", "/", body, dict(request.headers.items()))
        answer = connection.getresponse()
        told: dict[str, Any] = json.loads(answer.read())
    finally:
        connection.close()
    if answer.status != 200:
        raise RuleError(told["message"])
    return told
