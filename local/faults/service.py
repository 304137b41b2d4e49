"""The rules' own service, `faults`: takes, reports, releases and removes them. Only the run's root key may."""

from __future__ import annotations

import json
from typing import Any

from local import ministack
from local.faults.plan import PLAN
from local.faults.rules import RuleError, rule_of

NAME = "faults"


def install() -> None:
    """Answers requests signed for `faults`, in JSON: `{"action": "add", "rules": [...], "counting": true}` gives
    `{"id"}`; `read`, `release` and `remove` take the id and give what was seen."""

    async def answer(request: ministack.Request) -> ministack.Response:
        if request.access_key != ministack.ROOT.access_key:
            return _response(403, {"message": "only the run's root key may change its faults"})
        try:
            return _response(200, _answer(json.loads(request.body)))
        except RuleError as problem:
            return _response(400, {"message": str(problem)})
        except KeyError as problem:
            return _response(404, {"message": f"no rules of that id: {problem}"})

    ministack.add_service(NAME, answer)


def _answer(asked: dict[str, Any]) -> dict[str, Any]:
    if asked["action"] == "add":
        rules = [rule_of(given, f"fault {number}") for number, given in enumerate(asked["rules"], start=1)]
        return {"id": PLAN.add(rules, counting=asked["counting"])}
    if asked["action"] == "remove":
        return PLAN.remove(asked["id"]).report()
    watch = PLAN.watches[asked["id"]]
    if asked["action"] == "release":
        watch.released.set()
    return watch.report()


def _response(status: int, document: dict[str, Any]) -> ministack.Response:
    return status, {"content-type": "application/json"}, json.dumps(document).encode()
