"""InferenceStack: PreprocessData → InferenceModel → StoreResults, with the model behind an endpoint; and the job."""

from __future__ import annotations

from aws_cdk import CfnOutput, Environment, Stack
from constructs import Construct

from lambda_src.contract import request_prefix
from stacks.constructs.data_bucket import DataBucket
from stacks.constructs.function.python_function import PythonFunction
from stacks.constructs.guard.protection import protection
from stacks.constructs.job.job_triggers import JobTriggers
from stacks.constructs.model.model_source import challenger_source, model_source
from stacks.constructs.model.served_model import ServedModel
from stacks.constructs.serving import Steps, serving
from stacks.constructs.watch.observability import Observability, metrics_environment
from stacks.constructs.workflow import Workflow
from stacks.settings import Settings


class InferenceStack(Stack):
    """Takes a request; its output is `{"results": "s3://...", "predicted": count, "rejected": [...]}`. Or a job."""

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings) -> None:
        super().__init__(
            scope,
            construct_id,
            env=Environment(region=settings.region),
            tags=settings.tags,
            termination_protection=settings.termination_protection,
        )
        guarded = protection(self, settings)
        self.data = DataBucket(self, "Data", settings=settings, protection=guarded)
        model = ServedModel(self, "Model", source=model_source(settings), settings=settings, protection=guarded)
        second = challenger_source(settings)
        challenger = (
            ServedModel(self, "Challenger", source=second, settings=settings, protection=guarded) if second else None
        )
        served = serving(
            self,
            model=model,
            challenger=challenger,
            data=self.data,
            name="InferenceModel",
            settings=settings,
            protection=guarded,
        )
        self.endpoint = served.endpoint
        bucket = {"DATA_BUCKET": self.data.bucket.bucket_name}
        self.preprocess = PythonFunction(
            self, "PreprocessData", module=served.preprocess, settings=settings, protection=guarded, environment=bucket
        )
        self.store = PythonFunction(
            self,
            "StoreResults",
            module=served.store,
            settings=settings,
            protection=guarded,
            environment={
                **bucket,
                "MODEL_VERSION": model.source.version,
                **({"CHALLENGER_VERSION": second.version} if second else {}),
                **metrics_environment(self, settings),
            },
        )
        self.data.grant_store(self.store.role, f"{request_prefix('*')}")

        steps = Steps(self.data, self.preprocess, self.store, model.source.version, settings, guarded)
        self.workflow = Workflow(
            self,
            "Workflow",
            chain=served.request(
                self, "Request", steps, prefix=f"'{request_prefix('')}' & $states.context.Execution.Name"
            ),
            settings=settings,
            timeout=settings.machine_timeout,
            protection=guarded,
        )
        self.job = served.job(self, "Job", steps)
        triggers = (
            JobTriggers(self, "Triggers", data=self.data, job=self.job, settings=settings, protection=guarded)
            if settings.triggered
            else None
        )
        if settings.observability:
            Observability(
                self,
                "Observability",
                job=self.job.workflow,
                request=self.workflow,
                model=self.endpoint,
                each=[self.preprocess, *served.functions, self.store],
                once=[self.job.check_job, self.job.summarize],
                start_job=triggers.start_job if triggers else None,
                settings=settings,
            )
        CfnOutput(self, "StateMachineArn", value=self.workflow.state_machine.state_machine_arn)
        CfnOutput(self, "BatchJobArn", value=self.job.workflow.state_machine.state_machine_arn)
        CfnOutput(self, "ResultsBucketUri", value=self.data.bucket.s3_url_for_object())
        if self.endpoint is not None:
            CfnOutput(self, "EndpointName", value=self.endpoint.name)
