"""The Model Registry: versions of a group, their approval, and a model that is served from one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.sagemaker import kept
from tests.local.sagemaker.around import ACCOUNT, ECHO, IMAGE, REGION, ROLE, Cloud, program
from tests.local.sagemaker.around import cloud as another_cloud

ARN = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:model-package"
DATA = "s3://registry/churn.tar.gz"


@pytest.fixture
def registry(cloud: Cloud) -> Any:
    """A client of a registry with the group Churn."""
    client = cloud.client("sagemaker")
    client.create_model_package_group(ModelPackageGroupName="Churn", Tags=[{"Key": "team", "Value": "a"}])
    return client


def register(client: Any, **changes: Any) -> str:
    """The ARN of a new version of Churn."""
    container = {"Image": IMAGE, "ModelDataUrl": DATA, "Environment": {"NAME": "registered"}}
    specification = {"Containers": [container], "SupportedContentTypes": ["application/json"]}
    request = {"ModelPackageGroupName": "Churn", "InferenceSpecification": specification, **changes}
    return str(client.create_model_package(**request)["ModelPackageArn"])


def refusal(call: Any, **request: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**request)
    return str(caught.value.response["Error"]["Message"])


def create(client: Any, arn: str, **container: Any) -> None:
    client.create_model(
        ModelName="churn", PrimaryContainer={"ModelPackageName": arn, **container}, ExecutionRoleArn=ROLE
    )


def test_versions_are_counted_in_their_group_and_wait_for_approval(registry: Any) -> None:
    assert [register(registry), register(registry)] == [f"{ARN}/churn/1", f"{ARN}/churn/2"]
    described = registry.describe_model_package(ModelPackageName=f"{ARN}/churn/2")
    assert (described["ModelPackageGroupName"], described["ModelPackageVersion"]) == ("Churn", 2)
    assert (described["ModelPackageStatus"], described["ModelApprovalStatus"]) == ("Completed", "PendingManualApproval")
    assert registry.list_tags(ResourceArn=f"{ARN}-group/churn")["Tags"] == [{"Key": "team", "Value": "a"}]


def test_a_call_that_is_tried_again_makes_no_second_version(registry: Any) -> None:
    first = register(registry, ClientToken="one-and-the-same-call-of-36-letters")
    assert register(registry, ClientToken="one-and-the-same-call-of-36-letters") == first
    assert register(registry) == f"{ARN}/churn/2"


def test_only_an_approved_version_becomes_a_model(cloud: Cloud, registry: Any) -> None:
    cloud.memory.objects["registry", "churn.tar.gz"] = program(ECHO)
    arn = register(registry)
    said = "has the approval status {}, and only one that is Approved can be deployed."
    assert refusal(create, client=registry, arn=arn) == f"Model package {arn} {said.format('PendingManualApproval')}"
    registry.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Rejected", ApprovalDescription="too old")
    assert refusal(create, client=registry, arn=arn) == f"Model package {arn} {said.format('Rejected')}"
    registry.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")
    create(registry, arn)
    assert registry.describe_model(ModelName="churn")["PrimaryContainer"] == {"ModelPackageName": arn}


def test_a_model_of_a_version_serves_its_container_and_data_with_the_models_own_variables_over_it(
    cloud: Cloud, registry: Any
) -> None:
    cloud.memory.objects["registry", "churn.tar.gz"] = program(ECHO)
    arn = register(registry, ModelApprovalStatus="Approved")
    create(registry, arn, Environment={"NAME": "deployed"})
    cloud.put_config("churn", {"ModelName": "churn"})
    assert cloud.put_endpoint("churn", "churn")["EndpointStatus"] == "InService"
    answer = cloud.client("sagemaker-runtime").invoke_endpoint(
        EndpointName="churn", Body="[1]", ContentType="application/json"
    )
    assert json.loads(answer["Body"].read()) == {"model": "deployed", "data": [1]}


def test_versions_are_there_again_after_the_end_of_the_process(cloud: Cloud, registry: Any) -> None:
    arn = register(registry)
    known = json.loads(json.dumps(kept.dump(cloud.sagemaker)))
    with another_cloud() as later:
        later.run(kept.restore(later.sagemaker, known))
        client = later.client("sagemaker")
        assert client.describe_model_package(ModelPackageName=arn)["ModelPackageVersion"] == 1
        assert register(client) == f"{ARN}/churn/2"


def test_the_models_role_has_to_be_able_to_read_what_the_version_names(cloud: Cloud, registry: Any) -> None:
    cloud.memory.objects["registry", "churn.tar.gz"] = program(ECHO)
    cloud.memory.forbidden.add((ROLE, "s3:GetObject"))
    arn = register(registry, ModelApprovalStatus="Approved")
    assert refusal(create, client=registry, arn=arn).startswith(f"Could not access model data at {DATA}.")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"ModelPackageGroupName": "None"}, f"ModelPackageGroup {ARN}-group/none does not exist."),
        ({"ModelPackageName": "churn"}, "CreateModelPackage.ModelPackageName is valid in AWS, but"),
        ({"SkipModelValidation": "None"}, "CreateModelPackage.SkipModelValidation is valid in AWS, but"),
        (
            {"InferenceSpecification": {"Containers": [{"Image": IMAGE}, {"Image": IMAGE}]}},
            "A model package of several Containers (an inference pipeline) is valid in AWS, but",
        ),
        (
            {"InferenceSpecification": {"Containers": [{"Image": IMAGE, "ProductId": "p"}]}},
            "ModelPackageContainerDefinition.ProductId is valid in AWS, but",
        ),
    ],
)
def test_what_is_not_served_of_a_registry_is_refused_by_name(registry: Any, changes: Any, reason: str) -> None:
    assert refusal(register, client=registry, **changes).startswith(reason)


def test_what_is_not_there_and_what_contradicts_a_package_is_refused(registry: Any) -> None:
    arn = register(registry, ModelApprovalStatus="Approved")
    assert refusal(create, client=registry, arn=f"{ARN}/churn/9") == f"ModelPackage {ARN}/churn/9 does not exist."
    assert refusal(create, client=registry, arn=arn, Image=IMAGE) == (
        "A container of a model package cannot have an Image or model data of its own."
    )
    assert refusal(registry.create_model_package_group, ModelPackageGroupName="churn") == (
        f"Model Package Group already exists: {ARN}-group/churn"
    )
