"""InferenceStack: PreprocessData → InferenceModel → StoreResults, with the model behind an endpoint."""

from __future__ import annotations

from aws_cdk import CfnOutput, Environment, Stack
from constructs import Construct

from lambda_src.contract import request_prefix
from stacks.constructs.data_bucket import DataBucket
from stacks.constructs.inference_chain import InferenceChain
from stacks.constructs.model_build import model_archive
from stacks.constructs.model_endpoint import ModelEndpoint
from stacks.constructs.python_function import PythonFunction
from stacks.constructs.workflow import Workflow
from stacks.settings import Settings


class InferenceStack(Stack):
    """Takes a request; its output is `{"results": "s3://...", "predicted": count, "rejected": [...]}`."""

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings) -> None:
        super().__init__(scope, construct_id, env=Environment(region=settings.region))
        self.data = DataBucket(self, "Data", settings=settings)
        self.endpoint = ModelEndpoint(self, "Model", archive=model_archive(), settings=settings)
        self.preprocess = PythonFunction(self, "PreprocessData", module="preprocess", settings=settings)
        self.store = PythonFunction(
            self,
            "StoreResults",
            module="store_results",
            settings=settings,
            environment={"RESULTS_BUCKET": self.data.bucket.bucket_name},
        )
        self.data.grant_store(self.store.role, request_prefix(""))

        request = InferenceChain(
            self,
            "Request",
            preprocess=self.preprocess,
            endpoint=self.endpoint,
            store=self.store,
            prefix=f"'{request_prefix('')}' & $states.context.Execution.Name",
        )
        self.workflow = Workflow(self, "Workflow", chain=request.chain, settings=settings)
        CfnOutput(self, "StateMachineArn", value=self.workflow.state_machine.state_machine_arn)
        CfnOutput(self, "ResultsBucketUri", value=self.data.bucket.s3_url_for_object())
        CfnOutput(self, "EndpointName", value=self.endpoint.name)
