"""The chain of states that answers a request with its predictions, and stores nothing."""

from __future__ import annotations

from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from stacks.constructs.function.python_function import PythonFunction
from stacks.constructs.states.batch_split import BatchSplit
from stacks.constructs.states.failures import S3_TRANSIENT, failed
from stacks.constructs.states.function_step import FunctionStep
from stacks.constructs.states.predictor import FunctionPredictor


class AnswerChain(Construct):
    """Preprocess → Predict, two functions; a request that the model refuses is split (see `BatchSplit`)."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        preprocess: PythonFunction,
        predictor: FunctionPredictor,
        split_calls: int,
    ) -> None:
        super().__init__(scope, construct_id)
        first, model = preprocess.node.id, predictor.name
        model_failed = failed(self, f"{model}Failed", model)
        preprocess_step = FunctionStep(
            self, first, function=preprocess, transient=S3_TRANSIENT, failed=failed(self, f"{first}Failed", first)
        )
        join_predictions = FunctionStep(
            self,
            "JoinPredictions",
            function=predictor.function,
            failed=failed(self, "JoinPredictionsFailed", "JoinPredictions"),
        )
        split = BatchSplit(
            self,
            "Split",
            predictor=predictor,
            failed=model_failed,
            most_calls=split_calls,
            counted=False,
            next=join_predictions,
        )
        predict_step = FunctionStep(self, model, function=predictor.function, failed=model_failed, caught=split.caught)
        self.chain: sfn.IChainable = preprocess_step.next(predict_step)
