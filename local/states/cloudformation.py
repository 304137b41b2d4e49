"""`AWS::StepFunctions::StateMachine`, as a template declares it.

https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-stepfunctions-statemachine.html
"""

from __future__ import annotations

import json
from typing import Any

from local import ministack
from local.states.machines import ApiError, Engine, StateMachine
from local.states.problems import InvalidDefinition

Json = Any
Properties = dict[str, Json]

TYPE = "AWS::StepFunctions::StateMachine"
_KNOWN = frozenset(
    {"DefinitionString", "Definition", "DefinitionS3Location", "DefinitionSubstitutions", "RoleArn", "StateMachineName"}
    | {"StateMachineType", "LoggingConfiguration", "TracingConfiguration", "EncryptionConfiguration", "Tags"}
)
_MAX_NAME = 80
_PATCHABLE = frozenset({"DefinitionString", "RoleArn", "LoggingConfiguration", "TracingConfiguration"})


def resource_type(engine: Engine) -> ministack.ResourceType:
    """The resource type whose machines live in `engine`."""

    def create(logical_id: str, properties: Properties, stack_name: str) -> tuple[str, dict[str, str]]:
        generated = ministack.physical_name(stack_name, logical_id, max_length=_MAX_NAME)
        return _create(engine, properties.get("StateMachineName") or generated, properties)

    def update(
        physical_id: str, old: Properties, new: Properties, stack_name: str, logical_id: str
    ) -> tuple[str, dict[str, str]]:
        _check(new)
        replaced = ("StateMachineName", "StateMachineType")
        if any(old.get(name) != new.get(name) for name in replaced):
            generated = ministack.physical_name(stack_name, logical_id, max_length=_MAX_NAME, replacing=True)
            return _create(engine, new.get("StateMachineName") or generated, new)
        try:
            machine = engine.update(
                physical_id,
                definition=_definition(new),
                role_arn=new["RoleArn"],
                logging=_camel(new.get("LoggingConfiguration") or {"Level": "OFF", "IncludeExecutionData": False}),
                tracing=_camel(new.get("TracingConfiguration") or {"Enabled": False}),
                encryption=_camel(new.get("EncryptionConfiguration") or {"Type": "AWS_OWNED_KEY"}),
            )
        except (ApiError, InvalidDefinition) as problem:
            raise ValueError(_reason(problem)) from problem
        machine.tags = _tags(new)
        return _made(machine)

    def delete(physical_id: str, _properties: Properties) -> None:
        ministack.run_on_loop(_delete(engine, physical_id))

    return ministack.ResourceType(create, update, delete)


def patch(engine: Engine, arn: str, operations: list[Json]) -> StateMachine:
    """Changes the properties that a JSON Patch adds or replaces whole. Raises as `Engine.update`, and ValueError."""
    changed: Properties = {}
    for operation in operations:
        name = operation["path"].removeprefix("/")
        if operation["op"] not in ("add", "replace") or name not in _PATCHABLE:
            raise ValueError(f"The embedded AWS does not {operation['op']} {operation['path']} of {TYPE} in place")
        changed[name] = operation["value"]
    return engine.update(
        arn,
        definition=_definition(changed) if "DefinitionString" in changed else None,
        role_arn=changed.get("RoleArn"),
        logging=_camel(changed.get("LoggingConfiguration")),
        tracing=_camel(changed.get("TracingConfiguration")),
    )


def _create(engine: Engine, name: str, properties: Properties) -> tuple[str, dict[str, str]]:
    _check(properties)
    account, region = ministack.here()
    logging, tracing = properties.get("LoggingConfiguration"), properties.get("TracingConfiguration")
    try:
        machine = engine.create(
            f"arn:aws:states:{region}:{account}:stateMachine:{name}",
            definition=_definition(properties),
            role_arn=properties["RoleArn"],
            kind=properties.get("StateMachineType", "STANDARD"),
            logging=_camel(logging) if logging else None,
            tracing=_camel(tracing) if tracing else None,
            tags=_tags(properties),
            encryption=_camel(properties.get("EncryptionConfiguration")),
        )
    except (ApiError, InvalidDefinition) as problem:
        raise ValueError(_reason(problem)) from problem
    return _made(machine)


def _check(properties: Properties) -> None:
    unknown = sorted(set(properties) - _KNOWN)
    if unknown:
        raise ValueError(f"The embedded AWS does not know these properties of {TYPE}: {', '.join(unknown)}")
    if "RoleArn" not in properties:
        raise ValueError("the property RoleArn is required")


async def _delete(engine: Engine, arn: str) -> None:
    engine.delete(arn)


def _made(machine: StateMachine) -> tuple[str, dict[str, str]]:
    return machine.arn, {"Arn": machine.arn, "Name": machine.name, "StateMachineRevisionId": machine.revision}


def _definition(properties: Properties) -> str:
    given = [name for name in ("DefinitionString", "Definition", "DefinitionS3Location") if properties.get(name)]
    if len(given) != 1:
        raise ValueError("exactly one of DefinitionString, Definition and DefinitionS3Location is required")
    value = properties[given[0]]
    if given[0] == "DefinitionS3Location":
        text = ministack.read_object(value["Bucket"], value["Key"]).decode()
    else:
        text = value if isinstance(value, str) else json.dumps(value)
    for name, replacement in (properties.get("DefinitionSubstitutions") or {}).items():
        text = text.replace(f"${{{name}}}", str(replacement))
    return text


def _tags(properties: Properties) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in properties.get("Tags") or []}


def _camel(value: Json) -> Json:
    """Properties begin with a capital, members of the API do not; template scalars may come as text."""
    if isinstance(value, dict):
        return {name[0].lower() + name[1:]: _camel(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_camel(inner) for inner in value]
    return {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value


def _reason(problem: Exception) -> str:
    return f'Resource handler returned message: "{problem}"'
