"""MlWorkflowStack: Preprocess → Predict, two functions, the model inside the second; and the batch job over them."""

from __future__ import annotations

from aws_cdk import CfnOutput, Environment, Stack
from constructs import Construct

from stacks.constructs.data_bucket import DataBucket
from stacks.constructs.function.python_function import PythonFunction
from stacks.constructs.guard.protection import protection
from stacks.constructs.job.batch_job import BatchJob
from stacks.constructs.job.job_triggers import JobTriggers
from stacks.constructs.model.model_build import unpacked_model
from stacks.constructs.model.versions import model_version
from stacks.constructs.states.answer_chain import AnswerChain
from stacks.constructs.states.predictor import FunctionPredictor
from stacks.constructs.watch.observability import Observability, metrics_environment
from stacks.constructs.workflow import Workflow
from stacks.settings import Settings


class MlWorkflowStack(Stack):
    """Takes a request; its output is `{"predictions": [...], "rejected": [...]}`. Or takes a job."""

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
        bucket = {"DATA_BUCKET": self.data.bucket.bucket_name}
        self.preprocess = PythonFunction(
            self, "Preprocess", module="preprocess", settings=settings, protection=guarded, environment=bucket
        )
        self.predict = PythonFunction(
            self,
            "Predict",
            module="predict",
            settings=settings,
            protection=guarded,
            model=unpacked_model(),
            environment={"MODEL_VERSION": model_version(), **metrics_environment(self, settings)},
        )
        self.store = PythonFunction(
            self, "StoreResults", module="store_results", settings=settings, protection=guarded, environment=bucket
        )
        predictor = FunctionPredictor(self.predict, name="Predict", concurrency=settings.function_concurrency)

        request = AnswerChain(
            self, "Steps", preprocess=self.preprocess, predictor=predictor, split_calls=settings.split_calls
        )
        self.workflow = Workflow(
            self,
            "Workflow",
            chain=request.chain,
            settings=settings,
            timeout=settings.machine_timeout,
            protection=guarded,
        )
        self.job = BatchJob(
            self,
            "Job",
            data=self.data,
            preprocess=self.preprocess,
            predictor=predictor,
            store=self.store,
            model_version=model_version(),
            settings=settings,
            protection=guarded,
        )
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
                model=self.predict,
                each=[self.preprocess, self.predict, self.store],
                once=[self.job.check_job, self.job.summarize],
                start_job=triggers.start_job if triggers else None,
                settings=settings,
            )
        CfnOutput(self, "StateMachineArn", value=self.workflow.state_machine.state_machine_arn)
        CfnOutput(self, "BatchJobArn", value=self.job.workflow.state_machine.state_machine_arn)
        CfnOutput(self, "ResultsBucketUri", value=self.data.bucket.s3_url_for_object())
