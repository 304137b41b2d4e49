"""The chain of states that takes records to predictions, stored or returned."""

from __future__ import annotations

from dataclasses import dataclass

from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from stacks.constructs.function.python_function import PythonFunction
from stacks.constructs.states.batch_split import NO_ANSWER, RETRIES, BatchSplit
from stacks.constructs.states.failures import S3_TRANSIENT, failed
from stacks.constructs.states.function_step import FunctionStep
from stacks.constructs.states.model_call import ModelCall
from stacks.constructs.states.predictor import Predictor

PREPARED = {
    "ids": "{% $states.input.ids %}",
    "indexes": "{% $states.input.indexes %}",
    "rejected": "{% $states.input.rejected %}",
}


@dataclass(frozen=True)
class Store:
    """The last step: `function` writes under `prefix`, a JSONata expression without its `{% %}`.

    `counted` hands it the model calls and retries of the batch, for a job's summary.
    """

    function: PythonFunction
    prefix: str
    counted: bool = False


class InferenceChain(Construct):
    """Preprocess → model → store, for one request or for one batch of a job.

    Each of the three has the name of its construct or predictor. A batch of rejected records only passes the
    model by; one that the model refuses is split (see `BatchSplit`). `chain` may stand in any machine or map;
    `state_prefix` goes before every state's name, which a machine may use once only.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        preprocess: PythonFunction,
        predictor: Predictor,
        store: Store,
        split_calls: int,
        state_prefix: str = "",
    ) -> None:
        super().__init__(scope, construct_id)
        first, model, last = preprocess.node.id, predictor.name, store.function.node.id
        model_failed = failed(self, f"{model}Failed", model)
        counts = {"calls": 1, "retries": f"{{% {RETRIES} %}}"} if store.counted else {}
        no_counts = {"calls": 0, "retries": 0} if store.counted else {}
        tries = ["{% $preprocessRetries %}", "{% $states.input.retries %}", f"{{% {RETRIES} %}}"]

        self.preprocess_step = FunctionStep(
            self,
            first,
            function=preprocess,
            assign={"preprocessRetries": f"{{% {RETRIES} %}}"} if store.counted else None,
            transient=S3_TRANSIENT,
            failed=failed(self, f"{first}Failed", first),
        )
        any_instances = sfn.Choice.jsonata(self, "AnyInstances")
        nothing_to_predict = sfn.Pass.jsonata(
            self,
            "NothingToPredict",
            outputs={**PREPARED, "ids": [], "indexes": [], "answer": NO_ANSWER, "split": False, **no_counts},
        )
        self.store_step = FunctionStep(
            self,
            last,
            function=store.function,
            payload={
                "prefix": f"{{% {store.prefix} %}}",
                **PREPARED,
                "answer": "{% $states.input.answer %}",
                "split": "{% $states.input.split %}",
                **({"calls": "{% $states.input.calls %}", "retries": tries} if store.counted else {}),
            },
            transient=S3_TRANSIENT,
            failed=failed(self, f"{last}Failed", last),
        )
        split = BatchSplit(
            self,
            "Split",
            predictor=predictor,
            failed=model_failed,
            most_calls=split_calls,
            counted=store.counted,
            next=self.store_step,
        )
        self.model_step = predictor.step(
            self,
            model,
            ModelCall(
                instances="$states.input.instances",
                outputs={
                    **PREPARED,
                    "answer": f"{{% {predictor.answer} %}}",
                    "split": False,
                    **counts,
                },
                failed=model_failed,
                caught=split.caught,
            ),
        )

        some = sfn.Condition.jsonata("{% $states.input.any %}")
        self.chain = self.preprocess_step.next(any_instances)
        any_instances.when(some, self.model_step).otherwise(nothing_to_predict)
        self.model_step.next(self.store_step)
        nothing_to_predict.next(self.store_step)
        if state_prefix:
            sfn.State.prefix_states(self, state_prefix)
