"""Instances that follow the load, between the settings' minimum and maximum.

https://docs.aws.amazon.com/sagemaker/latest/dg/endpoint-auto-scaling.html
"""

from __future__ import annotations

import re
from typing import Any

from aws_cdk import aws_applicationautoscaling as autoscaling
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from stacks.settings import Settings
from stacks.settings.modes import ASYNC

OUT_SECONDS = 300
"""What was added is waited for so long before more is: an instance takes minutes to fetch its container and to load
the model, and until then the load looks as it did. It is AWS's default too."""

IN_SECONDS = 600
"""How long nothing is removed after a change: so that instances outlast the pause between two jobs, as the next one
would wait minutes for each again."""

NAMESPACE = "AWS/SageMaker"


class Scaling(Construct):
    """The scalable target of a variant and its policies; nothing else may be told to change its count.

    All of it names the endpoint, so CloudFormation makes it after the endpoint and takes it away before. Application
    Auto Scaling acts with its service-linked role (AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint), which
    AWS makes: no role of ours, and no grant.
    """

    def __init__(self, scope: Construct, construct_id: str, *, endpoint: str, variant: str, settings: Settings) -> None:
        super().__init__(scope, construct_id)
        self.target = autoscaling.CfnScalableTarget(
            self,
            "Target",
            service_namespace="sagemaker",
            resource_id=f"endpoint/{endpoint}/variant/{variant}",
            scalable_dimension="sagemaker:variant:DesiredInstanceCount",
            min_capacity=settings.model_instances,
            max_capacity=settings.most_instances,
        )
        share = settings.endpoint_concurrency * settings.scaling_percentage / 100
        if settings.mode == ASYNC:
            # What waits and what is worked on: https://docs.aws.amazon.com/sagemaker/latest/dg/async-inference-monitor.html
            self._track("Backlog", share, customized_metric_specification=_backlog(endpoint))
            if settings.model_instances == 0:
                self._step_from_zero(endpoint)
            return
        # AWS measures it every 10 seconds, InvocationsPerInstance every minute, and its target is in batches at once,
        # which the settings know; calls a minute depend on how long the model takes for one, which they do not.
        # https://docs.aws.amazon.com/sagemaker/latest/dg/endpoint-auto-scaling-add-code-define.html
        self._track("Concurrency", share, **_predefined("SageMakerVariantConcurrentRequestsPerModelHighResolution"))
        if settings.scaling_invocations is not None:
            self._track(
                "Invocations", settings.scaling_invocations, **_predefined("SageMakerVariantInvocationsPerInstance")
            )

    def _track(self, name: str, value: float, **metric: Any) -> None:
        """A policy that keeps a metric of each instance at `value`. Of several, the one that wants the most counts."""
        autoscaling.CfnScalingPolicy(
            self,
            name,
            policy_name=name,
            policy_type="TargetTrackingScaling",
            scaling_target_id=self.target.ref,
            target_tracking_scaling_policy_configuration=autoscaling.CfnScalingPolicy.TargetTrackingScalingPolicyConfigurationProperty(
                target_value=value, scale_in_cooldown=IN_SECONDS, scale_out_cooldown=OUT_SECONDS, **metric
            ),
        )

    def _step_from_zero(self, endpoint: str) -> None:
        """The first instance: where there is none, there is no backlog of each to track.

        https://docs.aws.amazon.com/sagemaker/latest/dg/async-inference-autoscale.html
        """
        step = autoscaling.CfnScalingPolicy(
            self,
            "FromZero",
            policy_name="FromZero",
            policy_type="StepScaling",
            scaling_target_id=self.target.ref,
            step_scaling_policy_configuration=autoscaling.CfnScalingPolicy.StepScalingPolicyConfigurationProperty(
                adjustment_type="ChangeInCapacity",
                metric_aggregation_type="Average",
                cooldown=OUT_SECONDS,
                step_adjustments=[
                    autoscaling.CfnScalingPolicy.StepAdjustmentProperty(
                        metric_interval_lower_bound=0, scaling_adjustment=1
                    )
                ],
            ),
        )
        cloudwatch.CfnAlarm(
            self,
            "NoInstance",
            alarm_description="Requests wait, and no instance runs: starts the first. It tells nobody.",
            namespace=NAMESPACE,
            metric_name="HasBacklogWithoutCapacity",
            dimensions=[cloudwatch.CfnAlarm.DimensionProperty(name="EndpointName", value=endpoint)],
            statistic="Average",
            period=60,
            evaluation_periods=1,
            threshold=1,
            comparison_operator="GreaterThanOrEqualToThreshold",
            treat_missing_data="missing",
            alarm_actions=[step.ref],
        )


def endpoint_id(settings: Settings) -> str:
    """The endpoint's construct id. One that scales has its instance type in it.

    AWS refuses to change the type of what scales, so another type has to be another endpoint: CloudFormation makes
    it, moves workflow and scaling over, then deletes the old. So it does where scaling is turned on or off: instances
    that were added would otherwise stay. All else is an update in place.
    https://docs.aws.amazon.com/sagemaker/latest/dg/endpoint-scaling-update.html
    """
    if not settings.scaled:
        return "Endpoint"
    return "Endpoint" + "".join(part.title() for part in re.split("[.-]", settings.model_instance_type))


def retained(settings: Settings) -> dict[str, Any]:
    """What of the endpoint an update leaves as it is: the count that scaling has come to.

    Weights and data capture are the settings', so they are changed.
    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_UpdateEndpoint.html
    """
    if not settings.scaled:
        return {}
    kinds = ("DesiredWeight", "DataCaptureConfig")
    return {
        "retain_all_variant_properties": True,
        "exclude_retained_variant_properties": [
            sagemaker.CfnEndpoint.VariantPropertyProperty(variant_property_type=kind) for kind in kinds
        ],
    }


def _predefined(metric: str) -> dict[str, Any]:
    specification = autoscaling.CfnScalingPolicy.PredefinedMetricSpecificationProperty(predefined_metric_type=metric)
    return {"predefined_metric_specification": specification}


def _backlog(endpoint: str) -> autoscaling.CfnScalingPolicy.CustomizedMetricSpecificationProperty:
    return autoscaling.CfnScalingPolicy.CustomizedMetricSpecificationProperty(
        namespace=NAMESPACE,
        metric_name="ApproximateBacklogSizePerInstance",
        dimensions=[autoscaling.CfnScalingPolicy.MetricDimensionProperty(name="EndpointName", value=endpoint)],
        statistic="Average",
    )
