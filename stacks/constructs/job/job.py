"""What every batch job has: a Distributed Map over a data set in S3, and a summary that adds up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from aws_cdk import aws_iam as iam
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from lambda_src.contract import INCOMING
from stacks.acknowledgements import acknowledge
from stacks.constructs.data_bucket import DataBucket
from stacks.constructs.function.python_function import PythonFunction
from stacks.constructs.guard import decisions
from stacks.constructs.guard.protection import Protection
from stacks.constructs.job.map_runs import MapRunCall, grant_map_runs
from stacks.constructs.job.narrow_access import CsvReader, JsonLinesReader, JsonReader, MapRunWriter, ObjectsReader
from stacks.constructs.job.records_map import OBJECT, RecordsMap
from stacks.constructs.job.records_map_like import RecordsMapLike
from stacks.constructs.model.versions import template_version
from stacks.constructs.states.failures import ALL, S3_TRANSIENT, failed
from stacks.constructs.states.function_step import PAYLOAD, FunctionStep
from stacks.constructs.watch.observability import metrics_environment
from stacks.constructs.workflow import Workflow
from stacks.settings import Settings

DATA_SETS = f"{INCOMING}*"
PREDICTIONS, REJECTED = "jobs/*/predictions/*", "jobs/*/rejected/*"
SUMMARIES, MAP_RESULTS = "jobs/*/summary.json", "jobs/*/map/*"


class Job(Construct):
    """CheckJob → one Map by format → what the mode does then → FindMapRun → DescribeMapRun → Summarize → Done, or
    JobFailed.

    The input is a job (see `lambda_src.check_job`), the output its summary. `preprocess` and `store` get the grants on
    `data` that a job needs; `concurrency` is how many batches run at once, `children` what their executions are. Each
    kind of job says what becomes of a batch (`_batch`), and of all of them (`_after_maps`), and calls `_build`.
    """

    _seen = "mapRun"
    """What Summarize calls the Map Run, or Map Runs."""

    _variables: ClassVar[Mapping[str, Any]] = {}
    """What the machine's variables are at first, besides `job` and `failure`."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        data: DataBucket,
        preprocess: PythonFunction,
        store: PythonFunction,
        model_version: str,
        concurrency: int,
        children: sfn.StateMachineType,
        settings: Settings,
        protection: Protection,
    ) -> None:
        super().__init__(scope, construct_id)
        self.data = data
        self._children = children
        self._settings, self._protection = settings, protection
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
                "MAX_CONCURRENCY": str(concurrency),
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

    def _batch(self, scope: Construct, state_prefix: str) -> sfn.IChainable:
        """The chain of states that a batch goes through; the name of each begins with `state_prefix`."""
        raise NotImplementedError

    def _after_maps(self, scope: Construct, counting: sfn.IChainable) -> sfn.IChainable:
        """What comes once every batch has been through its chain, until the job is counted."""
        return counting

    def _build(self) -> None:
        """Makes the machine."""
        self.workflow = Workflow(
            self,
            "Workflow",
            chain=self._states(),
            settings=self._settings,
            timeout=self._settings.job_timeout,
            protection=self._protection,
        )
        self.data.grant_key(self.workflow.state_machine, write=True)
        acknowledge(self.workflow.state_machine, decisions.objects(self.data.arns([DATA_SETS, MAP_RESULTS])))
        grant_map_runs(self, self.workflow.state_machine)

    def _states(self) -> sfn.IChainable:
        states = Construct(self, "States")
        check_job = FunctionStep(
            states,
            "CheckJob",
            function=self.check_job,
            payload={"job": "{% $states.input %}", "id": "{% $states.context.Execution.Name %}"},
            assign={"job": PAYLOAD, "failure": False, **self._variables},
            transient=S3_TRANSIENT,
            failed=failed(states, "CheckJobFailed", "CheckJob"),
        )
        data_format = sfn.Choice.jsonata(states, "Format")
        summarize = FunctionStep(
            states,
            "Summarize",
            function=self.summarize,
            payload={
                "job": "{% $job %}",
                "failure": "{% $failure %}",
                self._seen: f"{{% $states.input.{self._seen} %}}",
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

        counting = self._look(states, summarize)
        after_maps = self._after_maps(states, counting)
        for name, records in self._maps(states).items():
            data_format.when(sfn.Condition.jsonata(f"{{% $job.format = '{name}' %}}"), records)
            records.add_catch(counting, errors=[ALL], assign={"failure": "{% $states.errorOutput %}"})
            records.next(after_maps)
        summarize.next(outcome)
        outcome.when(
            sfn.Condition.jsonata("{% $states.input.status = 'SUCCEEDED' %}"), sfn.Succeed.jsonata(states, "Done")
        )
        outcome.otherwise(job_failed)
        return check_job.next(data_format)

    def _look(self, states: Construct, summarize: sfn.IChainable) -> sfn.IChainable:
        """Looks at the job's Map Run, for its counts."""
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
        find_map_run.next(any_map_run)
        any_map_run.when(sfn.Condition.jsonata("{% $states.input.arn != '' %}"), describe_map_run)
        any_map_run.otherwise(no_map_run)
        describe_map_run.next(summarize)
        no_map_run.next(summarize)
        return find_map_run

    def _maps(self, scope: Construct) -> dict[str, RecordsMap]:
        """A Map for each format that a data set may have."""
        bucket, key = self.data.bucket, "{% $job.source %}"
        of_version = self._settings.triggered
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
            chain=self._batch(scope, "Csv"),
            children=self._children,
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
