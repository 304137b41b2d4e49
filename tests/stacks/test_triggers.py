"""What starts jobs by itself: nothing unless it is asked for, and then no more than EventBridge may."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.synthesis import STACKS, Assembly, Stack

CALLED = "TriggersStartJobFunction"
FILES = ("CsvRecords", "JsonLinesRecords", "JsonRecords")


@pytest.fixture(params=STACKS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def stack(synthesized: Callable[[str], Assembly], name: str) -> Stack:
    """A stack with both triggers, and all else that production can have."""
    return synthesized("prod-vpc").stacks[name]


def test_nothing_starts_jobs_unless_it_is_asked_for(synthesized: Callable[[str], Assembly], name: str) -> None:
    for stage in ("local", "prod"):
        plain = synthesized(stage).stacks[name]
        assert not plain.of_type("AWS::Events::Rule")
        assert not any(CALLED in logical for logical in plain.resources)
        assert "NotificationConfiguration" not in plain.of_type("AWS::S3::Bucket")["DataBucket"]


def test_the_bucket_tells_eventbridge_without_a_function_of_the_librarys(stack: Stack) -> None:
    buckets = stack.of_type("AWS::S3::Bucket")
    told = {"EventBridgeConfiguration": {"EventBridgeEnabled": True}}
    assert buckets["DataBucket"]["NotificationConfiguration"] == told
    assert "NotificationConfiguration" not in buckets["DataLogs"]
    assert not [it for it in stack.resources.values() if it["Type"].startswith("Custom::")]


def test_objects_created_under_the_prefix_in_this_bucket_call_the_function(stack: Stack) -> None:
    rule = stack.of_type("AWS::Events::Rule")["TriggersArrival"]
    assert rule["EventPattern"] == {
        "source": ["aws.s3"],
        "detail-type": ["Object Created"],
        "detail": {"bucket": {"name": ["<DataBucket>"]}, "object": {"key": [{"prefix": "incoming/daily/"}]}},
    }
    assert [it["Arn"] for it in rule["Targets"]] == [f"<{CALLED}.Arn>"]


def test_the_schedule_calls_the_function(stack: Stack) -> None:
    rule = stack.of_type("AWS::Events::Rule")["TriggersSchedule"]
    assert rule["ScheduleExpression"] == "rate(1 day)"
    assert [it["Arn"] for it in rule["Targets"]] == [f"<{CALLED}.Arn>"]


def test_each_trigger_has_what_it_needs_itself_and_no_more(synthesized: Callable[[str], Assembly], name: str) -> None:
    arrival, schedule = (synthesized(it).stacks[name] for it in ("dev-serverless", "prod-async"))
    assert set(arrival.of_type("AWS::Events::Rule")) == {"TriggersArrival"}
    assert "s3:ListBucketVersions" not in str(arrival.statements("TriggersStartJobRole"))
    (rule,) = schedule.of_type("AWS::Events::Rule").values()
    assert rule["ScheduleExpression"] == "cron(0 20 * * ? *)"
    assert "NotificationConfiguration" not in schedule.of_type("AWS::S3::Bucket")["DataBucket"]


def test_only_eventbridge_may_call_the_function_and_for_these_rules_only(stack: Stack) -> None:
    allowed = [it for it in stack.of_type("AWS::Lambda::Permission").values() if CALLED in str(it["FunctionName"])]
    assert {(it["Principal"], it["Action"]) for it in allowed} == {("events.amazonaws.com", "lambda:InvokeFunction")}
    assert sorted(it["SourceArn"] for it in allowed) == ["<TriggersArrival.Arn>", "<TriggersSchedule.Arn>"]


def test_the_function_may_start_this_job_look_for_data_sets_and_read_summaries(stack: Stack) -> None:
    own = [it for it in stack.statements("TriggersStartJobRole") if "states:" in str(it) or "s3:" in str(it["Action"])]
    assert own == [
        {"Effect": "Allow", "Action": "states:StartExecution", "Resource": "<JobWorkflowStateMachine>"},
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "<DataBucket.Arn>/jobs/*/summary.json"},
        {
            "Effect": "Allow",
            "Action": "s3:ListBucketVersions",
            "Resource": "<DataBucket.Arn>",
            "Condition": {"StringLike": {"s3:prefix": "incoming/daily/*"}},
        },
    ]


def test_a_job_reads_the_version_that_its_check_found(stack: Stack, synthesized: Callable[[str], Assembly]) -> None:
    readers = {name: stack.job["States"][name]["ItemReader"]["Arguments"] for name in FILES}
    assert {it["VersionId"] for it in readers.values()} == {"{% $job.version %}"}
    assert "VersionId" not in stack.job["States"]["ObjectRecords"]["ItemReader"]["Arguments"]
    plain = synthesized("prod").stacks["InferenceStack"].job["States"]
    assert all("VersionId" not in plain[name]["ItemReader"]["Arguments"] for name in FILES)


def test_the_version_may_be_read_by_who_reads_the_data_set(stack: Stack) -> None:
    of_version = {
        role: statement["Resource"]
        for role in ("JobCheckJobRole", "JobWorkflowStateMachineRole")
        for statement in stack.statements(role)
        if "s3:GetObjectVersion" in statement["Action"]
    }
    assert set(of_version.values()) == {"<DataBucket.Arn>/incoming/*"}
    assert len(of_version) == 2


def test_a_job_that_could_not_be_started_rings(stack: Stack) -> None:
    alarm = stack.of_type("AWS::CloudWatch::Alarm")["ObservabilityUnstartedJobs"]
    assert (alarm["MetricName"], alarm["Threshold"]) == ("Errors", 0)
    assert alarm["Dimensions"] == [{"Name": "FunctionName", "Value": f"<{CALLED}>"}]
