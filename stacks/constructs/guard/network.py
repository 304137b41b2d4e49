"""A network of the stack's own, without a way to the internet."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from constructs import Construct

from stacks.acknowledgements import acknowledge
from stacks.constructs.guard import decisions

ADDRESSES, SUBNET_BITS = "10.0.0.0/20", 22
"""A thousand addresses in each of two zones: functions share interfaces, each instance of the model has its own."""

HTTPS = 443
FLOW_LOGS = "flow/"
INTERFACE_NAMED_LATER = (
    "Lambda and SageMaker make and delete the interfaces of a function and a model, whose names nobody knows before; "
    "subnets and group are named, and the code of a function may do none of it."
)


class Network(Construct):
    """Private subnets in two zones, for the functions and the model. What leaves them goes to AWS's own endpoints.

    S3 is reached by a gateway, for the buckets alone that `allow` names; it costs nothing. X-Ray is reached by an
    interface in each zone, about 15 dollars a month: whether a function's traces go through its network is not
    confirmed, and this way they arrive in either case. Nothing else is called from within: logs, metrics, the image
    and the calls of functions and endpoints are AWS's own doing.
    """

    def __init__(self, scope: Construct, construct_id: str) -> None:
        super().__init__(scope, construct_id)
        isolated = ec2.SubnetConfiguration(
            name="Private", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED, cidr_mask=SUBNET_BITS
        )
        self.vpc = ec2.Vpc(
            self,
            "Vpc",
            ip_addresses=ec2.IpAddresses.cidr(ADDRESSES),
            max_azs=2,
            nat_gateways=0,
            subnet_configuration=[isolated],
            # Nothing is in it; to close it the library would add a function with rights over all groups.
            restrict_default_security_group=False,
        )
        acknowledge(self.vpc, decisions.EMPTY_GROUP)
        self.functions = self._group("Functions", "The functions: HTTPS out to endpoints of AWS")
        self.model = self._group("Model", "The instances of the model: HTTPS out to endpoints of AWS")
        self._s3 = self.vpc.add_gateway_endpoint("S3", service=ec2.GatewayVpcEndpointAwsService.S3)
        self._interfaces = ec2.SecurityGroup(
            self,
            "Interfaces",
            vpc=self.vpc,
            description="Endpoints of AWS: HTTPS in from the functions",
            allow_all_outbound=False,
        )
        resource = self._interfaces.node.default_child
        assert isinstance(resource, ec2.CfnSecurityGroup)
        # In the group itself: the library would make a resource of its own for each rule between two groups.
        resource.security_group_ingress = [
            ec2.CfnSecurityGroup.IngressProperty(
                ip_protocol="tcp",
                from_port=HTTPS,
                to_port=HTTPS,
                source_security_group_id=self.functions.security_group_id,
                description="HTTPS from the functions",
            )
        ]
        self._xray = self.vpc.add_interface_endpoint(
            "XRay", service=ec2.InterfaceVpcEndpointAwsService.XRAY, open=False, security_groups=[self._interfaces]
        )
        self._xray.add_to_policy(self._through(["xray:PutTelemetryRecords", "xray:PutTraceSegments"], ["*"]))

    def allow(self, actions: Sequence[str], resources: Sequence[str]) -> None:
        """Lets requests of this account through to S3 for these actions and resources; roles need grants as ever."""
        self._s3.add_to_policy(self._through(actions, resources))

    def reach_states(self, actions: Sequence[str], machine: str) -> None:
        """Lets what runs here make these calls of Step Functions for this machine: about 15 dollars a month more."""
        states = self.vpc.add_interface_endpoint(
            "StepFunctions",
            service=ec2.InterfaceVpcEndpointAwsService.STEP_FUNCTIONS,
            open=False,
            security_groups=[self._interfaces],
        )
        states.add_to_policy(self._through(actions, [machine]))

    def log_to(self, bucket: s3.IBucket) -> None:
        """Notes which connections were made and refused, without their content."""
        self.vpc.add_flow_log("Flows", destination=ec2.FlowLogDestination.to_s3(bucket, FLOW_LOGS))

    def grant_function_interfaces(self, role: iam.Role) -> None:
        """Lets Lambda, but not the function's own code, make interfaces for a function here.

        With a function's credentials a call names the function as its source, which Lambda's own calls do not.
        https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html#configuration-vpc-permissions
        """
        by_lambda = {"Null": {"lambda:SourceFunctionArn": "true"}}
        own = ["ec2:DeleteNetworkInterface", "ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses"]
        self._grant_interfaces(role, self.functions, own, by_lambda)
        iam.Grant.add_to_principal(
            grantee=role,
            actions=["ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets"],
            resource_arns=["*"],  # AWS has no narrower form
            conditions=by_lambda,
        )

    def grant_model_interfaces(self, role: iam.Role) -> None:
        """Lets SageMaker make interfaces for the model's instances here.

        https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html#sagemaker-roles-createmodel-perms
        """
        permission = ["ec2:CreateNetworkInterfacePermission", "ec2:DeleteNetworkInterfacePermission"]
        self._grant_interfaces(role, self.model, [*permission, "ec2:DeleteNetworkInterface"], None)
        described = ("NetworkInterfaces", "Vpcs", "DhcpOptions", "Subnets", "SecurityGroups")
        iam.Grant.add_to_principal(
            grantee=role,
            actions=[f"ec2:Describe{kind}" for kind in described],
            resource_arns=["*"],  # AWS has no narrower form
        )

    def _through(self, actions: Sequence[str], resources: Sequence[str]) -> iam.PolicyStatement:
        return iam.PolicyStatement(
            principals=[iam.AnyPrincipal()],
            actions=list(actions),
            resources=list(resources),
            conditions={"StringEquals": {"aws:PrincipalAccount": Stack.of(self).account}},
        )

    def _group(self, construct_id: str, description: str) -> ec2.SecurityGroup:
        group = ec2.SecurityGroup(self, construct_id, vpc=self.vpc, description=description, allow_all_outbound=False)
        # S3's addresses differ by region and change; no route leads to any others.
        group.add_egress_rule(ec2.Peer.any_ipv4(), ec2.Port.tcp(HTTPS), "HTTPS to endpoints of AWS")
        return group

    def _grant_interfaces(
        self,
        role: iam.Role,
        group: ec2.SecurityGroup,
        own: list[str],
        conditions: dict[str, dict[str, str]] | None,
    ) -> None:
        """To create an interface takes its subnet and its group; it has no name before."""
        stack = Stack.of(self)

        def arn(kind: str, name: str) -> str:
            return stack.format_arn(service="ec2", resource=kind, resource_name=name)

        anywhere = arn("network-interface", "*")
        places = [arn("subnet", subnet.subnet_id) for subnet in self.vpc.isolated_subnets]
        places += [arn("security-group", group.security_group_id), anywhere]
        for actions, resources in ((["ec2:CreateNetworkInterface"], places), (own, [anywhere])):
            iam.Grant.add_to_principal(grantee=role, actions=actions, resource_arns=resources, conditions=conditions)
        acknowledge(role, decisions.wildcard(INTERFACE_NAMED_LATER, anywhere))
