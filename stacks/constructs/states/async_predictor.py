"""The model behind an asynchronous endpoint: one function hands a batch in, another takes the answer back."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda_event_sources as events
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from constructs import Construct

from lambda_src.contract import ASYNC_INPUTS, ASYNC_OUTPUTS, ASYNC_TOKENS
from stacks.acknowledgements import acknowledge
from stacks.constructs.data_bucket import DataBucket
from stacks.constructs.endpoint.async_endpoint import AsyncEndpoint
from stacks.constructs.function.python_function import PythonFunction
from stacks.constructs.guard import decisions
from stacks.constructs.guard.protection import Protection
from stacks.constructs.states.durations import time_limit
from stacks.constructs.states.failures import ASYNC_TRANSIENT, FUNCTION_REFUSED, handle_function_failures
from stacks.constructs.states.model_call import ModelCall
from stacks.settings import MARGIN_SECONDS, Settings


class AsyncPredictor(Construct):
    """See `Predictor`. The states wait for a token, which Express executions cannot: a job's children are Standard.

    SubmitInference stores the batch and the token, and asks the endpoint; ResumeInference hears of each answer
    and gives it to whoever holds the token. When no answer is heard of in time, the state tries again.
    """

    answer = "$states.result"
    refusals: Sequence[str] = FUNCTION_REFUSED
    children = sfn.StateMachineType.STANDARD

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        endpoint: AsyncEndpoint,
        data: DataBucket,
        name: str,
        settings: Settings,
        protection: Protection,
    ) -> None:
        super().__init__(scope, construct_id)
        self.name = name
        self.concurrency = settings.capacity
        self._seconds = settings.model_seconds
        bucket = {"DATA_BUCKET": data.bucket.bucket_name}
        self.submit = PythonFunction(
            self,
            "SubmitInference",
            module="submit_inference",
            settings=settings,
            protection=protection,
            environment={**bucket, "ENDPOINT": endpoint.name, "MODEL_SECONDS": str(settings.async_timeout)},
        )
        self.resume = PythonFunction(
            self,
            "ResumeInference",
            module="resume_inference",
            settings=settings,
            protection=protection,
            environment=bucket,
            delivery=decisions.HEARD_AGAIN,
        )
        data.grant_write(self.submit.role, f"{ASYNC_INPUTS}*", f"{ASYNC_TOKENS}*")
        endpoint.grant_invoke(self.submit.role)
        data.grant_read(self.resume.role, f"{ASYNC_TOKENS}*", f"{ASYNC_OUTPUTS}*")
        # The token alone says whose task it is: AWS has no narrower form.
        # https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsstepfunctions.html
        iam.Grant.add_to_principal(
            grantee=self.resume.role,
            actions=["states:SendTaskFailure", "states:SendTaskSuccess"],
            resource_arns=["*"],
        )
        for topic in (endpoint.answered, endpoint.failed):
            self.resume.function.add_event_source(events.SnsEventSource(topic))
        acknowledge(self.resume.function, decisions.ASKED_AGAIN)

    def step(self, scope: Construct, construct_id: str, call: ModelCall) -> sfn.TaskStateBase:
        """See `Predictor`."""
        step = tasks.LambdaInvoke(
            scope,
            construct_id,
            query_language=sfn.QueryLanguage.JSONATA,
            integration_pattern=sfn.IntegrationPattern.WAIT_FOR_TASK_TOKEN,
            lambda_function=self.submit.function,
            payload=sfn.TaskInput.from_object(
                {"token": "{% $states.context.Task.Token %}", "instances": f"{{% {call.instances} %}}"}
            ),
            outputs=call.outputs,
            assign=call.assign,
            task_timeout=time_limit(self._seconds + MARGIN_SECONDS),
            retry_on_service_exceptions=False,
        )
        handle_function_failures(step, failed=call.failed, transient=ASYNC_TRANSIENT, caught=call.caught)
        return step
