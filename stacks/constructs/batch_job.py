"""The batch job: a Distributed Map over a data set in S3, and a summary that adds up."""

from __future__ import annotations

from typing import Any

from aws_cdk import ArnFormat, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from constructs import Construct

from lambda_src.contract import INCOMING
from stacks.acknowledgements import acknowledge
from stacks.constructs import decisions
from stacks.constructs.data_bucket import DataBucket
from stacks.constructs.durations import time_limit
from stacks.constructs.failures import ALL, S3_TRANSIENT, failed, handle_call_failures
from stacks.constructs.function_step import PAYLOAD, FunctionStep
from stacks.constructs.inference_chain import InferenceChain, Store
from stacks.constructs.narrow_access import CsvReader, JsonLinesReader, JsonReader, MapRunWriter, ObjectsReader
from stacks.constructs.observability import metrics_environment
from stacks.constructs.predictor import Predictor
from stacks.constructs.protection import Protection
from stacks.constructs.python_function import PythonFunction
from stacks.constructs.records_map import OBJECT, RecordsMap
from stacks.constructs.records_map_like import RecordsMapLike
from stacks.constructs.versions import template_version
from stacks.constructs.workflow import Workflow
from stacks.settings import Settings

DATA_SETS = f"{INCOMING}*"
PREDICTIONS, REJECTED = "jobs/*/predictions/*", "jobs/*/rejected/*"
SUMMARIES, MAP_RESULTS = "jobs/*/summary.json", "jobs/*/map/*"

NAMED_WHEN_THEY_START = (
    "Executions and Map Runs are named when they start: the policy of this one machine names all of its own, and "
    "no other machine's."
)

CALL_SECONDS = 30
"""How long a call of Step Functions' own API may take."""


class BatchJob(Construct):
    """CheckJob → one Map by format → FindMapRun → DescribeMapRun → Summarize → Done, or JobFailed.

    The input is a job (see `lambda_src.check_job`), the output its summary. `preprocess` and `store` become
    the steps of each batch, and get the grants on `data` that a job needs.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        data: DataBucket,
        preprocess: PythonFunction,
        predictor: Predictor,
        store: PythonFunction,
        model_version: str,
        settings: Settings,
        protection: Protection,
    ) -> None:
        super().__init__(scope, construct_id)
        self.data = data
        self._chain_parts: dict[str, Any] = {
            "preprocess": preprocess,
            "predictor": predictor,
            "store": Store(store, "$states.context.Execution.Input.BatchInput.prefix", counted=True),
            "split_calls": settings.split_calls,
        }
        self.check_job = PythonFunction(
            self,
            "CheckJob",
            module="check_job",
            settings=settings,
            protection=protection,
            environment={
                "DATA_BUCKET": data.bucket.bucket_name,
                "BATCH_SIZE": str(settings.batch_size),
                "BATCH_BYTES": str(settings.batch_bytes),
                "MAX_CONCURRENCY": str(predictor.concurrency),
                "TOLERATED_PERCENTAGE": str(settings.tolerated_percentage),
            },
        )
        self.summarize = PythonFunction(
            self,
            "Summarize",
            module="summarize",
            settings=settings,
            protection=protection,
            timeout=settings.summarize_timeout,
            environment={
                "DATA_BUCKET": data.bucket.bucket_name,
                "MODEL_VERSION": model_version,
                "TEMPLATE_VERSION": template_version(),
                **metrics_environment(self, settings),
            },
        )
        data.grant_read(self.check_job.role, DATA_SETS)
        if settings.triggered:
            data.grant_read_versions(self.check_job.role, DATA_SETS)
        data.grant_list(self.check_job.role, DATA_SETS)
        data.grant_read(preprocess.role, DATA_SETS)
        data.grant_store(store.role, PREDICTIONS, REJECTED)
        data.grant_read(self.summarize.role, MAP_RESULTS, PREDICTIONS, REJECTED)
        data.grant_store(self.summarize.role, SUMMARIES)

        self.workflow = Workflow(
            self,
            "Workflow",
            chain=self._states(of_version=settings.triggered),
            settings=settings,
            timeout=settings.job_timeout,
            protection=protection,
        )
        data.grant_key(self.workflow.state_machine, write=True)
        acknowledge(self.workflow.state_machine, decisions.objects(data.arns([DATA_SETS, MAP_RESULTS])))
        self._grant_map_runs(self.workflow.state_machine)

    def _states(self, *, of_version: bool) -> sfn.IChainable:
        states = Construct(self, "States")
        check_job = FunctionStep(
            states,
            "CheckJob",
            function=self.check_job,
            payload={"job": "{% $states.input %}", "id": "{% $states.context.Execution.Name %}"},
            assign={"job": PAYLOAD, "failure": False},
            transient=S3_TRANSIENT,
            failed=failed(states, "CheckJobFailed", "CheckJob"),
        )
        data_format = sfn.Choice.jsonata(states, "Format")
        find_map_run = MapRunCall(
            states,
            "FindMapRun",
            action="listMapRuns",
            parameters={"ExecutionArn": "{% $states.context.Execution.Id %}"},
            # A Map whose own fields fail begins no run.
            outputs={"arn": "{% $count($states.result.MapRuns) > 0 ? $states.result.MapRuns[0].MapRunArn : '' %}"},
        )
        any_map_run = sfn.Choice.jsonata(states, "AnyMapRun")
        describe_map_run = MapRunCall(
            states,
            "DescribeMapRun",
            action="describeMapRun",
            parameters={"MapRunArn": "{% $states.input.arn %}"},
            outputs={"mapRun": "{% $states.result %}"},
        )
        no_map_run = sfn.Pass.jsonata(states, "NoMapRun", outputs={"mapRun": False})
        summarize = FunctionStep(
            states,
            "Summarize",
            function=self.summarize,
            payload={
                "job": "{% $job %}",
                "failure": "{% $failure %}",
                "mapRun": "{% $states.input.mapRun %}",
                "startedAt": "{% $states.context.Execution.StartTime %}",
                "endedAt": "{% $states.context.State.EnteredTime %}",
            },
            transient=S3_TRANSIENT,
            failed=failed(states, "SummarizeFailed", "Summarize"),
        )
        outcome = sfn.Choice.jsonata(states, "Outcome")
        job_failed = sfn.Fail.jsonata(
            states,
            "JobFailed",
            error="{% $failure.Error %}",
            cause="{% ($counts := $string($states.input.failed); "
            "$failure.Cause & ($counts = '{}' ? '' : '; records failed: ' & $counts) "
            "& ' (s3://' & $job.bucket & '/' & $job.prefix & '/summary.json)') %}",
        )

        for name, records in self._maps(states, of_version=of_version).items():
            data_format.when(sfn.Condition.jsonata(f"{{% $job.format = '{name}' %}}"), records)
            records.add_catch(find_map_run, errors=[ALL], assign={"failure": "{% $states.errorOutput %}"})
            records.next(find_map_run)
        find_map_run.next(any_map_run)
        any_map_run.when(sfn.Condition.jsonata("{% $states.input.arn != '' %}"), describe_map_run)
        any_map_run.otherwise(no_map_run)
        describe_map_run.next(summarize)
        no_map_run.next(summarize)
        summarize.next(outcome)
        outcome.when(
            sfn.Condition.jsonata("{% $states.input.status = 'SUCCEEDED' %}"), sfn.Succeed.jsonata(states, "Done")
        )
        outcome.otherwise(job_failed)
        return check_job.next(data_format)

    def _maps(self, scope: Construct, *, of_version: bool) -> dict[str, RecordsMap]:
        """A Map for each format that a data set may have."""
        bucket, key = self.data.bucket, "{% $job.source %}"
        # S3 asks for the one or the other; whether Step Functions looks at the object before is not confirmed.
        actions = ["s3:GetObject", "s3:GetObjectVersion"] if of_version else ["s3:GetObject"]
        read = iam.PolicyStatement(actions=actions, resources=self.data.arns([DATA_SETS]))
        listing = self.data.list_statement(DATA_SETS)
        csv = CsvReader(bucket=bucket, key=key, csv_headers=sfn.CsvHeaders.use_first_row())
        json_lines = JsonLinesReader(bucket=bucket, key=key)
        json = JsonReader(bucket=bucket, key=key)
        objects = ObjectsReader(bucket=bucket, prefix=key)

        csv_records = RecordsMap(
            scope,
            "CsvRecords",
            reader=csv.allowing(read),
            writer=MapRunWriter(data=self.data, prefix="{% $job.mapPrefix %}"),
            chain=InferenceChain(scope, "Batch", state_prefix="Csv", **self._chain_parts).chain,
            children=self._chain_parts["predictor"].children,
            state_prefix="Csv",
            of_version=of_version,
        )
        json_lines_records = RecordsMapLike(
            scope,
            "JsonLinesRecords",
            like=csv_records,
            reader=json_lines.allowing(read),
            state_prefix="JsonLines",
            of_version=of_version,
        )
        json_records = RecordsMapLike(
            scope,
            "JsonRecords",
            like=csv_records,
            reader=json.allowing(read),
            state_prefix="Json",
            of_version=of_version,
        )
        object_records = RecordsMapLike(
            scope,
            "ObjectRecords",
            like=csv_records,
            reader=objects.allowing(listing),
            state_prefix="Object",
            item=OBJECT,
        )
        return {"csv": csv_records, "jsonl": json_lines_records, "json": json_records, "objects": object_records}

    def _grant_map_runs(self, machine: sfn.StateMachine) -> None:
        """Lets the machine run its own children, and look at its own Map Runs.

        In place of the library's policy, which allows more than AWS asks for: to stop executions, and to redrive
        children, where Express ones are started again. A policy of its own as that one is: the machine waits for its
        role's first policy, which so cannot name it.
        https://docs.aws.amazon.com/step-functions/latest/dg/iam-policies-eg-dist-map.html
        https://docs.aws.amazon.com/step-functions/latest/apireference/API_RedriveExecution.html
        https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsstepfunctions.html
        """
        machine.node.try_remove_child("DistributedMapPolicy")
        policy = iam.Policy(self, "MapRunPolicy", roles=[machine.role])
        machine.grant_start_execution(policy)
        executions = Stack.of(self).format_arn(
            service="states",
            resource="execution",
            resource_name=f"{machine.state_machine_name}:*",
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )
        iam.Grant.add_to_principal(
            grantee=policy,
            actions=["states:DescribeExecution", "states:ListMapRuns"],
            resource_arns=[executions],
        )
        runs = Stack.of(self).format_arn(
            service="states",
            resource="mapRun",
            resource_name=f"{machine.state_machine_name}/*:*",
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )
        iam.Grant.add_to_principal(grantee=policy, actions=["states:DescribeMapRun"], resource_arns=[runs])
        acknowledge(policy, decisions.INLINE_POLICY, decisions.wildcard(NAMED_WHEN_THEY_START, executions, runs))


class MapRunCall(tasks.CallAwsService):
    """A call of Step Functions' own API. It brings no statement: `BatchJob` grants it beside the machine."""

    def __init__(
        self, scope: Construct, construct_id: str, *, action: str, parameters: dict[str, Any], outputs: dict[str, Any]
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            query_language=sfn.QueryLanguage.JSONATA,
            service="sfn",
            action=action,
            iam_resources=[],
            parameters=parameters,
            outputs=outputs,
            task_timeout=time_limit(CALL_SECONDS),
        )
        handle_call_failures(self, failed=failed(scope, f"{construct_id}Failed", construct_id))

    @property
    def _task_policies(self) -> list[iam.PolicyStatement] | None:
        return None
