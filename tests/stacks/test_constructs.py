"""Constructs outside the stacks: another image, another region, grants."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_iam as iam

from stacks.constructs.data_bucket import DataBucket
from stacks.constructs.endpoint.realtime_endpoint import RealtimeEndpoint
from stacks.constructs.guard.protection import protection
from stacks.constructs.model.model_source import model_source
from stacks.constructs.model.served_model import ServedModel
from stacks.constructs.states.failures import check_order
from stacks.settings import InvalidSettings, Settings
from tests.synthesis import ROOT, Stack

IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/team/model:1"
PACKAGE = "arn:aws:sagemaker:us-east-1:123456789012:model-package/churn/3"


def actions(statements: list[dict[str, Any]]) -> list[str]:
    return [
        it for each in statements for it in ([each["Action"]] if isinstance(each["Action"], str) else each["Action"])
    ]


def stack(tmp_path: Path, region: str) -> cdk.Stack:
    context = json.loads((ROOT / "cdk.json").read_text())["context"]
    app = cdk.App(context=context, outdir=str(tmp_path / "cdk.out"))
    return cdk.Stack(app, "Stack", env=cdk.Environment(region=region))


def synthesized(made: cdk.Stack) -> Stack:
    assembly = cdk.App.of(made).synth()  # type: ignore[union-attr]  # a stack of ours always has an app
    return Stack(assembly.get_stack_by_name("Stack").template)


def endpoint(made: cdk.Stack, settings: Settings) -> RealtimeEndpoint:
    guarded = protection(made, settings)
    model = ServedModel(made, "Model", source=model_source(settings), settings=settings, protection=guarded)
    data = DataBucket(made, "Captured", settings=settings, protection=guarded)
    return RealtimeEndpoint(made, "Realtime", model=model, data=data, settings=settings, protection=guarded)


@pytest.mark.parametrize("version", [":1.0", f"@sha256:{'0123456789abcdef' * 4}"])
def test_an_image_of_ones_own_is_pulled_from_its_own_repository(tmp_path: Path, version: str) -> None:
    made = stack(tmp_path, "us-east-1")
    image = f"123456789012.dkr.ecr.us-east-1.amazonaws.com/team/model{version}"
    endpoint(made, Settings(stage="test", model_image=image))
    template = synthesized(made)
    assert template.resources["Model"]["Properties"]["PrimaryContainer"]["Image"] == image
    assert template.statements("ModelRole")[0]["Resource"] == (
        "arn:aws:ecr:us-east-1:123456789012:repository/team/model"
    )


def test_the_image_comes_from_the_stages_own_region(tmp_path: Path) -> None:
    made = stack(tmp_path, "eu-west-1")
    endpoint(made, Settings(stage="test", region="eu-west-1"))
    container = synthesized(made).resources["Model"]["Properties"]["PrimaryContainer"]
    assert container["Image"].startswith("763104351884.dkr.ecr.eu-west-1.amazonaws.com/pytorch-inference:")


def test_a_framework_stands_for_awss_container_of_the_region(tmp_path: Path) -> None:
    made = stack(tmp_path, "eu-west-1")
    endpoint(made, Settings(stage="test", region="eu-west-1", model_framework="sklearn"))
    template = synthesized(made)
    container = template.resources["Model"]["Properties"]["PrimaryContainer"]
    assert container["Image"] == (
        "141502667606.dkr.ecr.eu-west-1.amazonaws.com/sagemaker-scikit-learn:1.4-2-py312-cpu-py3"
    )
    assert template.statements("ModelRole")[0]["Resource"] == (
        "arn:aws:ecr:eu-west-1:141502667606:repository/sagemaker-scikit-learn"
    )


def test_an_image_without_an_archive_brings_its_own_model(tmp_path: Path) -> None:
    made = stack(tmp_path, "us-east-1")
    endpoint(made, Settings(stage="test", model_image=IMAGE))
    template = synthesized(made)
    assert template.resources["Model"]["Properties"]["PrimaryContainer"] == {
        "Image": IMAGE,
        "Environment": {"MODEL_VERSION": "1"},
    }
    assert "s3:GetObject" not in actions(template.statements("ModelRole"))


def test_a_package_is_named_and_what_the_settings_say_of_it_is_granted(tmp_path: Path) -> None:
    made = stack(tmp_path, "us-east-1")
    settings = Settings(
        stage="test",
        model_package_arn=PACKAGE,
        model_package_data="s3://models/churn/3.tar.gz",
        model_package_image=IMAGE,
    )
    endpoint(made, settings)
    template = synthesized(made)
    assert template.resources["Model"]["Properties"]["PrimaryContainer"] == {
        "ModelPackageName": PACKAGE,
        "Environment": {"MODEL_VERSION": "churn/3"},
    }
    resources = {action: it["Resource"] for it in template.statements("ModelRole") for action in actions([it])}
    assert resources["s3:GetObject"] == "arn:aws:s3:::models/churn/3.tar.gz"
    assert resources["ecr:BatchGetImage"] == "arn:aws:ecr:us-east-1:123456789012:repository/team/model"


def test_a_package_of_which_nothing_is_said_gets_no_grants(tmp_path: Path) -> None:
    made = stack(tmp_path, "us-east-1")
    endpoint(made, Settings(stage="test", model_package_arn=PACKAGE))
    assert not {it for it in actions(synthesized(made).statements("ModelRole")) if it.startswith(("s3:", "ecr:"))}


def test_what_a_container_without_a_network_would_have_to_install_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "own" / "code").mkdir(parents=True)
    (tmp_path / "own" / "code" / "inference.py").touch()
    (tmp_path / "own" / "code" / "requirements.txt").write_text("# the model's\njoblib\nlightgbm==4.6.0\n")
    settings = Settings(stage="test", model_archive=str(tmp_path / "own"))
    construct = endpoint(stack(tmp_path, "us-east-1"), settings)
    (said,) = [it for it in construct.model.model.node.metadata if it.type == "aws:cdk:warning"]
    assert said.data.startswith(
        "model_archive: code/requirements.txt asks for joblib, lightgbm==4.6.0; the container has no network"
    )


def test_a_region_without_deep_learning_containers_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="received us-atlantis-1"):
        endpoint(stack(tmp_path, "us-atlantis-1"), Settings(stage="test", region="us-atlantis-1"))


def test_instances_with_disks_of_their_own_get_no_key_for_them_and_synth_says_so(tmp_path: Path) -> None:
    made = stack(tmp_path, "us-east-1")
    settings = Settings(stage="test", customer_key=True, model_instance_type="ml.g5.xlarge")
    construct = endpoint(made, settings)
    (config,) = synthesized(made).of_type("AWS::SageMaker::EndpointConfig").values()
    assert "KmsKeyId" not in config
    (said,) = [it for it in construct.model.node.metadata if it.type == "aws:cdk:info"]
    assert said.data.startswith("model_instance_type: ml.g5.xlarge has disks of its own, which its hardware encrypts")


def test_grant_invoke_allows_the_one_action_on_the_one_endpoint(tmp_path: Path) -> None:
    made = stack(tmp_path, "us-east-1")
    caller = iam.Role(made, "Caller", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
    endpoint(made, Settings(stage="test")).grant_invoke(caller)
    assert synthesized(made).statements("Caller") == [
        {"Effect": "Allow", "Action": "sagemaker:InvokeEndpoint", "Resource": "<RealtimeEndpoint>"}
    ]


def test_grant_store_allows_no_more_than_its_prefix(tmp_path: Path) -> None:
    made = stack(tmp_path, "us-east-1")
    caller = iam.Role(made, "Caller", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
    settings = Settings(stage="test")
    DataBucket(made, "Data", settings=settings, protection=protection(made, settings)).grant_store(caller, "jobs/*")
    (statement,) = synthesized(made).statements("Caller")
    assert statement["Resource"] == "<DataBucket.Arn>/jobs/*"
    assert statement["Action"] == ["s3:GetObject", "s3:PutObject"]


@pytest.mark.parametrize(
    ("lists", "received"),
    [
        ([["States.ALL"], ["States.Timeout"]], "['States.ALL'] as list 1 of 2"),
        ([["States.Timeout", "States.ALL"]], "['States.Timeout', 'States.ALL'] as list 1 of 1"),
    ],
)
def test_retries_with_all_errors_anywhere_but_last_are_refused(lists: list[list[str]], received: str) -> None:
    with pytest.raises(InvalidSettings) as refused:
        check_order(lists)
    assert str(refused.value) == f"retries: expected States.ALL alone and in the last list, received {received}"
    check_order([["States.Timeout"], ["States.ALL"]])
