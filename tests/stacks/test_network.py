"""The network by choice: private subnets in two zones, no way to the internet, and only what has to be let through."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.roles import roles_of
from tests.synthesis import STACKS, VARIANTS, Assembly, Stack

SUBNETS = ["<NetworkVpcPrivateSubnet1Subnet>", "<NetworkVpcPrivateSubnet2Subnet>"]
HERE = {"StringEquals": {"aws:PrincipalAccount": "<AWS::AccountId>"}}
EC2 = "arn:aws:ec2:us-east-1:<AWS::AccountId>"
OUT = {
    "CidrIp": "0.0.0.0/0",
    "Description": "HTTPS to endpoints of AWS",
    "IpProtocol": "tcp",
    "FromPort": 443,
    "ToPort": 443,
}


@pytest.fixture(params=STACKS)
def stack(request: pytest.FixtureRequest, synthesized: Callable[[str], Assembly]) -> Stack:
    return synthesized("prod-vpc").stacks[request.param]


def through(action: str | list[str], resource: str) -> dict[str, Any]:
    """What an endpoint's policy lets through."""
    principal = {"AWS": "*"}
    return {
        "Effect": "Allow",
        "Principal": principal,
        "Action": action,
        "Resource": resource,
        "Condition": HERE,
    }


def test_there_are_two_zones_and_no_way_to_the_internet(stack: Stack) -> None:
    subnets = stack.of_type("AWS::EC2::Subnet").values()
    assert [it["AvailabilityZone"] for it in subnets] == [{"Fn::Select": [zone, {"Fn::GetAZs": ""}]} for zone in (0, 1)]
    assert not any(it["MapPublicIpOnLaunch"] for it in subnets)
    for kind in ("InternetGateway", "EgressOnlyInternetGateway", "NatGateway", "Route", "EIP"):
        assert stack.of_type(f"AWS::EC2::{kind}") == {}


def test_every_function_and_the_model_are_in_it(stack: Stack) -> None:
    functions = stack.of_type("AWS::Lambda::Function").values()
    for function in functions:
        group = "<NetworkFunctions.GroupId>"
        assert function["VpcConfig"] == {"SecurityGroupIds": [group], "SubnetIds": SUBNETS}
    for model in stack.of_type("AWS::SageMaker::Model").values():
        assert model["VpcConfig"] == {"SecurityGroupIds": ["<NetworkModel.GroupId>"], "Subnets": SUBNETS}
        assert model["EnableNetworkIsolation"] is True


def test_s3_lets_through_the_stacks_own_bucket_and_the_models_archive(stack: Stack) -> None:
    endpoint = stack.of_type("AWS::EC2::VPCEndpoint")["NetworkVpcS3"]
    assert endpoint["VpcEndpointType"] == "Gateway"
    expected = [
        through(["s3:GetObject", "s3:PutObject"], "<DataBucket.Arn>/*"),
        through(["s3:ListBucket", "s3:ListBucketVersions"], "<DataBucket.Arn>"),
        through("s3:GetObjectVersion", "<DataBucket.Arn>/incoming/*"),
    ]
    for url in sorted(
        {it["PrimaryContainer"]["ModelDataUrl"] for it in stack.of_type("AWS::SageMaker::Model").values()}
    ):
        expected.append(through("s3:GetObject", url.replace("s3://", "arn:aws:s3:::")))
    assert endpoint["PolicyDocument"]["Statement"] == expected


def test_x_ray_and_step_functions_hear_from_the_functions_alone(stack: Stack) -> None:
    endpoints = stack.of_type("AWS::EC2::VPCEndpoint")
    taken = {
        "NetworkVpcXRay": through(["xray:PutTelemetryRecords", "xray:PutTraceSegments"], "*"),
        "NetworkVpcStepFunctions": through("states:StartExecution", "<JobWorkflowStateMachine>"),
    }
    assert set(endpoints) == {"NetworkVpcS3", *taken}
    for name, statement in taken.items():
        endpoint = endpoints[name]
        assert (endpoint["VpcEndpointType"], endpoint["SubnetIds"]) == ("Interface", SUBNETS)
        assert endpoint["SecurityGroupIds"] == ["<NetworkInterfaces.GroupId>"]
        assert endpoint["PolicyDocument"]["Statement"] == [statement]


def test_nobody_comes_in_but_to_the_endpoints_and_only_https_goes_out(stack: Stack) -> None:
    groups = stack.of_type("AWS::EC2::SecurityGroup")
    assert set(groups) == {"NetworkFunctions", "NetworkModel", "NetworkInterfaces"}
    for name in ("NetworkFunctions", "NetworkModel"):
        assert "SecurityGroupIngress" not in groups[name]
        assert groups[name]["SecurityGroupEgress"] == [OUT]
    assert groups["NetworkInterfaces"]["SecurityGroupIngress"] == [
        {
            "Description": "HTTPS from the functions",
            "IpProtocol": "tcp",
            "FromPort": 443,
            "ToPort": 443,
            "SourceSecurityGroupId": "<NetworkFunctions.GroupId>",
        }
    ]
    (nowhere,) = groups["NetworkInterfaces"]["SecurityGroupEgress"]
    assert nowhere["CidrIp"] == "255.255.255.255/32"
    assert stack.of_type("AWS::EC2::SecurityGroupIngress") == stack.of_type("AWS::EC2::SecurityGroupEgress") == {}


def test_its_connections_are_noted_beside_the_access_logs(stack: Stack) -> None:
    (flows,) = stack.of_type("AWS::EC2::FlowLog").values()
    flows.pop("Tags")
    assert flows == {
        "LogDestination": "<DataLogs.Arn>/flow/",
        "LogDestinationType": "s3",
        "ResourceId": "<NetworkVpc>",
        "ResourceType": "VPC",
        "TrafficType": "ALL",
    }


def interfaces(group: str) -> list[str]:
    """What an interface is made of."""
    subnets = [f"{EC2}:subnet/{subnet}" for subnet in SUBNETS]
    return [f"{EC2}:network-interface/*", f"{EC2}:security-group/<Network{group}.GroupId>", *subnets]


def test_lambda_may_make_interfaces_for_a_function_which_its_code_may_not(stack: Stack) -> None:
    by_lambda = {"Null": {"lambda:SourceFunctionArn": "true"}}
    own = ["ec2:AssignPrivateIpAddresses", "ec2:DeleteNetworkInterface", "ec2:UnassignPrivateIpAddresses"]
    described = ["ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets"]
    for role in roles_of(stack):
        if role.services == ["lambda.amazonaws.com"]:
            found = [it for it in role.statements if "ec2:" in str(it["Action"])]
            allow = {"Effect": "Allow", "Condition": by_lambda}
            assert found == [
                {**allow, "Action": "ec2:CreateNetworkInterface", "Resource": interfaces("Functions")},
                {**allow, "Action": own, "Resource": f"{EC2}:network-interface/*"},
                {**allow, "Action": described, "Resource": "*"},
            ]


def test_sagemaker_may_make_interfaces_for_the_models_instances(synthesized: Callable[[str], Assembly]) -> None:
    (role,) = [it for it in roles_of(synthesized("prod-vpc").stacks["InferenceStack"]) if it.name == "ModelRole"]
    own = [f"ec2:{it}" for it in ("CreateNetworkInterfacePermission", "DeleteNetworkInterface")]
    own.append("ec2:DeleteNetworkInterfacePermission")
    found = [it for it in role.statements if "NetworkInterface" in str(it["Action"]) and it["Resource"] != "*"]
    assert found == [
        {"Effect": "Allow", "Action": "ec2:CreateNetworkInterface", "Resource": interfaces("Model")},
        {"Effect": "Allow", "Action": own, "Resource": f"{EC2}:network-interface/*"},
    ]


def test_without_the_switch_there_is_no_network(synthesized: Callable[[str], Assembly]) -> None:
    for variant in set(VARIANTS) - {"prod-vpc", "prod-transform"}:
        for stack in synthesized(variant).stacks.values():
            assert not any(it["Type"].startswith("AWS::EC2::") for it in stack.resources.values())
