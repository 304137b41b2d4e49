"""The chain of states that takes a request to predictions by a transform job of its own."""

from __future__ import annotations

from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from lambda_src.contract import AGAIN, FIRST
from stacks.constructs.function.python_function import PythonFunction
from stacks.constructs.states.failures import S3_TRANSIENT, failed
from stacks.constructs.states.function_step import PAYLOAD, FunctionStep
from stacks.constructs.states.transform import Transform
from stacks.constructs.states.transform_job import NO_REASON, TransformJob, part_payload


class TransformChain(Construct):
    """Preprocess → model → store; and where the model refused the request, its records one by one → store.

    `preprocess` and `store` are `lambda_src.prepare_part` and `lambda_src.store_part`. The variables: `part` (the
    key of what a transform job is to be stored from), `reason` (why some of it has no answer) and `failure` (of a
    transform job that did not run, or false). `prefix` is where results go, a JSONata expression.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        preprocess: PythonFunction,
        transform: Transform,
        store: PythonFunction,
        prefix: str,
        name: str,
    ) -> None:
        super().__init__(scope, construct_id)
        first, last = preprocess.node.id, store.node.id
        model_failed = sfn.Fail.jsonata(
            self, f"{name}Failed", error="{% $failure.Error %}", cause=f"{{% '{name}: ' & $failure.Cause %}}"
        )
        store_failed = failed(self, f"{last}Failed", last)
        preprocess_step = FunctionStep(
            self,
            first,
            function=preprocess,
            payload={"request": "{% $states.input %}", "prefix": f"{{% {prefix} %}}"},
            assign={"part": "{% $states.result.Payload.key %}", "reason": NO_REASON, "failure": False},
            transient=S3_TRANSIENT,
            failed=failed(self, f"{first}Failed", first),
        )
        any_instances = sfn.Choice.jsonata(self, "AnyInstances")
        store_step = FunctionStep(
            self,
            last,
            function=store,
            payload=part_payload(prefix, FIRST, "$part", job=False),
            assign={"part": f"{{% [{PAYLOAD[3:-3]}.again, $part][0] %}}"},
            transient=S3_TRANSIENT,
            failed=store_failed,
        )
        refused = sfn.Choice.jsonata(self, "Refused")
        store_again = FunctionStep(
            self,
            f"{last}Again",
            function=store,
            payload=part_payload(prefix, AGAIN, "$part", job=False),
            transient=S3_TRANSIENT,
            failed=store_failed,
        )
        model = TransformJob(
            self, name, transform=transform, prefix=prefix, attempt=FIRST, next=store_step, failed=model_failed
        )
        model_again = TransformJob(
            self,
            f"{name}Again",
            transform=transform,
            prefix=prefix,
            attempt=AGAIN,
            next=store_again,
            failed=model_failed,
        )

        self.chain = preprocess_step.next(any_instances)
        any_instances.when(sfn.Condition.jsonata("{% $states.input.any %}"), model).otherwise(store_step)
        store_step.next(refused)
        refused.when(sfn.Condition.jsonata("{% $exists($states.input.again) %}"), model_again)
        refused.otherwise(sfn.Succeed.jsonata(self, "Done"))
