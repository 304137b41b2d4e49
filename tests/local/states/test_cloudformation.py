"""`AWS::StepFunctions::StateMachine` as a deployment creates, updates, replaces and deletes it."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest

from local import ministack
from local.states.cloudformation import resource_type
from local.states.machines import ApiError, Engine
from tests.local.states.fake_aws import ACCOUNT, REGION, ROLE, FakeAws, machine

Json = Any
PASS = machine({"A": {"Type": "Pass", "End": True}})
OTHER = machine({"B": {"Type": "Succeed"}})
BASE = {"RoleArn": ROLE, "DefinitionString": PASS}
PREFIX = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:"


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    """An engine for a deployment that runs in this thread."""
    monkeypatch.setattr(ministack, "run_on_loop", asyncio.run)
    monkeypatch.setattr(ministack, "here", lambda: (ACCOUNT, REGION))
    return Engine(FakeAws())


def create(engine: Engine, **properties: Json) -> tuple[str, dict[str, str]]:
    return resource_type(engine).create("Workflow", BASE | properties, "Stack")


def test_a_machine_is_created_with_a_name_of_the_stack_and_its_logical_id(engine: Engine) -> None:
    arn, attributes = create(engine)
    assert arn.startswith(f"{PREFIX}Stack-Workflow-")
    assert attributes["Arn"] == arn
    assert attributes["Name"] == arn.removeprefix(PREFIX)
    assert engine.machine(arn).definition == PASS


KEY = "arn:aws:kms:us-east-1:000000000000:key/1"
ENCRYPTED = {"Type": "CUSTOMER_MANAGED_KMS_KEY", "KmsKeyId": KEY}


def test_a_machine_with_a_key_starts_only_what_its_role_may_encrypt(monkeypatch: pytest.MonkeyPatch) -> None:
    aws = FakeAws()
    asked: list[tuple[str, str, Json]] = []

    def authorize(
        access_key: str, action: str, resource: str, region: str, context: Mapping[str, str] | None = None
    ) -> str | None:
        asked.append((action, resource, context))
        return aws.without.get(action)

    monkeypatch.setattr(ministack, "here", lambda: (ACCOUNT, REGION))
    monkeypatch.setattr(aws, "authorize", authorize)
    engine = Engine(aws)

    async def start() -> None:
        engine.start(arn, None, {})
        await engine.close()

    arn, _ = create(engine, EncryptionConfiguration=ENCRYPTED)
    assert engine.machine(arn).encryption == {"type": "CUSTOMER_MANAGED_KMS_KEY", "kmsKeyId": KEY}
    asyncio.run(start())
    context = {"kms:EncryptionContext:aws:states:stateMachineArn": arn}
    assert asked == [("kms:GenerateDataKey", KEY, context), ("kms:Decrypt", KEY, context)]
    for action in ("kms:GenerateDataKey", "kms:Decrypt"):
        aws.without = {action: "no"}
        with pytest.raises(ApiError, match="no") as refused:
            engine.start(arn, None, {})
        assert refused.value.code == "KmsAccessDeniedException"


def test_an_update_takes_the_key_away_again(engine: Engine) -> None:
    arn, _ = create(engine, EncryptionConfiguration=ENCRYPTED)
    properties = BASE | {"EncryptionConfiguration": ENCRYPTED}
    resource_type(engine).update(arn, properties, BASE, "Stack", "Workflow")
    assert engine.machine(arn).encryption == {"type": "AWS_OWNED_KEY"}


def test_every_property_reaches_the_machine(engine: Engine) -> None:
    group = "arn:aws:logs:us-east-1:000000000000:log-group:/g:*"
    arn, _ = create(
        engine,
        StateMachineName="named",
        StateMachineType="EXPRESS",
        LoggingConfiguration={
            "Level": "ALL",
            "IncludeExecutionData": "false",
            "Destinations": [{"CloudWatchLogsLogGroup": {"LogGroupArn": group}}],
        },
        TracingConfiguration={"Enabled": True},
        Tags=[{"Key": "k", "Value": "v"}],
    )
    made = engine.machine(arn)
    assert (arn, made.kind, made.role_arn, made.tags) == (f"{PREFIX}named", "EXPRESS", ROLE, {"k": "v"})
    assert made.tracing == {"enabled": True}
    assert made.logging == {
        "level": "ALL",
        "includeExecutionData": False,
        "destinations": [{"cloudWatchLogsLogGroup": {"logGroupArn": group}}],
    }


@pytest.mark.parametrize("field", ["DefinitionString", "Definition", "DefinitionS3Location"])
def test_a_definition_comes_as_text_as_an_object_or_from_s3(
    engine: Engine, field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = machine({"A": {"Type": "Pass", "Comment": "${Colour}", "End": True}})
    monkeypatch.setattr(ministack, "read_object", lambda bucket, key: text.encode() if bucket + key == "bk" else b"")
    values = {
        "DefinitionString": text,
        "Definition": json.loads(text),
        "DefinitionS3Location": {"Bucket": "b", "Key": "k"},
    }
    properties = {"RoleArn": ROLE, field: values[field], "DefinitionSubstitutions": {"Colour": "red"}}
    arn, _ = resource_type(engine).create("Workflow", properties, "Stack")
    assert json.loads(engine.machine(arn).definition)["States"]["A"]["Comment"] == "red"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"Definition": {}, "DefinitionS3Location": {"Bucket": "b"}}, "exactly one of DefinitionString, Definition"),
        ({"DefinitionString": ""}, "exactly one of DefinitionString, Definition"),
        ({"DefinitionString": "{}"}, "Invalid State Machine Definition"),
        ({"StateMachineName": "a b"}, "Invalid Name: 'a b'"),
        ({"Colour": "red"}, "does not know these properties of AWS::StepFunctions::StateMachine: Colour"),
    ],
)
def test_a_machine_that_cannot_be_made_fails_with_the_reason(engine: Engine, changes: Json, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        create(engine, **changes)
    assert engine.machines == {}


def test_an_update_in_place_keeps_the_arn(engine: Engine) -> None:
    arn, before = create(engine, Tags=[{"Key": "k", "Value": "v"}], TracingConfiguration={"Enabled": True})
    new = {"RoleArn": f"{ROLE}-2", "DefinitionString": OTHER}
    updated, after = resource_type(engine).update(arn, BASE, new, "Stack", "Workflow")
    made = engine.machine(arn)
    assert updated == arn
    assert after["StateMachineRevisionId"] != before["StateMachineRevisionId"]
    assert (made.definition, made.role_arn, made.tags, made.tracing) == (OTHER, f"{ROLE}-2", {}, {"enabled": False})


@pytest.mark.parametrize("change", [{"StateMachineName": "renamed"}, {"StateMachineType": "EXPRESS"}])
def test_another_name_or_type_makes_a_new_machine_beside_the_old(engine: Engine, change: Json) -> None:
    old, _ = create(engine)
    new, attributes = resource_type(engine).update(old, BASE, BASE | change, "Stack", "Workflow")
    assert new != old
    assert attributes["Arn"] == new
    assert {old, new} == set(engine.machines)


@pytest.mark.parametrize(
    ("change", "said"),
    [({"DefinitionString": "{}"}, "Invalid State Machine Definition"), ({"Colour": "red"}, "Colour")],
)
def test_a_failed_update_leaves_the_machine_as_it_was(engine: Engine, change: Json, said: str) -> None:
    arn, _ = create(engine)
    with pytest.raises(ValueError, match=said):
        resource_type(engine).update(arn, BASE, BASE | change, "Stack", "Workflow")
    assert engine.machine(arn).definition == PASS


def test_a_machine_is_deleted_and_deleting_it_again_is_no_error(engine: Engine) -> None:
    arn, _ = create(engine)
    resource_type(engine).delete(arn, BASE)
    resource_type(engine).delete(arn, BASE)
    assert engine.machines == {}
