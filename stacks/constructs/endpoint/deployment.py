"""How an endpoint goes over to another configuration, and the alarms that take it back."""

from __future__ import annotations

from aws_cdk import ArnFormat, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sagemaker as sagemaker

from stacks.constructs.watch.alarms import alarm_name, rolling_back
from stacks.settings import Settings
from stacks.settings.changes import ALL_AT_ONCE, BAKE, CANARY, PERCENTAGE, STARTING, WAIT, waits
from stacks.settings.modes import NOT_GIVEN

Endpoint = sagemaker.CfnEndpoint


def deployment_config(settings: Settings) -> Endpoint.DeploymentConfigProperty | None:
    """Blue/green: the new instances come up beside the old, and these go when all is over. None is AWS's own way: all
    at once, watched by nobody.

    The alarms are named, not referred to: they have the endpoint's name in their dimensions, so that CloudFormation
    makes them after the endpoint. It is updates that they take back, and the first of these comes later. That AWS makes
    an endpoint that names alarms which are not there yet is not confirmed.
    https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-configuration.html
    """
    plain = settings.deployment == ALL_AT_ONCE and not settings.rollback and settings.deployment_bake is None
    if settings.deployment is NOT_GIVEN or plain:  # not given: a mode that has none of it
        return None
    return Endpoint.DeploymentConfigProperty(
        blue_green_update_policy=Endpoint.BlueGreenUpdatePolicyProperty(
            traffic_routing_configuration=_routing(settings),
            termination_wait_in_seconds=_or(settings.deployment_bake, BAKE),
            maximum_execution_timeout_in_seconds=waits(settings) + STARTING,
        ),
        auto_rollback_configuration=Endpoint.AutoRollbackConfigProperty(
            alarms=[Endpoint.AlarmProperty(alarm_name=alarm_name(title)) for title in rolling_back(settings)]
        )
        if settings.rollback
        else None,
    )


def grant_alarms(role: iam.Role, settings: Settings) -> None:
    """Lets SageMaker look at those alarms as the model's role.

    https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-configuration.html
    """
    if not settings.rollback:
        return
    alarms = [
        Stack.of(role).format_arn(
            service="cloudwatch",
            resource="alarm",
            resource_name=alarm_name(title),
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )
        for title in rolling_back(settings)
    ]
    iam.Grant.add_to_principal(grantee=role, actions=["cloudwatch:DescribeAlarms"], resource_arns=alarms)


def _routing(settings: Settings) -> Endpoint.TrafficRoutingConfigProperty:
    if settings.deployment == ALL_AT_ONCE:
        return Endpoint.TrafficRoutingConfigProperty(type="ALL_AT_ONCE", wait_interval_in_seconds=0)
    share = Endpoint.CapacitySizeProperty(
        type="CAPACITY_PERCENT", value=_or(settings.deployment_percentage, PERCENTAGE)
    )
    return Endpoint.TrafficRoutingConfigProperty(
        type=settings.deployment.upper(),
        wait_interval_in_seconds=_or(settings.deployment_wait, WAIT),
        canary_size=share if settings.deployment == CANARY else None,
        linear_step_size=None if settings.deployment == CANARY else share,
    )


def _or(given: int | None, default: int) -> int:
    return default if given is None else given
