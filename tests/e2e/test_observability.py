"""The stacks with eyes on them: alarms and the dashboard are there, and an alarm rings when what it is for happens."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from jobs.names import generated
from lambda_src.contract import json_lines
from model import examples, train
from tests.e2e.client import Client, client_of
from tests.e2e.conftest import TOPIC
from tests.e2e.deployment import Deployment, until
from tests.synthesis import STACKS, unhashed

STACK = "InferenceStack"


@pytest.fixture(scope="module")
def client(watched: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with client_of(watched, tmp_path_factory.mktemp("watched-jobs")) as client:
        yield client


@pytest.fixture(scope="module")
def mail(watched: Deployment) -> str:
    """The URL of a queue that gets what the topic gets."""
    arn = "arn:aws:sqs:us-east-1:000000000000:mail"
    allowed = {"Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": arn}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **allowed}]})
    queue = str(watched.client("sqs").create_queue(QueueName="mail", Attributes={"Policy": policy})["QueueUrl"])
    watched.client("sns").subscribe(TopicArn=TOPIC, Protocol="sqs", Endpoint=arn)
    return queue


def alarm_of(watched: Deployment, stack: str, title: str) -> dict[str, Any]:
    """The alarm as CloudWatch has it now."""
    name = watched.named(stack, f"Observability{title}")
    (found,) = watched.client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"]
    return dict(found)


def rings(watched: Deployment, stack: str, title: str) -> None:
    """Waits until the alarm rings."""
    until(lambda: alarm_of(watched, stack, title)["StateValue"], lambda state: state == "ALARM")


def sums(watched: Deployment, stack: str, workflow: str, *names: str) -> dict[str, float]:
    """What each of the stack's own metrics adds up to so far."""
    now = datetime.now(UTC)
    found = {}
    for name in names:
        points = watched.client("cloudwatch").get_metric_statistics(
            Namespace="Sluice",
            MetricName=name,
            Dimensions=[{"Name": "Stack", "Value": stack}, {"Name": "Workflow", "Value": workflow}],
            StartTime=now - timedelta(hours=1),
            EndTime=now + timedelta(hours=1),
            Period=3600,
            Statistics=["Sum"],
        )["Datapoints"]
        found[name] = sum(point["Sum"] for point in points)
    return found


def run_job(client: Client, stack: str, rejected: int) -> None:
    """A job of 20 records, so many of them without a number."""
    records = examples.records(train.load())[:20]
    body = json_lines([*records[rejected:], *({**it, "mean area": "vast"} for it in records[:rejected])])
    job, at = generated("watched"), client.stack(stack)
    client.start(job, client.put(job, "records.jsonl", body, at), at)
    assert client.ended(job, at).status == "SUCCEEDED"


def test_every_alarm_is_there_goes_to_the_topic_and_stands_on_the_dashboard(watched: Deployment) -> None:
    for stack in STACKS:
        titles = [
            unhashed(name).removeprefix("Observability")
            for name, it in watched.assembly.stacks[stack].template["Resources"].items()
            if it["Type"] == "AWS::CloudWatch::Alarm"
        ]
        alarms = [alarm_of(watched, stack, title) for title in titles]
        assert len(alarms) >= 9
        assert {(*it["AlarmActions"], *it["OKActions"]) for it in alarms} == {(TOPIC, TOPIC)}
        name = watched.named(stack, "ObservabilityDashboard")
        body = json.loads(watched.client("cloudwatch").get_dashboard(DashboardName=name)["DashboardBody"])
        assert body["widgets"][0]["properties"]["alarms"] == [it["AlarmArn"] for it in alarms]


@pytest.mark.parametrize("stack", STACKS)
def test_a_failed_job_rings_and_is_told_to_the_topic(
    watched: Deployment, client: Client, mail: str, stack: str
) -> None:
    assert alarm_of(watched, stack, "FailedJobs")["StateValue"] != "ALARM"
    job, at = generated("watched"), client.stack(stack)
    client.start(job, "incoming/nothing.csv", at)
    assert client.ended(job, at).status == "FAILED"
    rings(watched, stack, "FailedJobs")
    name, queue = watched.named(stack, "ObservabilityFailedJobs"), watched.client("sqs")

    def told() -> list[str]:
        messages = queue.receive_message(QueueUrl=mail, MaxNumberOfMessages=10).get("Messages", [])
        return [json.loads(json.loads(it["Body"])["Message"])["AlarmName"] for it in messages]

    until(told, lambda names: name in names)


@pytest.mark.parametrize("stack", STACKS)
def test_what_became_of_a_jobs_records_is_counted_and_many_rejected_ones_ring(
    watched: Deployment, client: Client, stack: str
) -> None:
    run_job(client, stack, rejected=2)
    outcomes = ("RecordsPredicted", "RecordsRejected", "RecordsFailed", "Batches")
    counted = {"RecordsPredicted": 18, "RecordsRejected": 2, "RecordsFailed": 0, "Batches": 1}
    until(lambda: sums(watched, stack, "Job", *outcomes), lambda found: found == counted)
    assert alarm_of(watched, stack, "RejectedRecords")["StateValue"] == "OK"
    run_job(client, stack, rejected=3)
    rings(watched, stack, "RejectedRecords")


@pytest.mark.parametrize("stack", STACKS)
def test_what_became_of_a_requests_records_is_counted(watched: Deployment, stack: str) -> None:
    records = examples.request(train.load())[:4]
    watched.execute(stack, {"records": [*records, {"id": "bad"}]})
    outcomes = ("RecordsPredicted", "RecordsRejected")
    until(lambda: sums(watched, stack, "Request", *outcomes), lambda found: tuple(found.values()) == (4, 1))


def test_a_model_that_fails_rings_under_the_name_that_an_endpoint_can_know_beforehand(watched: Deployment) -> None:
    assert watched.named(STACK, "ObservabilityModelErrors") == f"{STACK}-ModelErrors"
    runtime, name = watched.client("sagemaker-runtime"), watched.outputs[STACK]["EndpointName"]

    def ask() -> str:
        with pytest.raises(ClientError, match="ModelError"):
            runtime.invoke_endpoint(EndpointName=name, Body=b"{", ContentType="application/json")
        return str(alarm_of(watched, STACK, "ModelErrors")["StateValue"])

    until(ask, lambda state: state == "ALARM")
