"""Faults on purpose: rules that make calls inside the embedded AWS fail as they can fail in AWS.

`watching()` is False while there is no rule, and is all that a call costs then. `local.faults.rules` has what a rule
may say, `plan` which call it meets, and `calls` and `answers` what becomes of a request to an AWS service. What
happens inside a function's process, a model's container or a Map Run's child is done there, with `meet`.
"""

from local.faults.answers import CallFailed, around_invoke, around_request
from local.faults.calls import call_of
from local.faults.plan import PLAN
from local.faults.rules import Rule, RuleError, matches

__all__ = [
    "PLAN",
    "CallFailed",
    "Rule",
    "RuleError",
    "around_invoke",
    "around_request",
    "call_of",
    "matches",
    "meet",
    "watching",
]

meet = PLAN.meet


def watching() -> bool:
    """Whether any rule or count is in force."""
    return bool(PLAN.watches)
