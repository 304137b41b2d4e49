"""What starts jobs by itself: data sets that land in the bucket, and a schedule."""

from __future__ import annotations

from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from constructs import Construct

from stacks.acknowledgements import acknowledge
from stacks.constructs.data_bucket import DataBucket
from stacks.constructs.function.python_function import PythonFunction
from stacks.constructs.guard import decisions
from stacks.constructs.guard.protection import Protection
from stacks.constructs.job.job import SUMMARIES, Job
from stacks.settings import Settings

SECONDS = 300
"""How long StartJob may take to go through the data sets that a schedule finds: thousands."""


class JobTriggers(Construct):
    """EventBridge calls StartJob when an object is created under `trigger_prefix`, and at the times of `schedule`.

    StartJob names an execution after the object's key and version. So however often an event is delivered, and
    whether it or the schedule comes first, there is one job for each version.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        data: DataBucket,
        job: Job,
        settings: Settings,
        protection: Protection,
    ) -> None:
        super().__init__(scope, construct_id)
        machine = job.workflow.state_machine
        self.start_job = PythonFunction(
            self,
            "StartJob",
            module="start_job",
            settings=settings,
            protection=protection,
            timeout=SECONDS,
            environment={
                "DATA_BUCKET": data.bucket.bucket_name,
                "BATCH_JOB": machine.state_machine_arn,
                "TRIGGER_PREFIX": settings.trigger_prefix,
            },
            delivery=decisions.STARTED_LATER,
        )
        role, function = self.start_job.role, self.start_job.function
        # Where the stack has a key, the machine's own role encrypts the input. That whoever starts an execution needs
        # the key too, AWS says of synchronous ones alone; of these it is not confirmed.
        machine.grant_start_execution(role)
        data.grant_read(role, SUMMARIES)
        if protection.network is not None:
            protection.network.reach_states(["states:StartExecution"], machine.state_machine_arn)
        if settings.on_arrival:
            data.send_events()
            arrival = events.Rule(
                self,
                "Arrival",
                description=f"Data sets that land under {settings.trigger_prefix} start jobs",
                event_pattern=events.EventPattern(
                    source=["aws.s3"],
                    detail_type=["Object Created"],
                    detail={
                        "bucket": {"name": [data.bucket.bucket_name]},
                        "object": {"key": [{"prefix": settings.trigger_prefix}]},
                    },
                ),
                targets=[targets.LambdaFunction(function)],
            )
            acknowledge(arrival, decisions.FOUND_LATER)
        if settings.schedule is not None:
            data.grant_list_versions(role, f"{settings.trigger_prefix}*")
            schedule = events.Rule(
                self,
                "Schedule",
                description=f"Data sets under {settings.trigger_prefix} that had no job yet get one",
                schedule=events.Schedule.expression(settings.schedule),
                targets=[targets.LambdaFunction(function)],
            )
            acknowledge(schedule, decisions.FOUND_LATER)
