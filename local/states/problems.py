"""What is wrong with a definition: each problem with AWS's code and its place, all of them at once."""

from __future__ import annotations

from dataclasses import dataclass, field

INVALID_JSON = "INVALID_JSON_DESCRIPTION"
MISSING_TARGET = "MISSING_TRANSITION_TARGET"
SCHEMA = "SCHEMA_VALIDATION_FAILED"
QUERY = "INVALID_QUERY_EXPRESSION"


@dataclass(frozen=True)
class Problem:
    """One problem; `location` is the path in the definition, as in `/States/Predict/Next`."""

    code: str
    message: str
    location: str

    def __str__(self) -> str:
        return f"{self.code}: {self.message} at {self.location or '/'}"


@dataclass
class Problems:
    """The problems found so far."""

    found: list[Problem] = field(default_factory=list)

    def add(self, message: str, location: str, code: str = SCHEMA) -> None:
        """Notes one more."""
        self.found.append(Problem(code, message, location))


class InvalidDefinition(Exception):
    """The definition cannot run. The text is the one CreateStateMachine answers with."""

    def __init__(self, problems: list[Problem]) -> None:
        listed = ", ".join(f"'{problem}'" for problem in problems)
        super().__init__(f"Invalid State Machine Definition: {listed}")
        self.problems = problems
