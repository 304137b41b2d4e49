"""The task state that runs a transform job to its end, and the choice after it."""

from __future__ import annotations

from typing import Any

from aws_cdk import Size
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from constructs import Construct

from lambda_src.contract import TRANSFORM
from stacks.constructs.states.durations import seconds
from stacks.constructs.states.failures import ALL, handle_job_failures
from stacks.constructs.states.transform import Transform
from stacks.settings.limits import PAYLOAD_MB

RETRIES = 1
"""How often SageMaker itself asks the model again about an object: enough for a blip, and few for a bad record."""

NAME = (
    "$substring($hash($states.context.Execution.Id, 'SHA-256'), 0, 24) & '-{attempt}' "
    "& '-' & $string($states.context.Execution.RedriveCount) & '-' & $string($states.context.State.RetryCount)"
)
"""What makes a name that no other job has: not another execution's, attempt's, redrive's or retry's."""

NO_REASON = "{% '' %}"
"""The variable `reason` at first: asl-validator takes an empty text for a wrong expression."""

SAID = "$states.errorOutput"
REFUSED = f"""(
  $job := {SAID}.Error = 'States.TaskFailed' and $substring({SAID}.Cause, 0, 1) = '{{' ? $parse({SAID}.Cause);
  $job.TransformJobStatus = 'Failed' ? [$job.FailureReason, 'no reason given'][0] : ''
)"""
"""Why a job that ran has failed: then objects may have been refused, and the others have answers. It is empty of any
other error: the job did not run, or was stopped. The cause is the job's description.
https://docs.aws.amazon.com/sagemaker/latest/dg/batch-transform-errors.html
"""


class TransformJob(tasks.SageMakerCreateTransformJob):
    """Sends each object under `in/` of a folder to the model as it is; answers are under `out/`.

    `prefix` is the JSONata expression of where the results will lie, `attempt` which of both jobs it is: see
    `lambda_src.contract.transform_folder`. The variable `reason` then says why some objects have no answer, or is
    empty; `next` comes then. Where the job did not run, `failure` has the error, and `failed` comes.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        transform: Transform,
        prefix: str,
        attempt: str,
        next: sfn.IChainable,  # noqa: A002 - what the library calls the state that comes after
        failed: sfn.IChainable,
    ) -> None:
        settings = transform.settings
        folder = f"'s3://{transform.data.bucket.bucket_name}/{TRANSFORM}' & {prefix} & '/{attempt}"
        key = kms.Key.from_key_arn(scope, f"{construct_id}Key", transform.key.key_arn) if transform.key else None
        disk_key = key if transform.disk_key else None
        self._transform = transform
        super().__init__(
            scope,
            construct_id,
            query_language=sfn.QueryLanguage.JSONATA,
            integration_pattern=sfn.IntegrationPattern.RUN_JOB,
            role=transform.model.role,  # or the library makes one that may do anything in SageMaker
            transform_job_name=f"{{% '{transform.job_names}' & {NAME.format(attempt=attempt)} %}}",
            model_name=transform.model.model.attr_model_name,
            batch_strategy=tasks.BatchStrategy.SINGLE_RECORD,
            max_payload=Size.mebibytes(PAYLOAD_MB),
            max_concurrent_transforms=settings.transform_concurrency,
            model_client_options=tasks.ModelClientOptions(
                invocations_max_retries=RETRIES, invocations_timeout=seconds(settings.transform_timeout)
            ),
            transform_input=tasks.TransformInput(
                content_type="application/json",
                split_type=tasks.SplitType.NONE,
                transform_data_source=tasks.TransformDataSource(
                    s3_data_source=tasks.TransformS3DataSource(
                        s3_uri=f"{{% {folder}/in/' %}}", s3_data_type=tasks.S3DataType.S3_PREFIX
                    )
                ),
            ),
            transform_output=tasks.TransformOutput(
                s3_output_path=f"{{% {folder}/out' %}}", accept="application/json", encryption_key=key
            ),
            transform_resources=tasks.TransformResources(
                instance_count=settings.transform_instances,
                instance_type=ec2.InstanceType(settings.model_instance_type.removeprefix("ml.")),
                volume_encryption_key=disk_key,
            ),
            outputs={},
            assign={"reason": NO_REASON},
        )
        ended = sfn.Choice.jsonata(scope, f"{construct_id}Ended")
        ran = sfn.Condition.jsonata("{% $failure = false %}")
        ended.when(ran, next).otherwise(failed)
        handle_job_failures(self)
        self.add_catch(
            ended,
            errors=[ALL],
            assign={
                "failure": f"{{% {REFUSED} = '' ? {SAID} : false %}}",
                "reason": f"{{% {REFUSED} %}}",
            },
        )
        self.next(next)

    @property
    def _task_policies(self) -> list[iam.PolicyStatement] | None:
        """The library's own names every transform job of the account."""
        return self._transform.statements()


def part_payload(prefix: str, attempt: str, key: str, *, job: bool) -> dict[str, Any]:
    """What `lambda_src.store_part` takes, of JSONata expressions."""
    return {
        "prefix": f"{{% {prefix} %}}",
        "key": f"{{% {key} %}}",
        "attempt": attempt,
        "reason": "{% $reason %}",
        "job": job,
    }
