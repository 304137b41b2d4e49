"""EventBridge in the embedded AWS: what it tells of objects, whom it may call, and when schedules do."""

import asyncio
import json
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from local import ministack, schedules
from local.clock import Clock
from local.ministack.privates import lambda_service
from tests.e2e.deployment import until
from tests.local_aws import LAMBDA_TRUST, LocalAws, zipped

ACCOUNT = ministack.ACCOUNT
KEEPS = """
import json, boto3
def handler(event, context):
    s3 = boto3.client("s3")
    tries = len(s3.list_objects_v2(Bucket="BUCKET-seen").get("Contents", []))
    s3.put_object(Bucket="BUCKET-seen", Key=f"{tries}", Body=json.dumps(event))
    if tries < FAILS:
        raise RuntimeError("once more")
"""


class Target:
    """A bucket that tells EventBridge, and a function that keeps what it is called with."""

    def __init__(self, aws: LocalAws, *, fails: int = 0) -> None:
        self.aws, self.name = aws, f"t-{uuid.uuid4().hex[:8]}"
        self.s3, self.events = aws.client("s3"), aws.client("events")
        for bucket in (self.name, f"{self.name}-seen"):
            self.s3.create_bucket(Bucket=bucket)
        self.s3.put_bucket_versioning(Bucket=self.name, VersioningConfiguration={"Status": "Enabled"})
        self.s3.put_bucket_notification_configuration(
            Bucket=self.name, NotificationConfiguration={"EventBridgeConfiguration": {}}
        )
        code = KEEPS.replace("BUCKET", self.name).replace("FAILS", str(fails))
        role = aws.role(f"{self.name}-role", LAMBDA_TRUST, {"Effect": "Allow", "Action": "s3:*", "Resource": "*"})
        function = {"Role": role, "Runtime": "python3.13", "Handler": "app.handler", "Timeout": 20}
        made = aws.client("lambda").create_function(
            FunctionName=self.name, Code={"ZipFile": zipped(app=code)}, **function
        )
        self.function = str(made["FunctionArn"])

    def rule(self, name: str, what: dict[str, str], *, allowed: bool = True) -> None:
        """A rule that calls the function, and may do so."""
        rule = self.events.put_rule(Name=name, **what)["RuleArn"]
        self.events.put_targets(Rule=name, Targets=[{"Id": "1", "Arn": self.function}])
        if allowed:
            self.aws.client("lambda").add_permission(
                FunctionName=self.name,
                StatementId=name,
                Action="lambda:InvokeFunction",
                Principal="events.amazonaws.com",
                SourceArn=rule,
            )

    @property
    def seen(self) -> list[Any]:
        """What the function was called with."""
        bucket = f"{self.name}-seen"
        keys = [it["Key"] for it in self.s3.list_objects_v2(Bucket=bucket).get("Contents", [])]
        return [json.loads(self.s3.get_object(Bucket=bucket, Key=key)["Body"].read()) for key in keys]

    @property
    def created(self) -> dict[str, str]:
        """A pattern of the bucket's events."""
        bucket = {"bucket": {"name": [self.name]}}
        return {"EventPattern": json.dumps({"source": ["aws.s3"], "detail-type": ["Object Created"], "detail": bucket})}


@pytest.fixture
def target(aws: LocalAws) -> Iterator[Target]:
    target = Target(aws)
    yield target
    for rule in target.events.list_rules()["Rules"]:
        target.events.remove_targets(Rule=rule["Name"], Ids=["1"])
        target.events.delete_rule(Name=rule["Name"])


@pytest.mark.parametrize("key", ["in/a b.csv", "in/\U0001f600+%20.csv", "in/\x01\x7f.csv"])
def test_an_event_has_the_key_as_it_is_and_the_version(target: Target, key: str) -> None:
    target.rule("created", target.created)
    version = target.s3.put_object(Bucket=target.name, Key=key, Body=b"1")["VersionId"]
    (event,) = until(lambda: target.seen, lambda seen: len(seen) == 1)
    assert event["detail"]["object"]["key"] == key
    assert event["detail"]["object"]["version-id"] == version
    assert (event["source"], event["detail-type"]) == ("aws.s3", "Object Created")


def test_a_rule_that_the_functions_policy_does_not_name_calls_nobody(
    target: Target, caplog: pytest.LogCaptureFixture
) -> None:
    target.rule("stranger", target.created, allowed=False)
    target.rule("known", target.created)
    target.s3.put_object(Bucket=target.name, Key="a", Body=b"1")
    until(lambda: target.seen, lambda seen: bool(seen))
    until(lambda: caplog.text, lambda text: f"EventBridge may not call {target.function}" in text)
    assert len(target.seen) == 1
    assert "rule/stranger: the event is lost" in caplog.text


def test_a_function_that_fails_is_called_again(aws: LocalAws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lambda_service, "_LAMBDA_ASYNC_RETRY_BASE_SECONDS", 0.01)
    target = Target(aws, fails=2)
    target.rule("failing", target.created)
    target.s3.put_object(Bucket=target.name, Key="a", Body=b"1")
    first, second, third = until(lambda: target.seen, lambda seen: len(seen) == 3)
    assert first == second == third


def test_a_schedule_calls_at_its_time_and_not_before(target: Target) -> None:
    hourly = {"ScheduleExpression": "rate(1 hour)"}
    target.rule("hourly", hourly)
    target.rule("off", {**hourly, "State": "DISABLED"})
    assert ministack.has_schedules()
    now = time.time()
    ministack.run_schedules(now + 3_000)
    assert target.seen == []
    for _ in range(2):
        ministack.run_schedules(now + 3_700)
    (event,) = until(lambda: target.seen, lambda seen: len(seen) == 1)
    assert (event["source"], event["detail-type"]) == ("aws.events", "Scheduled Event")
    assert event["resources"] == [f"arn:aws:events:us-east-1:{ACCOUNT}:rule/hourly"]


class Looks:
    """Rules that note when they were looked at, until it was twice."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.twice = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def has_schedules(self) -> bool:
        return True

    def run_schedules(self, now: float) -> None:
        self.times.append(now)
        if len(self.times) == 2:
            self._loop.call_soon_threadsafe(self.twice.set)


def test_schedules_go_by_the_clock_whose_minutes_may_be_short() -> None:
    async def look() -> list[float]:
        looks = Looks()
        close = schedules.install(looks, Clock(0.0005))
        await looks.twice.wait()
        await close()
        return looks.times

    first, second, *_ = asyncio.run(look())
    assert second - first >= schedules.MINUTE
