"""What a person does to running stacks with the CDK CLI: try changes out, deploy a broken model, destroy all of it.

In this order, and after all other tests: each changes what they share.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.e2e.deployment import Deployment
from tests.synthesis import ROOT

REQUEST = json.loads((ROOT / "examples" / "request.json").read_text())


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the app to edit. What was built before is shared: its folders are named after their content."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("stacks", "lambda_src", "model"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("app.py", "cdk.json"):
        shutil.copyfile(ROOT / name, folder / name)
    (folder / "build").symlink_to(ROOT / "build")
    return folder


def test_cdk_diff_shows_nothing_where_nothing_was_changed(deployment: Deployment, project: Path) -> None:
    shown = deployment.cdk("diff", project=project)
    assert "Number of stacks with differences: 0" in shown.stdout, shown.stdout


def test_cdk_diff_shows_that_a_new_version_of_the_model_makes_a_new_model_and_configuration_alone(
    deployment: Deployment, project: Path
) -> None:
    weights = project / "model" / "weights.json"
    whole = weights.read_text()
    weights.write_text(f"{whole} ")

    shown = deployment.cdk("diff", "InferenceStack", project=project)

    weights.write_text(whole)
    assert shown.returncode == 0, shown.stdout
    changes = re.findall(r"^\[(.)\] AWS::(\S+) .*?(may be replaced|replace)?$", shown.stdout, re.M)
    assert {change for change, _, _ in changes} == {"~"}
    assert {kind for _, kind, replaced in changes if replaced} == {
        "IAM::Policy",  # of the model's role, which may read this archive alone
        "SageMaker::Model",
        "SageMaker::EndpointConfig",
    }


def test_an_edited_handler_and_an_edited_workflow_are_hotswapped(deployment: Deployment, project: Path) -> None:
    handler = project / "lambda_src" / "preprocess.py"
    handler.write_text(f"{handler.read_text()}\n\ndef handler(event, context):\n    raise TypeError('edited')\n")
    failures = project / "stacks" / "constructs" / "states" / "failures.py"
    text = failures.read_text()
    assert "'{step}: '" in text
    failures.write_text(text.replace("'{step}: '", "'in {step}: '"))

    done = deployment.cdk("deploy", "MlWorkflowStack", "--hotswap", project=project)

    assert done.returncode == 0, done.stdout
    execution = deployment.execute("MlWorkflowStack", REQUEST)
    assert execution.error == "TypeError"
    assert execution.cause.startswith("in Preprocess: ")


def test_a_workflow_that_could_not_run_is_not_hotswapped(deployment: Deployment) -> None:
    control = deployment.client("cloudcontrol")
    machine = deployment.outputs["MlWorkflowStack"]["StateMachineArn"]
    definition = json.dumps({"QueryLanguage": "JSONata", "StartAt": "Nowhere", "States": {}})
    patch = json.dumps([{"op": "replace", "path": "/DefinitionString", "value": definition}])

    with pytest.raises(ClientError, match=r"InvalidRequestException.*SCHEMA_VALIDATION_FAILED"):
        control.update_resource(TypeName="AWS::StepFunctions::StateMachine", Identifier=machine, PatchDocument=patch)
    with pytest.raises(ClientError, match="The embedded AWS does not serve UpdateResource of AWS::SQS::Queue"):
        control.update_resource(TypeName="AWS::SQS::Queue", Identifier="queue", PatchDocument="[]")


def test_a_model_that_does_not_load_rolls_the_stack_back_with_the_servers_last_error(
    deployment: Deployment, project: Path
) -> None:
    code = project / "model" / "inference.py"
    whole = code.read_text()
    code.write_text(f"{whole}\n\ndef model_fn(model_dir):\n    raise FileNotFoundError('no weights in the archive')\n")

    done = deployment.cdk("deploy", "InferenceStack", "--require-approval", "never", project=project)

    code.write_text(whole)
    assert done.returncode == 1
    assert "FileNotFoundError: no weights in the archive" in done.stdout
    cloudformation = deployment.client("cloudformation")
    (stack,) = cloudformation.describe_stacks(StackName="InferenceStack")["Stacks"]
    assert stack["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    events = cloudformation.describe_stack_events(StackName="InferenceStack")["StackEvents"]
    failed = [
        it for it in events if it["ResourceType"] == "AWS::SageMaker::Endpoint" and "FAILED" in it["ResourceStatus"]
    ]
    assert [it["ResourceStatusReason"] for it in failed] == [
        "The primary container for production variant AllTraffic did not pass the ping health check: "
        "FileNotFoundError: no weights in the archive"
    ]
    # What served before goes on serving, and nothing of the attempt is left.
    assert deployment.execute("InferenceStack", REQUEST).output["predicted"] == len(REQUEST["records"])
    sagemaker = deployment.client("sagemaker")
    assert len(sagemaker.list_models()["Models"]) == len(sagemaker.list_endpoint_configs()["EndpointConfigs"]) == 1


def test_destroy_keeps_a_bucket_with_results_and_else_leaves_nothing(deployment: Deployment) -> None:
    bucket = deployment.outputs["InferenceStack"]["ResultsBucketUri"].removeprefix("s3://")
    refused = deployment.cdk("destroy", "--all", "--force", "--app", str(deployment.assembly.folder))
    assert refused.returncode == 1
    assert "The bucket you tried to delete is not empty. You must delete all versions" in refused.stdout
    assert bucket in buckets(deployment)

    for name in buckets(deployment):
        empty(deployment, name)
    done = deployment.cdk("destroy", "--all", "--force", "--app", str(deployment.assembly.folder))

    assert done.returncode == 0, done.stdout
    assert left(deployment) == {}


def buckets(deployment: Deployment) -> set[str]:
    """All but the CDK's own."""
    names = {it["Name"] for it in deployment.client("s3").list_buckets()["Buckets"]}
    return {name for name in names if not name.startswith("cdk-")}


def empty(deployment: Deployment, bucket: str) -> None:
    s3 = deployment.client("s3")
    # All pages first: MiniStack loses its place in a list when the version that ended a page is gone.
    for page in list(s3.get_paginator("list_object_versions").paginate(Bucket=bucket)):
        found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        keys = [{"Key": it["Key"], "VersionId": it["VersionId"]} for it in found]
        if plain := [it for it in keys if it["Key"].isprintable()]:
            s3.delete_objects(Bucket=bucket, Delete={"Objects": plain, "Quiet": True})
        for it in keys:
            if not it["Key"].isprintable():  # XML, which the other call speaks, has no control characters
                s3.delete_object(Bucket=bucket, **it)


def left(deployment: Deployment) -> dict[str, Any]:
    """Everything that is still there, but for what `cdk bootstrap` has made."""
    client = deployment.client
    found = {
        "stacks": [it["StackName"] for it in client("cloudformation").describe_stacks()["Stacks"]],
        "functions": client("lambda").list_functions()["Functions"],
        "machines": client("stepfunctions").list_state_machines()["stateMachines"],
        "models": client("sagemaker").list_models()["Models"],
        "configurations": client("sagemaker").list_endpoint_configs()["EndpointConfigs"],
        "endpoints": client("sagemaker").list_endpoints()["Endpoints"],
        "roles": [it["RoleName"] for it in client("iam").list_roles()["Roles"]],
        "buckets": buckets(deployment),
        "logs": [
            it["logGroupName"]
            for it in client("logs").describe_log_groups()["logGroups"]
            # As in AWS, SageMaker's own log of an endpoint outlives it.
            if not it["logGroupName"].startswith("/aws/sagemaker/")
        ],
    }
    own = {"stacks": {"CDKToolkit"}, "roles": {name for name in found["roles"] if name.startswith("cdk-")}}
    return {
        kind: rest for kind, names in found.items() if (rest := [it for it in names if it not in own.get(kind, ())])
    }
