"""Settings: what cannot work is refused with the value received and what is allowed."""

from __future__ import annotations

import re
from typing import Any

import botocore.session
import pytest

from stacks.settings import DEV, LOCAL, PROD, STAGES, InvalidSettings, Settings
from stacks.settings.instance_types import SIZES, has_disks

IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/team/model"
PACKAGE = "arn:aws:sagemaker:us-east-1:123456789012:model-package/churn/3"
SCHEDULE = (
    "schedule: expected rate(1 hour), rate(15 minutes) or six fields such as cron(0 20 * * ? *), one of the days a ?, "
    "in UTC; received "
)


def test_each_stage_is_known_by_its_name() -> None:
    assert STAGES == {"local": LOCAL, "dev": DEV, "prod": PROD}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"region": "Virginia"}, "region: expected an AWS region such as us-east-1, received 'Virginia'"),
        (
            {"python_version": "3.9"},
            "python_version: expected 3.11 or a later Python such as 3.14, received '3.9'",
        ),
        ({"architecture": "arm"}, "architecture: expected one of arm64, x86_64, received arm"),
        ({"function_memory": 64}, "function_memory: expected 128 to 10240, received 64"),
        ({"function_timeout": 295}, "function_timeout: expected 1 to 294, received 295"),
        ({"model_instances": 1_001}, "model_instances: expected 1 to 1000, received 1001"),
        (
            {"model_instance_type": "m5.large"},
            "model_instance_type: expected an instance type such as ml.m5.large, received 'm5.large'",
        ),
        (
            {"model_instance_type": "ml.m5.enormous"},
            "model_instance_type: expected a size of ml.m5 (large, xlarge, 2xlarge, 4xlarge, 12xlarge, 24xlarge), "
            "received 'ml.m5.enormous'",
        ),
        (
            {"model_instance_type": "ml.zz9.large"},
            "model_instance_type: expected an instance type such as ml.m5.large, received 'ml.zz9.large'",
        ),
        (
            {"model_image": "nginx:latest"},
            "model_image: expected an image in ECR with its tag or digest, such as "
            "123456789012.dkr.ecr.us-east-1.amazonaws.com/model:1, received 'nginx:latest'",
        ),
        (
            {"model_image": f"{IMAGE}@sha256:{'0' * 63}"},
            "model_image: expected an image in ECR with its tag or digest, such as "
            f"123456789012.dkr.ecr.us-east-1.amazonaws.com/model:1, received '{IMAGE}@sha256:{'0' * 63}'",
        ),
        (
            {"model_image": IMAGE.replace("us-east-1", "eu-west-1") + ":1"},
            "model_image: expected one in the stage's region, us-east-1, received one in eu-west-1",
        ),
        (
            {"model_framework": "caffe"},
            "model_framework: expected one of pytorch, sklearn, xgboost, received caffe",
        ),
        (
            {"model_framework": "sklearn", "model_image": f"{IMAGE}:1"},
            "model_framework: expected none beside model_image, received sklearn; a framework stands for an image "
            "of AWS's",
        ),
        (
            {"model_package_arn": "churn/3"},
            "model_package_arn: expected the ARN of a version in the Model Registry, such as "
            "arn:aws:sagemaker:us-east-1:123456789012:model-package/churn/3, received 'churn/3'",
        ),
        (
            {"model_package_arn": PACKAGE.replace("us-east-1", "eu-west-1")},
            "model_package_arn: expected one in the stage's region, us-east-1, received one in eu-west-1",
        ),
        *(
            (
                {"model_package_arn": PACKAGE, name: value},
                f"{name}: expected none beside model_package_arn, received {value}; the package names its image and "
                "its data itself",
            )
            for name, value in (
                ("model_archive", "churn"),
                ("model_framework", "sklearn"),
                ("model_image", f"{IMAGE}:1"),
            )
        ),
        *(
            ({name: value}, f"{name}: expected none without model_package_arn, received {value}")
            for name, value in (
                ("model_package_data", "s3://models/churn.tar.gz"),
                ("model_package_image", f"{IMAGE}:1"),
            )
        ),
        (
            {"model_package_arn": PACKAGE, "model_package_data": "s3://models/churn/"},
            "model_package_data: expected the package's object such as s3://models/churn/3/model.tar.gz, received "
            "'s3://models/churn/'",
        ),
        ({"batch_size": 0}, "batch_size: expected 1 to 256, received 0"),
        ({"batch_size": 257}, "batch_size: expected 1 to 256, received 257"),
        ({"batch_bytes": 262_145}, "batch_bytes: expected 1024 to 245504, received 262145"),
        ({"batch_bytes": 245_504}, "batch_size: expected 1 to 1, received 100"),
        ({"batch_bytes": 0}, "batch_bytes: expected 1024 to 245504, received 0"),
        ({"tolerated_percentage": 101}, "tolerated_percentage: expected 0 to 100, received 101"),
        ({"tolerated_percentage": -0.5}, "tolerated_percentage: expected 0 to 100, received -0.5"),
        ({"endpoint_concurrency": 0}, "endpoint_concurrency: expected 1 to 10000, received 0"),
        (
            {"endpoint_concurrency": 51, "model_instances": 200},
            "endpoint_concurrency: expected 1 to 50, received 51",
        ),
        ({"function_concurrency": 0}, "function_concurrency: expected 1 to 10000, received 0"),
        ({"split_calls": 2}, "split_calls: expected 3 to 1000, received 2"),
        ({"summarize_timeout": 901}, "summarize_timeout: expected 1 to 900, received 901"),
        ({"job_timeout": 300}, "job_timeout: expected 306 to 31536000, received 300"),
        (
            {"alarm_topic_arn": "alarms", "observability": True},
            "alarm_topic_arn: expected the ARN of an SNS topic such as arn:aws:sns:us-east-1:123456789012:alarms, "
            "received 'alarms'",
        ),
        (
            {"alarm_topic_arn": "arn:aws:sns:eu-west-1:123456789012:alarms", "observability": True},
            "alarm_topic_arn: expected a topic in us-east-1, received one in eu-west-1",
        ),
        (
            {"alarm_topic_arn": "arn:aws:sns:us-east-1:123456789012:alarms"},
            "alarm_topic_arn: expected None without observability, as there are no alarms, "
            "received arn:aws:sns:us-east-1:123456789012:alarms",
        ),
        ({"alarm_model_errors": 101}, "alarm_model_errors: expected 0 to 100, received 101"),
        ({"alarm_model_seconds": 0}, "alarm_model_seconds: expected 0.001 to 60, received 0"),
        ({"alarm_rejected": -1}, "alarm_rejected: expected 0 to 100, received -1"),
        ({"schedule": "hourly"}, f"{SCHEDULE}'hourly'"),
        ({"schedule": "rate(1 hours)"}, f"{SCHEDULE}'rate(1 hours)'"),
        ({"schedule": "rate(0 days)"}, f"{SCHEDULE}'rate(0 days)'"),
        ({"schedule": "rate(30 seconds)"}, f"{SCHEDULE}'rate(30 seconds)'"),
        ({"schedule": "cron(0 20 * * * *)"}, f"{SCHEDULE}'cron(0 20 * * * *)'"),
        ({"schedule": "cron(0 20 * * ?)"}, f"{SCHEDULE}'cron(0 20 * * ?)'"),
        (
            {"trigger_prefix": "outgoing/", "on_arrival": True},
            "trigger_prefix: expected the beginning of keys under incoming/, of letters, digits and !_.()'/-, "
            "received 'outgoing/'",
        ),
        (
            {"trigger_prefix": "incoming/*", "on_arrival": True},
            "trigger_prefix: expected the beginning of keys under incoming/, of letters, digits and !_.()'/-, "
            "received 'incoming/*'",
        ),
        (
            {"trigger_prefix": "incoming/submitted/monday/", "schedule": "rate(1 day)"},
            "trigger_prefix: expected another than incoming/submitted/, where each data set has its job, "
            "received 'incoming/submitted/monday/'",
        ),
        (
            {"trigger_prefix": "incoming/daily/"},
            "trigger_prefix: expected none without on_arrival or schedule, as nothing starts jobs, "
            "received 'incoming/daily/'",
        ),
        ({"noncurrent_days": 0}, "noncurrent_days: expected 1 to 3650, received 0"),
        ({"access_log_days": 3651}, "access_log_days: expected 1 to 3650, received 3651"),
        (
            {"machine_timeout": 65},
            "machine_timeout: expected more than the 65 seconds that one step may take, received 65",
        ),
        (
            {"machine_timeout": 205, "function_timeout": 200},
            "machine_timeout: expected more than the 205 seconds that one step may take, received 205",
        ),
    ],
)
def test_a_value_that_cannot_work_is_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidSettings) as caught:
        Settings(stage="test", **changed)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "schedule",
    ["rate(1 minute)", "rate(15 minutes)", "rate(10 days)", "cron(0 20 * * ? *)", "cron(0/15 8-17 ? * MON-FRI 2026)"],
)
def test_a_schedule_is_one_of_eventbridges(schedule: str) -> None:
    assert Settings(stage="test", schedule=schedule).triggered


def test_the_instance_types_are_those_of_sagemakers_api() -> None:
    model = botocore.session.get_session().get_service_model("sagemaker")
    known = model.shape_for("ProductionVariantInstanceType").enum  # type: ignore[attr-defined]  # of string shapes
    assert {f"ml.{family}.{size}" for family, sizes in SIZES.items() for size in sizes} == set(known)


@pytest.mark.parametrize("version", [":1.0", f"@sha256:{'0123456789abcdef' * 4}"])
def test_an_image_of_ones_own_is_taken_by_tag_or_digest(version: str) -> None:
    image = f"{IMAGE}{version}"
    assert Settings(stage="test", model_image=image).model_image == image


@pytest.mark.parametrize(
    ("family", "disks"), [("m5", False), ("c6gn", False), ("inf2", False), ("g5", True), ("m5d", True)]
)
def test_it_is_known_which_instances_have_disks_of_their_own(family: str, disks: bool) -> None:
    assert has_disks(f"ml.{family}.xlarge") is disks


def test_every_family_named_with_a_d_has_disks_of_its_own() -> None:
    named = {family for family in SIZES if re.fullmatch(r"[a-z]\d\w*d\w*", family)}
    assert {family for family in named if not has_disks(f"ml.{family}.xlarge")} == set()
