"""Requests against botocore's models: AWS's words for what is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from local.sagemaker.errors import AwsError
from local.sagemaker.shapes import check, coerce, input_shape

VARIANT = {"VariantName": "v", "ModelName": "m", "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}


def config(**changes: Any) -> dict[str, Any]:
    return {"EndpointConfigName": "c", "ProductionVariants": [{**VARIANT, **changes}]}


def refusal(action: str, document: Any) -> AwsError:
    with pytest.raises(AwsError) as caught:
        check(input_shape("sagemaker", action), document)
    return caught.value


def test_a_whole_request_passes() -> None:
    check(input_shape("sagemaker", "CreateEndpointConfig"), config(InitialVariantWeight=1))


def test_a_bad_name_is_refused_in_awss_words() -> None:
    error = refusal("CreateEndpointConfig", config(ModelName="ENTER MODEL NAME"))

    assert error.code == "ValidationException"
    # Recorded: https://github.com/aws/amazon-sagemaker-examples/issues/2236 (AWS's pattern has changed since)
    assert error.message.startswith(
        "1 validation error detected: Value 'ENTER MODEL NAME' at 'productionVariants.1.member.modelName' failed "
        "to satisfy constraint: Member must satisfy regular expression pattern: "
    )


@pytest.mark.parametrize(
    ("action", "document", "words"),
    [
        ("CreateModel", {}, "Value null at 'modelName' failed to satisfy constraint: Member must not be null"),
        ("CreateModel", {"ModelName": "m" * 64}, "Member must have length less than or equal to 63"),
        ("CreateEndpointConfig", config(InstanceType="ml.x"), "Member must satisfy enum value set: [ml.t2.medium"),
        ("CreateEndpointConfig", config(InitialVariantWeight=-1), "Member must have value greater than or equal to 0"),
        (
            "CreateEndpointConfig",
            {"EndpointConfigName": "c", "ProductionVariants": []},
            "Member must have length greater than or equal to 1",
        ),
        ("ListEndpoints", {"MaxResults": 101}, "Member must have value less than or equal to 100"),
        ("CreateModel", {"ModelNmae": "m", "ModelName": "m"}, "Unknown field 'modelNmae'"),
    ],
)
def test_each_constraint_has_its_words(action: str, document: Any, words: str) -> None:
    error = refusal(action, document)

    assert error.code == "ValidationException"
    assert words in error.message


def test_all_the_problems_are_in_one_message() -> None:
    error = refusal("CreateEndpoint", {"EndpointName": "-"})

    assert error.message.startswith("2 validation errors detected: ")


@pytest.mark.parametrize(
    ("action", "document"),
    [
        ("CreateModel", []),
        ("CreateModel", {"ModelName": 7}),
        ("CreateModel", {"ModelName": "m", "EnableNetworkIsolation": "yes"}),
        ("CreateEndpointConfig", config(InitialInstanceCount=1.5)),
        ("CreateEndpointConfig", config(InitialInstanceCount=True)),
        ("CreateEndpointConfig", {"EndpointConfigName": "c", "ProductionVariants": {}}),
        ("CreateModel", {"ModelName": "m", "PrimaryContainer": {"Environment": []}}),
    ],
)
def test_a_wrong_type_is_a_serialization_exception(action: str, document: Any) -> None:
    assert refusal(action, document).code == "SerializationException"


def test_text_of_a_template_becomes_the_number_or_truth_value_that_the_api_takes() -> None:
    given = config(InitialInstanceCount="2", InitialVariantWeight="0.5", EnableSSMAccess="true")

    taken = coerce(input_shape("sagemaker", "CreateEndpointConfig"), given)

    assert taken == config(InitialInstanceCount=2, InitialVariantWeight=0.5, EnableSSMAccess=True)


def test_numbers_in_an_environment_become_text() -> None:
    model = {"ModelName": "m", "PrimaryContainer": {"Environment": {"WORKERS": 2, "DEBUG": True}}}

    taken = coerce(input_shape("sagemaker", "CreateModel"), model)

    assert taken["PrimaryContainer"]["Environment"] == {"WORKERS": "2", "DEBUG": "true"}


def test_text_that_is_no_number_is_left_for_the_check() -> None:
    shape = input_shape("sagemaker", "CreateEndpointConfig")

    assert coerce(shape, config(InitialInstanceCount="two")) == config(InitialInstanceCount="two")
