"""Which code derived each grant: for `docs/iam.md`. A grant of no source, and a source of no grant, fail a test."""

from __future__ import annotations

import ast
import functools
import json
import re
from dataclasses import dataclass

from tests.roles import Allowed, Role
from tests.synthesis import ROOT

FUNCTION = r"(Preprocess(Data)?|Predict|StoreResults|JobCheckJob|JobSummarize|TriggersStartJob|AsyncModel\w+)Role"
MACHINE = r"(Job)?WorkflowStateMachineRole"
JOB = "JobWorkflowStateMachineRole"


@dataclass(frozen=True)
class Source:
    """The code behind the grants whose role, action and resource match: `name` is called or defined in `file`.

    `condition` is a pattern that is found in the grant's condition, where the other three do not tell.
    """

    role: str
    action: str
    resource: str
    file: str
    name: str
    condition: str = ""

    def made(self, role: Role, allowed: Allowed) -> bool:
        """Whether this code derived what the role is allowed."""
        pairs = ((self.role, role.name), (self.action, allowed.action), (self.resource, allowed.resource))
        bound = re.search(self.condition, json.dumps(allowed.condition)) is not None
        return bound and all(re.fullmatch(pattern, text) for pattern, text in pairs)

    def __str__(self) -> str:
        return f"`{self.file}`: `{self.name}`"


JOBS = "stacks/constructs/job/job.py"
MODEL = "stacks/constructs/model/served_model.py"
ASYNC, WAITING = "stacks/constructs/endpoint/async_endpoint.py", "stacks/constructs/states/async_predictor.py"
TRANSFORM = "stacks/constructs/states/transform.py"
DATA = "stacks/constructs/data_bucket.py"
NETWORK = "stacks/constructs/guard/network.py"
TRIGGERS, START = "stacks/constructs/job/job_triggers.py", "TriggersStartJobRole"
KEY = "stacks/constructs/guard/customer_key.py"

SERVED = "(Model|Challenger)Role"

FUNCTIONS, PARTS = "stacks/constructs/function/python_function.py", "stacks/constructs/job/parts_map.py"

SOURCES = (
    Source(FUNCTION, r"logs:\w+", r"<\w+Logs\.Arn>", FUNCTIONS, "log_group.grant_write"),
    Source(FUNCTION, r"xray:\w+", r"\*", FUNCTIONS, "Tracing.ACTIVE"),
    Source(r"Preprocess(Data)?Role|JobCheckJobRole", "s3:GetObject", r".*/incoming/\*", JOBS, "data.grant_read"),
    Source("JobCheckJobRole", "s3:GetObjectVersion", r".*/incoming/\*", JOBS, "data.grant_read_versions"),
    Source("JobCheckJobRole", "s3:ListBucket", ".*", JOBS, "data.grant_list"),
    Source("StoreResultsRole", r"s3:\w+", r".*/jobs/.*", JOBS, "data.grant_store"),
    Source("StoreResultsRole", r"s3:\w+", r".*/requests/\*", "stacks/inference.py", "data.grant_store"),
    Source("JobSummarizeRole", "s3:GetObject", r".*/(map|predictions|rejected)/\*", JOBS, "data.grant_read"),
    Source("JobSummarizeRole", r"s3:\w+", r".*/summary\.json", JOBS, "data.grant_store"),
    Source(MACHINE, "lambda:InvokeFunction", ".*", "stacks/constructs/states/function_step.py", "FunctionStep"),
    Source(MACHINE, "sagemaker:InvokeEndpoint", ".*", "stacks/constructs/states/invoke_endpoint.py", "InvokeEndpoint"),
    Source(MACHINE, r"logs:\w+", r"\*", "stacks/constructs/workflow.py", "sfn.LogOptions"),
    Source(MACHINE, r"xray:\w+", r"\*", "stacks/constructs/workflow.py", "tracing_enabled"),
    Source(JOB, r"s3:\w+", r".*/map/\*", "stacks/constructs/job/narrow_access.py", "MapRunWriter"),
    Source(JOB, r"s3:GetObject(Version)?", r".*/incoming/\*", JOBS, "csv.allowing"),
    Source(JOB, "s3:ListBucket", ".*", JOBS, "objects.allowing", condition="incoming/"),
    Source(JOB, "s3:ListBucket", ".*", PARTS, "ObjectsReader", condition="transform/jobs/"),
    Source(MACHINE, r"sagemaker:(\w+TransformJob|ListTags)", ".*", TRANSFORM, "statements"),
    Source(MACHINE, r"iam:PassRole|events:\w+", ".*", TRANSFORM, "statements"),
    Source(MACHINE, "kms:CreateGrant", "<Key.Arn>", TRANSFORM, "statements"),
    Source("PreprocessDataRole", "s3:PutObject", r".*/transform/.*", TRANSFORM, "data.grant_write"),
    Source("StoreResultsRole", "s3:GetObject", r".*/transform/\*", TRANSFORM, "data.grant_read"),
    Source("StoreResultsRole", "s3:PutObject", r".*/transform/.*", TRANSFORM, "data.grant_write"),
    Source("StoreResultsRole", "s3:ListBucket", ".*", TRANSFORM, "data.grant_list"),
    Source("ModelRole", "s3:GetObject", r".*/transform/.*", TRANSFORM, "data.grant_read"),
    Source("ModelRole", "s3:PutObject", r".*/transform/.*", TRANSFORM, "data.grant_write"),
    Source("ModelRole", "s3:ListBucket", ".*", TRANSFORM, "data.grant_list"),
    Source(
        "JobSummarizeRole",
        "s3:GetObject",
        r".*/parts/\*",
        "stacks/constructs/job/transform_batch_job.py",
        "data.grant_read",
    ),
    Source(JOB, r"states:\w+", ".*", "stacks/constructs/job/map_runs.py", "grant_map_runs"),
    Source(
        rf"{FUNCTION}|{JOB}|{SERVED}", r"kms:\w+", "<Key.Arn>", DATA, "self.key.grant_objects", condition=":aws:s3:arn"
    ),
    Source(MACHINE, r"kms:\w+", "<Key.Arn>", KEY, "encrypt_machine", condition=":stateMachineArn|:SourceArn"),
    Source(FUNCTION, r"ec2:\w+", ".*", NETWORK, "grant_function_interfaces"),
    Source(START, "states:StartExecution", "<JobWorkflowStateMachine>", TRIGGERS, "machine.grant_start_execution"),
    Source(START, "s3:GetObject", r".*/summary\.json", TRIGGERS, "data.grant_read"),
    Source(START, "s3:ListBucketVersions", "<DataBucket.Arn>", TRIGGERS, "data.grant_list_versions"),
    Source(SERVED, r"ec2:\w+", ".*", NETWORK, "grant_model_interfaces"),
    Source(SERVED, r"ecr:\w+", ".*", MODEL, "image.repository.grant_pull"),
    Source(SERVED, "s3:GetObject", r"arn:.*", MODEL, "_grant_model_data"),
    Source("ModelRole", "s3:GetObject", r".*/async/in/\*", ASYNC, "data.grant_read"),
    Source("ModelRole", "s3:PutObject", r".*/async/(out|failed)/\*", ASYNC, "data.grant_write"),
    Source(SERVED, "s3:PutObject", r".*/capture/\*", "stacks/constructs/endpoint/capture.py", "data.grant_write"),
    Source(
        SERVED, "cloudwatch:DescribeAlarms", ".*:alarm:.*", "stacks/constructs/endpoint/deployment.py", "grant_alarms"
    ),
    Source("ModelRole", "sns:Publish", "<Model(Answered|Failed)>", ASYNC, "AsyncEndpoint"),
    Source("AsyncModelSubmitInferenceRole", "s3:PutObject", r".*/async/(in|tokens)/\*", WAITING, "data.grant_write"),
    Source("AsyncModelSubmitInferenceRole", "sagemaker:InvokeEndpointAsync", ".*", WAITING, "endpoint.grant_invoke"),
    Source("AsyncModelResumeInferenceRole", "s3:GetObject", r".*/async/(tokens|out)/\*", WAITING, "data.grant_read"),
    Source("AsyncModelResumeInferenceRole", r"states:\w+", r"\*", WAITING, "AsyncPredictor"),
    Source(SERVED, r"logs:\w+|cloudwatch:PutMetricData", ".*", MODEL, "_grant_monitoring"),
)


def source_of(role: Role, allowed: Allowed) -> Source:
    """The one source of a grant. Raises `LookupError` where there is none, or more than one."""
    found = [source for source in SOURCES if source.made(role, allowed)]
    if len(found) != 1:
        raise LookupError(
            f"{role.name}: expected one source of {allowed.action} on {allowed.resource}, found {len(found)}: "
            "name the code that derived it in tests/gate/iam_sources.py"
        )
    return found[0]


@functools.cache
def names_in(file: str) -> frozenset[str]:
    """Every name that a module defines, uses or passes by keyword."""
    found: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / file).read_text())):
        for field in ("id", "attr", "name", "arg"):
            if isinstance(name := getattr(node, field, None), str):
                found.add(name)
    return frozenset(found)


def stands(source: Source) -> bool:
    """Whether the file still has what the source names."""
    return set(source.name.split(".")) <= names_in(source.file)
