"""SageMaker in the running embedded AWS: stacks of endpoints, real S3, IAM and CloudFormation around them."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local import ministack
from local import sagemaker as sagemaker_here
from tests.local.sagemaker.around import ECHO, IMAGE, MODEL, program, sample_model
from tests.local_aws import LocalAws

FAILING = program(ECHO.replace("return json.dumps(prediction), accept", "raise ValueError"))
BROKEN = program("def model_fn(model_dir): raise RuntimeError('weights are missing')")
PRINCIPAL = "sagemaker.amazonaws.com"
ROW = json.loads((MODEL / "weights.json").read_text())["mean"]


@pytest.fixture(scope="module")
def bucket(aws: LocalAws) -> str:
    s3 = aws.client("s3")
    s3.create_bucket(Bucket="sagemaker-models")
    for key, data in {"sample": sample_model(), "echo": program(ECHO), "broken": BROKEN, "failing": FAILING}.items():
        s3.put_object(Bucket="sagemaker-models", Key=f"{key}.tar.gz", Body=data)
    return "sagemaker-models"


def template(bucket: str, key: str) -> dict[str, Any]:
    """The stack of one endpoint that reads its model from the bucket, with its role and its scaling."""
    trust = {"Effect": "Allow", "Principal": {"Service": PRINCIPAL}, "Action": "sts:AssumeRole"}
    read = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": {"Fn::GetAtt": ["Model", "ModelName"]},
        "InitialInstanceCount": 1,
        "InstanceType": "ml.m5.large",
    }
    resource_id = {"Fn::Sub": "endpoint/${Endpoint.EndpointName}/variant/AllTraffic"}
    resources: dict[str, tuple[str, dict[str, Any]]] = {
        "Role": (
            "AWS::IAM::Role",
            {
                "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]},
                "Policies": [{"PolicyName": "read", "PolicyDocument": {"Version": "2012-10-17", "Statement": [read]}}],
            },
        ),
        "Model": (
            "AWS::SageMaker::Model",
            {
                "ExecutionRoleArn": {"Fn::GetAtt": ["Role", "Arn"]},
                "PrimaryContainer": {"Image": IMAGE, "ModelDataUrl": f"s3://{bucket}/{key}.tar.gz"},
            },
        ),
        "Config": ("AWS::SageMaker::EndpointConfig", {"ProductionVariants": [variant]}),
        "Endpoint": (
            "AWS::SageMaker::Endpoint",
            {"EndpointConfigName": {"Fn::GetAtt": ["Config", "EndpointConfigName"]}},
        ),
        "Target": (
            "AWS::ApplicationAutoScaling::ScalableTarget",
            {
                "ServiceNamespace": "sagemaker",
                "ResourceId": resource_id,
                "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
                "MinCapacity": 1,
                "MaxCapacity": 2,
            },
        ),
        "Policy": (
            "AWS::ApplicationAutoScaling::ScalingPolicy",
            {
                "PolicyName": "track",
                "PolicyType": "TargetTrackingScaling",
                "ScalingTargetId": {"Ref": "Target"},
                "TargetTrackingScalingPolicyConfiguration": {
                    "TargetValue": 70,
                    "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
                },
            },
        ),
    }
    return {
        "Resources": {name: {"Type": kind, "Properties": of} for name, (kind, of) in resources.items()},
        "Outputs": {
            "Name": {"Value": {"Fn::GetAtt": ["Endpoint", "EndpointName"]}},
            "Arn": {"Value": {"Ref": "Endpoint"}},
        },
    }


def deploy(aws: LocalAws, stack: str, body: dict[str, Any], *, update: bool = False) -> dict[str, Any]:
    """The stack as described once it is done; `reasons` are the texts of the resources that failed."""
    cloudformation = aws.client("cloudformation")
    call = cloudformation.update_stack if update else cloudformation.create_stack
    call(StackName=stack, TemplateBody=json.dumps(body), Capabilities=["CAPABILITY_IAM"])
    while True:
        described: dict[str, Any] = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]
        if not described["StackStatus"].endswith("IN_PROGRESS"):
            break
    events = cloudformation.describe_stack_events(StackName=stack)["StackEvents"]
    described["reasons"] = [
        event.get("ResourceStatusReason", "") for event in events if event["ResourceStatus"].endswith("FAILED")
    ]
    described["outputs"] = {output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", [])}
    return described


def endpoints(aws: LocalAws, stack: str) -> list[str]:
    listed = aws.client("sagemaker").list_endpoints(NameContains=stack)["Endpoints"]
    return [entry["EndpointName"] for entry in listed]


def policies(aws: LocalAws, endpoint: str) -> list[str]:
    scaling, resource = aws.client("application-autoscaling"), f"endpoint/{endpoint}/variant/AllTraffic"
    found = scaling.describe_scaling_policies(ServiceNamespace="sagemaker", ResourceId=resource)
    return [policy["PolicyName"] for policy in found["ScalingPolicies"]]


def test_a_stack_with_an_endpoint_lives_is_updated_and_goes(aws: LocalAws, bucket: str) -> None:
    runtime = aws.client("sagemaker-runtime")

    stack = deploy(aws, "Serving", template(bucket, "sample"))
    assert stack["StackStatus"] == "CREATE_COMPLETE", stack["reasons"]
    name = stack["outputs"]["Name"]
    assert stack["outputs"]["Arn"].endswith(f":endpoint/{name.lower()}")
    body = json.dumps({"instances": [ROW]})
    response = runtime.invoke_endpoint(EndpointName=name, ContentType="application/json", Body=body)
    assert json.loads(response["Body"].read())["predictions"][0]["label"] in ("benign", "malignant")
    assert policies(aws, name) == ["track"]

    broken = deploy(aws, "Serving", template(bucket, "broken"), update=True)
    assert broken["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert any("RuntimeError: weights are missing" in reason for reason in broken["reasons"])
    assert runtime.invoke_endpoint(EndpointName=name, ContentType="application/json", Body=body)

    changed = deploy(aws, "Serving", template(bucket, "echo"), update=True)
    assert changed["StackStatus"] == "UPDATE_COMPLETE", changed["reasons"]
    assert changed["outputs"]["Name"] == name
    assert runtime.invoke_endpoint(EndpointName=name, Body=b"1")["Body"].read() == b'{"model": "a", "data": 1}'
    assert len(aws.client("sagemaker").list_models(NameContains="Serving")["Models"]) == 1

    aws.client("cloudformation").delete_stack(StackName="Serving")
    aws.client("cloudformation").get_waiter("stack_delete_complete").wait(
        StackName="Serving", WaiterConfig={"Delay": 1}
    )
    assert endpoints(aws, "Serving") == policies(aws, name) == []


def test_a_stack_whose_model_does_not_load_rolls_back_with_the_servers_error(aws: LocalAws, bucket: str) -> None:
    stack = deploy(aws, "Failing", template(bucket, "broken"))

    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    assert any("RuntimeError: weights are missing" in reason for reason in stack["reasons"])
    assert endpoints(aws, "Failing") == []


def test_a_stack_whose_role_cannot_read_the_model_rolls_back(aws: LocalAws, bucket: str) -> None:
    body = template(bucket, "sample")
    del body["Resources"]["Role"]["Properties"]["Policies"]

    stack = deploy(aws, "Forbidden", body)

    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    assert any("Could not access model data" in reason for reason in stack["reasons"])


def test_a_role_without_the_grant_cannot_invoke(aws: LocalAws) -> None:
    sts = aws.client("sts")
    account = sts.get_caller_identity()["Account"]
    aws.role("no-grants", "states.amazonaws.com")
    arn = aws.client("iam").get_role(RoleName="no-grants")["Role"]["Arn"]
    machine = f"arn:aws:states:us-east-1:{account}:stateMachine:any"
    session = ministack.role_session(arn, "test", service="states.amazonaws.com", source_arn=machine)
    runtime = aws.client("sagemaker-runtime", key=session.access_key, secret=session.secret_key, token=session.token)

    with pytest.raises(ClientError) as caught:
        runtime.invoke_endpoint(EndpointName="Some", Body=b"")

    error = caught.value.response["Error"]
    assert error["Code"] == "AccessDeniedException"
    assert error["Message"] == (
        f"User: arn:aws:sts::{account}:assumed-role/no-grants/test is not authorized to perform: "
        f"sagemaker:InvokeEndpoint on resource: arn:aws:sagemaker:us-east-1:{account}:endpoint/some "
        "because no identity-based policy allows the sagemaker:InvokeEndpoint action"
    )


def watched(bucket: str, key: str) -> dict[str, Any]:
    """The stack of an endpoint whose updates an alarm on its errors takes back."""
    body = template(bucket, key)
    alarm = {"Fn::Sub": "${AWS::StackName}-errors"}  # by its name: the alarm needs the endpoint's, not the other way
    described = {"Fn::Sub": "arn:aws:cloudwatch:${AWS::Region}:${AWS::AccountId}:alarm:${AWS::StackName}-errors"}
    look = {"Effect": "Allow", "Action": "cloudwatch:DescribeAlarms", "Resource": described}
    body["Resources"]["Role"]["Properties"]["Policies"].append(
        {"PolicyName": "look", "PolicyDocument": {"Version": "2012-10-17", "Statement": [look]}}
    )
    routing = {"Type": "CANARY", "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 50}, "WaitIntervalInSeconds": 5}
    body["Resources"]["Endpoint"]["Properties"]["DeploymentConfig"] = {
        "BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing},
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": alarm}]},
    }
    dimensions = [
        {"Name": "EndpointName", "Value": {"Fn::GetAtt": ["Endpoint", "EndpointName"]}},
        {"Name": "VariantName", "Value": "AllTraffic"},
    ]
    body["Resources"]["Alarm"] = {
        "Type": "AWS::CloudWatch::Alarm",
        "Properties": {
            "AlarmName": alarm,
            "Namespace": "AWS/SageMaker",
            "MetricName": "Invocation5XXErrors",
            "Dimensions": dimensions,
            "Statistic": "Average",
            "Period": 60,
            "EvaluationPeriods": 1,
            "Threshold": 0.1,
            "ComparisonOperator": "GreaterThanThreshold",
        },
    }
    return body


def test_a_model_that_starts_failing_is_taken_back_by_its_alarm_and_so_is_the_stack(
    aws: LocalAws, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whatever else of the session shortens waits: an alarm needs the time to ring.
    assert sagemaker_here._installed
    monkeypatch.setattr(sagemaker_here._installed.endpoints._clock, "scale", 1.0)
    name = deploy(aws, "watched", watched(bucket, "echo"))["outputs"]["Name"]
    runtime, sagemaker = aws.client("sagemaker-runtime"), aws.client("sagemaker")
    before = sagemaker.describe_endpoint(EndpointName=name)["EndpointConfigName"]
    served: list[bool] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            try:
                runtime.invoke_endpoint(EndpointName=name, Body=b"1", ContentType="application/json")
                served.append(True)
            except ClientError:
                served.append(False)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        described = deploy(aws, "watched", watched(bucket, "failing"), update=True)
    finally:
        stop.set()
        asking.join()
    assert described["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert any("these alarms are in the ALARM state: watched-errors" in reason for reason in described["reasons"])
    assert False in served
    endpoint = sagemaker.describe_endpoint(EndpointName=name)
    assert (endpoint["EndpointStatus"], endpoint["EndpointConfigName"]) == ("InService", before)
    answers = [runtime.invoke_endpoint(EndpointName=name, Body=b"1", ContentType="application/json") for _ in range(4)]
    assert all(answer["ResponseMetadata"]["HTTPStatusCode"] == 200 for answer in answers)
