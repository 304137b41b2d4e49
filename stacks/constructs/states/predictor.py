"""What stands behind the model's state: an endpoint, or a function with the model inside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from stacks.constructs.endpoint.model_endpoint import ModelEndpoint
from stacks.constructs.function.python_function import PythonFunction
from stacks.constructs.states.failures import FUNCTION_REFUSED, SAGEMAKER_REFUSED
from stacks.constructs.states.function_step import FunctionStep
from stacks.constructs.states.invoke_endpoint import ANSWER, InvokeEndpoint
from stacks.constructs.states.model_call import ModelCall


class Predictor(Protocol):
    """Makes the states that send instances to the model.

    `name` is the state's; `answer` is the JSONata expression of what the model answered (see `lambda_src.pairing`),
    for `outputs` and `assign`; `refusals` are the errors that say the model's own code failed on the input;
    `concurrency` is how many batches it serves at once, `children` what the executions of a job's batches have to be.
    """

    name: str
    answer: str
    refusals: Sequence[str]
    concurrency: int
    children: sfn.StateMachineType

    def step(self, scope: Construct, construct_id: str, call: ModelCall) -> sfn.TaskStateBase:
        """A state that sends what `call` has."""
        ...


class EndpointPredictor:
    """The model behind an endpoint that answers at once, called by Step Functions itself."""

    answer = ANSWER
    refusals: Sequence[str] = SAGEMAKER_REFUSED
    children = sfn.StateMachineType.EXPRESS

    def __init__(self, endpoint: ModelEndpoint, *, name: str, concurrency: int) -> None:
        self.endpoint = endpoint
        self.name = name
        self.concurrency = concurrency

    def step(self, scope: Construct, construct_id: str, call: ModelCall) -> sfn.TaskStateBase:
        """See `Predictor`."""
        return InvokeEndpoint(
            scope,
            construct_id,
            endpoint=self.endpoint,
            body={"instances": f"{{% {call.instances} %}}"},
            outputs=call.outputs,
            assign=call.assign,
            failed=call.failed,
            caught=call.caught,
        )


class FunctionPredictor:
    """The model inside a function."""

    answer = "$states.result.Payload"
    refusals: Sequence[str] = FUNCTION_REFUSED
    children = sfn.StateMachineType.EXPRESS

    def __init__(self, function: PythonFunction, *, name: str, concurrency: int) -> None:
        self.function = function
        self.name = name
        self.concurrency = concurrency

    def step(self, scope: Construct, construct_id: str, call: ModelCall) -> sfn.TaskStateBase:
        """See `Predictor`."""
        return FunctionStep(
            scope,
            construct_id,
            function=self.function,
            payload={"instances": f"{{% {call.instances} %}}"},
            outputs=call.outputs,
            assign=call.assign,
            failed=call.failed,
            caught=call.caught,
        )
