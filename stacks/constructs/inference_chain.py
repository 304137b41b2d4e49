"""The chain of states that takes records to stored predictions."""

from __future__ import annotations

from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from stacks.constructs.failures import STORE_TRANSIENT, failed
from stacks.constructs.function_step import FunctionStep
from stacks.constructs.invoke_endpoint import PREDICTIONS, InvokeEndpoint
from stacks.constructs.model_endpoint import ModelEndpoint
from stacks.constructs.python_function import PythonFunction


class InferenceChain(Construct):
    """PreprocessData → InferenceModel → StoreResults, for one request or for one batch of a job.

    `prefix` is a JSONata expression, without its `{% %}`, that says where in the data bucket the results go.
    A batch of rejected records only passes the model by. `chain` may stand in any machine or map.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        preprocess: PythonFunction,
        endpoint: ModelEndpoint,
        store: PythonFunction,
        prefix: str,
    ) -> None:
        super().__init__(scope, construct_id)
        self.preprocess_data = FunctionStep(
            self,
            "PreprocessData",
            function=preprocess,
            failed=failed(self, "PreprocessDataFailed", "PreprocessData"),
        )
        any_instances = sfn.Choice.jsonata(self, "AnyInstances")
        self.inference_model = InvokeEndpoint(
            self,
            "InferenceModel",
            endpoint=endpoint,
            body={"instances": "{% $states.input.instances %}"},
            outputs={
                "ids": "{% $states.input.ids %}",
                "indexes": "{% $states.input.indexes %}",
                "predictions": f"{{% {PREDICTIONS} %}}",
                "rejected": "{% $states.input.rejected %}",
            },
            failed=failed(self, "InferenceModelFailed", "InferenceModel"),
        )
        nothing_to_predict = sfn.Pass.jsonata(
            self,
            "NothingToPredict",
            outputs={
                "ids": [],
                "indexes": [],
                "predictions": [],
                "rejected": "{% $states.input.rejected %}",
            },
        )
        self.store_results = FunctionStep(
            self,
            "StoreResults",
            function=store,
            payload={
                "prefix": f"{{% {prefix} %}}",
                "ids": "{% $states.input.ids %}",
                "indexes": "{% $states.input.indexes %}",
                "predictions": "{% $states.input.predictions %}",
                "rejected": "{% $states.input.rejected %}",
            },
            transient=STORE_TRANSIENT,
            failed=failed(self, "StoreResultsFailed", "StoreResults"),
        )

        predicted = self.inference_model.next(self.store_results)
        nothing_to_predict.next(self.store_results)
        some = sfn.Condition.jsonata("{% $count($states.input.instances) > 0 %}")
        self.chain = self.preprocess_data.next(any_instances.when(some, predicted).otherwise(nothing_to_predict))
