"""The roles of a template: whom each trusts, and what its policies allow it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.synthesis import Stack

Document = dict[str, Any]


@dataclass(frozen=True)
class Allowed:
    """One action on one resource, where a condition may narrow it: what a statement allows, at its smallest."""

    action: str
    resource: str
    condition: Document = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class Role:
    """A role, by its logical id without its hash. `statements` are of all its policies, references as `<Data.Arn>`."""

    name: str
    trust: list[Document]
    statements: list[Document]
    managed: list[Any]

    @property
    def services(self) -> list[str]:
        """The services that may assume it."""
        principals = [statement.get("Principal") for statement in self.trust]
        return [name for it in principals if isinstance(it, dict) for name in as_list(it.get("Service", []))]

    @property
    def allowed(self) -> Iterator[Allowed]:
        """Each action on each resource that some statement allows."""
        for statement in self.statements:
            for action in as_list(statement.get("Action", [])):
                for resource in as_list(statement.get("Resource", [])):
                    yield Allowed(action, resource, statement.get("Condition", {}))


def roles_of(stack: Stack) -> list[Role]:
    """The stack's roles, in the template's order."""
    attached = stack.of_type("AWS::IAM::Policy") | stack.of_type("AWS::IAM::ManagedPolicy")
    roles = []
    for name, role in stack.of_type("AWS::IAM::Role").items():
        documents = [policy["PolicyDocument"] for policy in role.get("Policies", [])]
        documents += [it["PolicyDocument"] for it in attached.values() if f"<{name}>" in it.get("Roles", [])]
        statements = [statement for document in documents for statement in document["Statement"]]
        trust = role["AssumeRolePolicyDocument"]["Statement"]
        roles.append(Role(name, trust, statements, role.get("ManagedPolicyArns", [])))
    return roles


def as_list(value: Any) -> list[Any]:
    """What may stand alone or in a list, in a list."""
    return value if isinstance(value, list) else [value]


def owned(resource: str) -> bool:
    """Whether the text before the first wildcard of a resource names something of the stack."""
    return re.search(r"<(?!AWS::)", resource.partition("*")[0]) is not None
