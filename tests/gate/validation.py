"""The library's own validation, and our CloudFormation Guard rules, on templates."""

from __future__ import annotations

from collections.abc import Iterator

import jsii
from aws_cdk import IPolicyValidationContext, PolicyValidationStack
from constructs import IConstruct

from tests.gate.findings import Finding, Templates
from tests.synthesis import validation


@jsii.implements(IPolicyValidationContext)
class Context:
    """The templates of an app, as the library hands them to a plugin after a synth."""

    def __init__(self, app: IConstruct, templates: Templates) -> None:
        self._app = app
        self._templates = templates

    @property
    def app_construct(self) -> IConstruct:
        return self._app

    @property
    def stack_templates(self) -> list[PolicyValidationStack]:
        return [
            PolicyValidationStack(stack_construct_path=name, template_path=str(path), region="us-east-1")
            for name, path in self._templates.paths.items()
        ]

    @property
    def template_paths(self) -> list[str]:
        return [str(path) for path in self._templates.paths.values()]

    @property
    def account_id(self) -> None:
        return None

    @property
    def region(self) -> str:
        return "us-east-1"


def validate(app: IConstruct, templates: Templates) -> Iterator[Finding]:
    """Warnings as well as errors; what comes of our own rules has `Guard` as its tool."""
    for violation in validation().validate(Context(app, templates)).violations:
        category = (violation.rule_metadata or {}).get("category", "")
        tool = "Guard" if category.startswith("guard:") else "CloudFormation-Validate"
        for resource in violation.violating_resources:
            yield templates.finding(
                tool,
                rule=violation.rule_name,
                template=str(resource.template_path),
                resource=resource.resource_logical_id or "",
                message=violation.description,
            )
