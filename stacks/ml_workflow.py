"""MlWorkflowStack: Preprocess → Predict, two functions; the model is inside the second."""

from __future__ import annotations

from aws_cdk import CfnOutput, Environment, Stack
from constructs import Construct

from stacks.constructs.failures import failed
from stacks.constructs.function_step import FunctionStep
from stacks.constructs.model_build import unpacked_model
from stacks.constructs.python_function import PythonFunction
from stacks.constructs.workflow import Workflow
from stacks.settings import Settings


class MlWorkflowStack(Stack):
    """Takes a request; its output is `{"predictions": [...], "rejected": [...]}`."""

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings) -> None:
        super().__init__(scope, construct_id, env=Environment(region=settings.region))
        self.preprocess = PythonFunction(self, "Preprocess", module="preprocess", settings=settings)
        self.predict = PythonFunction(self, "Predict", module="predict", settings=settings, model=unpacked_model())

        steps = Construct(self, "Steps")
        preprocess = FunctionStep(
            steps,
            "Preprocess",
            function=self.preprocess,
            failed=failed(steps, "PreprocessFailed", "Preprocess"),
        )
        predict = FunctionStep(
            steps, "Predict", function=self.predict, failed=failed(steps, "PredictFailed", "Predict")
        )
        self.workflow = Workflow(self, "Workflow", chain=preprocess.next(predict), settings=settings)
        CfnOutput(self, "StateMachineArn", value=self.workflow.state_machine.state_machine_arn)
