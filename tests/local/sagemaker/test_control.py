"""The control plane through real botocore clients: models, configurations, lists, tags and permissions."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local.sagemaker.around import ACCOUNT, IMAGE, REGION, ROLE, Call, Cloud, program, variant_of

ARN = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:"
DATA = program("def model_fn(model_dir): pass")


def refusal(call: Any, **parameters: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


@pytest.fixture
def sagemaker(cloud: Cloud) -> Any:
    cloud.put_model("Scorer", DATA, {"NAME": "b"})
    return cloud.client("sagemaker")


def test_a_model_is_described_as_it_was_created_and_its_arn_is_in_lower_case(sagemaker: Any) -> None:
    described = sagemaker.describe_model(ModelName="Scorer")

    assert described["ModelArn"] == f"{ARN}model/scorer"
    assert described["ModelName"] == "Scorer"
    assert described["ExecutionRoleArn"] == ROLE
    assert described["PrimaryContainer"] == {
        "Image": IMAGE,
        "ModelDataUrl": "s3://models/Scorer.tar.gz",
        "Environment": {"NAME": "b"},
    }
    assert described["CreationTime"].year >= 2024


def test_a_configuration_is_described_with_its_defaults(cloud: Cloud, sagemaker: Any) -> None:
    cloud.put_config("config", {"ModelName": "Scorer"})

    described = sagemaker.describe_endpoint_config(EndpointConfigName="config")

    assert described["EndpointConfigArn"] == f"{ARN}endpoint-config/config"
    assert described["ProductionVariants"] == [variant_of(ModelName="Scorer", InitialVariantWeight=1.0)]


@pytest.mark.parametrize(
    ("action", "field", "what"),
    [
        ("describe_model", "ModelName", "model"),
        ("delete_model", "ModelName", "model"),
        ("describe_endpoint_config", "EndpointConfigName", "endpoint configuration"),
        ("delete_endpoint_config", "EndpointConfigName", "endpoint configuration"),
        ("describe_endpoint", "EndpointName", "endpoint"),
        ("delete_endpoint", "EndpointName", "endpoint"),
    ],
)
def test_what_is_not_there_could_not_be_found(cloud: Cloud, action: str, field: str, what: str) -> None:
    kind = what.replace(" configuration", "-config")

    assert refusal(getattr(cloud.client("sagemaker"), action), **{field: "None"}) == (
        "ValidationException",
        f'Could not find {what} "{ARN}{kind}/none".',
    )


def test_what_is_already_there_cannot_be_created(cloud: Cloud, sagemaker: Any) -> None:
    cloud.put_config("config", {"ModelName": "Scorer"})
    variants = [variant_of(ModelName="Scorer")]
    container = {"Image": IMAGE}

    # Names differ only in case from the existing ones: AWS has one of both.
    assert refusal(sagemaker.create_model, ModelName="SCORER", PrimaryContainer=container, ExecutionRoleArn=ROLE) == (
        "ValidationException",
        f'Cannot create already existing model "{ARN}model/scorer".',
    )
    assert refusal(sagemaker.create_endpoint_config, EndpointConfigName="CONFIG", ProductionVariants=variants) == (
        "ValidationException",
        f'Cannot create already existing endpoint configuration "{ARN}endpoint-config/config".',
    )


def test_a_deleted_model_is_gone(sagemaker: Any) -> None:
    sagemaker.delete_model(ModelName="scorer")

    assert sagemaker.list_models()["Models"] == []


@pytest.mark.parametrize(
    "change",
    [
        {"ModelDataUrl": "s3://models/absent.tar.gz"},
        {"role": f"arn:aws:iam::{ACCOUNT}:role/absent"},
        {"forbidden": True},
    ],
)
def test_model_data_that_the_role_cannot_read_is_refused(cloud: Cloud, sagemaker: Any, change: Any) -> None:
    if "forbidden" in change:
        cloud.memory.forbidden.add((ROLE, "s3:GetObject"))
    container = {"Image": IMAGE, "ModelDataUrl": change.get("ModelDataUrl", "s3://models/Scorer.tar.gz")}

    code, message = refusal(
        sagemaker.create_model,
        ModelName="m",
        PrimaryContainer=container,
        ExecutionRoleArn=change.get("role", ROLE),
    )

    assert code == "ValidationException"
    assert message.startswith(f"Could not access model data at {container['ModelDataUrl']}. Please ensure")
    assert sagemaker.list_models(NameContains="m")["Models"] == []


def test_the_role_is_asked_for_the_very_object(cloud: Cloud, sagemaker: Any) -> None:
    assert (ROLE, "s3:GetObject", "arn:aws:s3:::models/Scorer.tar.gz") in cloud.memory.asked


def test_a_compressed_model_data_source_is_model_data_too(sagemaker: Any) -> None:
    source = {"S3Uri": "s3://models/Scorer.tar.gz", "S3DataType": "S3Object", "CompressionType": "Gzip"}

    sagemaker.create_model(
        ModelName="m",
        PrimaryContainer={"Image": "i", "ModelDataSource": {"S3DataSource": source}},
        ExecutionRoleArn=ROLE,
    )

    assert sagemaker.describe_model(ModelName="m")["PrimaryContainer"]["ModelDataSource"]["S3DataSource"] == source


CONTAINER = {"Image": "i"}
PREFIX = {"S3Uri": "s3://models/", "S3DataType": "S3Prefix", "CompressionType": "None"}


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ({}, "Either PrimaryContainer or Containers"),
        ({"Containers": [CONTAINER, CONTAINER]}, "several Containers"),
        ({"InferenceExecutionConfig": {"Mode": "Direct"}}, "CreateModel.InferenceExecutionConfig"),
        ({"PrimaryContainer": {}}, "Image must be specified"),
        ({"PrimaryContainer": {**CONTAINER, "Mode": "MultiModel"}}, "Mode MultiModel"),
        ({"PrimaryContainer": {"ModelPackageName": "p"}}, "ModelPackage p does not exist."),
        ({"PrimaryContainer": {**CONTAINER, "ModelDataUrl": "https://x/y"}}, "expected s3://bucket/key"),
        ({"PrimaryContainer": {**CONTAINER, "ModelDataSource": {"S3DataSource": PREFIX}}}, "S3Prefix"),
    ],
)
def test_a_model_that_is_not_served_is_refused_by_name(cloud: Cloud, model: Any, words: str) -> None:
    create = cloud.client("sagemaker").create_model

    code, message = refusal(create, ModelName="m", ExecutionRoleArn=ROLE, **model)

    assert code == "ValidationException"
    assert words in message


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"ShadowProductionVariants": [variant_of(ModelName="Scorer")]}, "Variant names must be unique"),
        ({"ShadowProductionVariants": [variant_of(ModelName="Scorer", VariantName=it) for it in "ab"]}, "exactly one"),
        ({"variant": {"ManagedInstanceScaling": {}}}, "ProductionVariant.ManagedInstanceScaling"),
        ({"variant": {"ModelName": "absent"}}, f'Could not find model "{ARN}model/absent".'),
        ({"variant": {"InitialVariantWeight": 0.0}}, "InitialVariantWeight above 0"),
        ({"variant": {"InstanceType": None}}, "InstanceType must be specified"),
        ({"twice": True}, "must be unique"),
    ],
)
def test_a_configuration_that_is_not_served_is_refused_by_name(
    sagemaker: Any, config: dict[str, Any], words: str
) -> None:
    given = {"ModelName": "Scorer", **config.pop("variant", {})}
    variant = {key: value for key, value in variant_of(**given).items() if value is not None}
    variants = [variant] * (2 if config.pop("twice", False) else 1)

    code, message = refusal(
        sagemaker.create_endpoint_config, EndpointConfigName="c", ProductionVariants=variants, **config
    )

    assert code == "ValidationException"
    assert words in message


def test_a_setting_that_changes_nothing_here_is_recorded(cloud: Cloud, sagemaker: Any) -> None:
    sagemaker.create_endpoint_config(
        EndpointConfigName="c", ProductionVariants=[variant_of(ModelName="Scorer", VolumeSizeInGB=5)], KmsKeyId="key"
    )

    described = sagemaker.describe_endpoint_config(EndpointConfigName="c")
    assert described["KmsKeyId"] == "key"
    assert described["ProductionVariants"][0]["VolumeSizeInGB"] == 5


def test_lists_are_filtered_sorted_and_paged(cloud: Cloud, sagemaker: Any) -> None:
    for name in ("one-a", "one-b", "two-c"):
        cloud.put_config(name, {"ModelName": "Scorer"})

    def names(**parameters: Any) -> list[str]:
        pages = sagemaker.get_paginator("list_endpoint_configs").paginate(**parameters)
        return [entry["EndpointConfigName"] for page in pages for entry in page["EndpointConfigs"]]

    assert names() == ["two-c", "one-b", "one-a"]
    assert names(SortBy="Name", SortOrder="Ascending", PaginationConfig={"PageSize": 2}) == ["one-a", "one-b", "two-c"]
    assert names(NameContains="ONE") == ["one-b", "one-a"]
    assert names(CreationTimeAfter=4102444800) == []
    assert refusal(sagemaker.list_models, NextToken="?") == ("ValidationException", "Invalid pagination token.")


def test_tags_are_added_changed_listed_and_deleted(sagemaker: Any) -> None:
    arn = f"{ARN}model/scorer"

    sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "a", "Value": "3"}])
    sagemaker.delete_tags(ResourceArn=arn, TagKeys=["b"])

    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "a", "Value": "3"}]
    assert refusal(sagemaker.list_tags, ResourceArn=f"{ARN}model/none")[0] == "ValidationException"


def test_tags_can_come_with_the_resource_and_go_with_it(cloud: Cloud) -> None:
    sagemaker, tags = cloud.client("sagemaker"), [{"Key": "team", "Value": "ml"}]
    arguments = {"ModelName": "m", "PrimaryContainer": CONTAINER, "ExecutionRoleArn": ROLE}

    arn = sagemaker.create_model(**arguments, Tags=tags)["ModelArn"]
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == tags

    sagemaker.delete_model(ModelName="m")
    arn = sagemaker.create_model(**arguments)["ModelArn"]
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == []


@pytest.mark.parametrize(
    ("action", "call", "resource"),
    [
        ("sagemaker:CreateModel", "create_model", f"{ARN}model/new"),
        ("iam:PassRole", "create_model", ROLE),
        ("sagemaker:DescribeModel", "describe_model", f"{ARN}model/new"),
        ("sagemaker:ListModels", "list_models", "*"),
        ("sagemaker:ListTags", "list_tags", f"{ARN}model/new"),
        ("sagemaker:CreateEndpoint", "create_endpoint", f"{ARN}endpoint/new"),
    ],
)
def test_each_action_needs_its_permission(cloud: Cloud, action: str, call: str, resource: str) -> None:
    cloud.memory.forbidden.add(("AKIATEST", action))
    parameters: dict[str, dict[str, Any]] = {
        "create_model": {"ModelName": "New", "ExecutionRoleArn": ROLE, "PrimaryContainer": CONTAINER},
        "describe_model": {"ModelName": "New"},
        "list_models": {},
        "list_tags": {"ResourceArn": f"{ARN}model/new"},
        "create_endpoint": {"EndpointName": "New", "EndpointConfigName": "config"},
    }

    assert refusal(getattr(cloud.client("sagemaker"), call), **parameters[call]) == (
        "AccessDeniedException",
        f"User: AKIATEST is not authorized to perform: {action} on resource: {resource}",
    )


def test_an_endpoint_needs_its_permission_on_the_configuration_too(cloud: Cloud) -> None:
    refusal(cloud.client("sagemaker").create_endpoint, EndpointName="New", EndpointConfigName="config")

    asked = [resource for _, action, resource in cloud.memory.asked if action == "sagemaker:CreateEndpoint"]
    assert asked == [f"{ARN}endpoint/new", f"{ARN}endpoint-config/config"]


def test_an_action_that_is_not_served_is_unknown(cloud: Cloud) -> None:
    code, message = refusal(cloud.client("sagemaker").list_training_jobs)

    assert code == "UnknownOperationException"
    assert "ListTrainingJobs" in message


@pytest.mark.parametrize("target", ["", "SageMaker.NoSuchAction", "Other.ListModels"])
def test_a_request_that_names_no_action_is_unknown(cloud: Cloud, target: str) -> None:
    status, headers, _ = cloud.run(cloud.sagemaker.handle(Call("POST", "/", {"x-amz-target": target}, b"{}")))

    assert (status, headers["x-amzn-errortype"]) == (400, "UnknownOperationException")


def test_a_body_that_is_no_json_is_a_serialization_exception(cloud: Cloud) -> None:
    headers = {"x-amz-target": "SageMaker.ListModels"}

    _, answered, _ = cloud.run(cloud.sagemaker.handle(Call("POST", "/", headers, b"{")))

    assert answered["x-amzn-errortype"] == "SerializationException"


def test_accounts_and_regions_share_nothing(cloud: Cloud, sagemaker: Any) -> None:
    headers = {"x-amz-target": "SageMaker.ListModels"}

    for place in ({"account": "2" * 12}, {"region": "us-east-1"}):
        _, _, body = cloud.run(cloud.sagemaker.handle(Call("POST", "/", headers, b"{}", **place)))
        assert body == b'{"Models": []}'
