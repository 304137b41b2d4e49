"""The settings of a stage: what can be chosen, and what cannot work."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, replace
from typing import Any

from aws_cdk import RemovalPolicy
from aws_cdk.aws_logs import RetentionDays

from lambda_src.contract import ENVELOPE_BYTES, INCOMING, MAX_CONCURRENCY, MAX_STATE_BYTES, RESULT_BYTES, most_records
from stacks.settings import changes, instance_types, scaling, triggers
from stacks.settings.limits import LIMITS, MOST_AT_ONCE_MB, PAYLOAD_MB
from stacks.settings.model import check_model
from stacks.settings.modes import ASYNC, DEFAULTS, NOT_GIVEN, REALTIME, SERVERLESS, TRANSFORM, defaults, without_others

ARCHITECTURES = ("arm64", "x86_64")

ENDPOINT_SECONDS = LIMITS[REALTIME].seconds
"""How long SageMaker lets a real-time or a serverless endpoint answer one request."""

EXPRESS_SECONDS = 300
"""How long an Express execution may last.
https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
"""

NEWEST_PYTHON = "3.14"
"""The newest of Lambda's runtimes. https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html"""

MARGIN_SECONDS = 5
"""How much longer a task waits than what it calls may take: so the callee tells of its timeout itself."""


class InvalidSettings(ValueError):
    """A value that cannot work: the message names the setting, the value received and what is allowed."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One stage. Refuses values that cannot work with `InvalidSettings`.

    Times are whole seconds. `on_this_machine` builds functions for the Python that runs the app and its
    operating system, instead of Lambda's.
    """

    stage: str
    region: str = "us-east-1"
    python_version: str = NEWEST_PYTHON
    architecture: str = "arm64"
    on_this_machine: bool = False
    function_memory: int = 512
    function_timeout: int = 30
    machine_timeout: int = NOT_GIVEN
    """How long a request may take in all."""
    mode: str = REALTIME
    """How SageMaker serves the model: realtime, serverless, async or transform. What is NOT_GIVEN has a default in
    its modes (see `stacks.settings.modes`), and is refused in others."""
    model_archive: str | None = None
    """A folder, or a `model.tar.gz`, with `code/inference.py` and what it loads, relative to the project; None is the
    sample model, `model/`, but for an image, which then brings its own. See docs/bring-your-own-model.md."""
    model_framework: str | None = None
    """Whose container of AWS's serves the archive: pytorch, sklearn or xgboost; None is pytorch."""
    model_image: str | None = None
    """An image in ECR instead of AWS's, best by its digest (`repository@sha256:...`), which nobody can move."""
    model_package_arn: str | None = None
    """A version in the Model Registry, instead of archive and container."""
    model_package_data: str | None = None
    """The object in S3 that the package loads, s3://bucket/key, which the model's role may then read."""
    model_package_image: str | None = None
    """The image in ECR that the package runs, which the model's role may then pull."""
    model_instance_type: str = "ml.m5.large"
    model_instances: int = NOT_GIVEN
    """How many instances the endpoint has, or, where it scales, always has. None at all in mode async alone."""
    model_instances_max: int | None = NOT_GIVEN
    """How many instances the endpoint may scale to; None is as many as `model_instances`: nothing scales."""
    scaling_percentage: float = NOT_GIVEN
    """How much of its `endpoint_concurrency` an instance is to have in use: above it, instances are added."""
    scaling_invocations: float | None = None
    """How many calls a minute an instance is to have at most, where a load test told; None scales by what is under
    way alone. For mode realtime."""
    endpoint_concurrency: int = NOT_GIVEN
    """How many batches one instance of the endpoint is given at once."""
    serverless_memory: int = NOT_GIVEN
    """MB of a serverless endpoint's container: 1024 to 6144, in whole GB."""
    serverless_concurrency: int = NOT_GIVEN
    """How many batches a serverless endpoint is given at once: more are throttled."""
    async_timeout: int = NOT_GIVEN
    """How long the model may work on one request of an asynchronous endpoint; it may wait as long before."""
    transform_instances: int = NOT_GIVEN
    """How many instances a transform job has: each starts for it, and ends with it."""
    transform_concurrency: int = NOT_GIVEN
    """How many batches one instance of a transform job is given at once (AWS: MaxConcurrentTransforms)."""
    transform_timeout: int = NOT_GIVEN
    """How long the model may work on one batch of a transform job."""
    deployment: str = NOT_GIVEN
    """How a changed model takes over from the old one, which serves until then: all-at-once, canary (a part first) or
    linear (in equal parts). See docs/operations.md."""
    deployment_percentage: int | None = NOT_GIVEN
    """How much of the traffic is the canary, or each linear step; None is 20."""
    deployment_wait: int | None = NOT_GIVEN
    """How long the canary, or each linear step but the last, is watched; None is 300 seconds."""
    deployment_bake: int | None = NOT_GIVEN
    """How long the old instances are kept when the new ones have all traffic; None is 300 seconds, and none at all
    where all goes over at once, without rollback."""
    rollback: bool = NOT_GIVEN
    """Whether the alarms on the model take an update back when they ring; it needs `observability`."""
    challenger: str | None = NOT_GIVEN
    """A second model beside the first, an archive as `model_archive` is, in the same container."""
    challenger_percentage: int | None = NOT_GIVEN
    """How much of the traffic the challenger answers; or gets a copy of, as a shadow."""
    challenger_shadow: bool = NOT_GIVEN
    """Whether the challenger's answers go nowhere: only its metrics, and what is captured, tell of it."""
    capture_percentage: int | None = NOT_GIVEN
    """How much of the requests and answers is captured under `capture/` in the data bucket; None is nothing."""
    function_concurrency: int = 32
    """How many batches are given at once to functions that hold the model themselves; in mode transform, to those
    that prepare and store them."""
    batch_size: int = 100
    """The most records of a batch, where a job does not say; what fits `batch_bytes` may be fewer."""
    batch_bytes: int = 180_224
    """The most bytes of a batch's input. With its instances or its results it has to fit one state too."""
    tolerated_percentage: float = 0
    """The share of a job's records that may fail, where a job does not say. Rejected records have not failed."""
    split_calls: int = 64
    """The most model calls for one batch that the model refuses, until it is split no further and fails."""
    job_timeout: int = 86_400
    summarize_timeout: int = 300
    log_retention: RetentionDays = RetentionDays.ONE_MONTH
    removal_policy: RemovalPolicy = RemovalPolicy.DESTROY
    customer_key: bool = False
    """Whether a key of the account's own encrypts data, logs, executions and the model's disks. It costs a dollar a
    month in each stack, and each call of it; without one AWS uses keys of its own."""
    vpc: bool = False
    """Whether functions and model run in private subnets of a network of their own, without a way to the internet.
    It costs about 15 dollars a month in each stack."""
    on_arrival: bool = False
    """Whether each data set that lands under `trigger_prefix` starts a job, once for each version of the object."""
    schedule: str | None = None
    """When the data sets under `trigger_prefix` that had no job yet get one: `rate(1 hour)`, `cron(0 20 * * ? *)`."""
    trigger_prefix: str = INCOMING
    """Where the two look: all of it, or a part such as `incoming/daily/`."""
    termination_protection: bool = False
    """Whether the stacks refuse to be deleted until somebody has turned this off."""
    observability: bool = False
    """Whether the stacks have a dashboard, alarms and metrics of their own: about $7 a month each, see
    docs/operations.md."""
    alarm_topic_arn: str | None = None
    """The SNS topic that an alarm goes to when it rings and when it is over; None rings in the console only."""
    alarm_model_errors: float = 5
    """The percentage of model calls that may fail with a server error before the alarm rings."""
    alarm_model_seconds: float = 10
    """How long 99 of 100 model calls may take before the alarm rings."""
    alarm_rejected: float = 10
    """The percentage of a job's records that may be rejected before the alarm rings."""
    noncurrent_days: int = 30
    """How long what was overwritten or deleted in the data bucket can be had back."""
    access_log_days: int = 90
    """How long the notes of who reached the data bucket are kept."""

    def __post_init__(self) -> None:
        if self.mode not in DEFAULTS:
            raise InvalidSettings(f"mode: expected one of {', '.join(DEFAULTS)}, received {self.mode}")
        try:
            for name, value in defaults(self.mode, asdict(self)).items():
                object.__setattr__(self, name, value)  # frozen for everybody else
            check_model(asdict(self))
        except ValueError as problem:
            raise InvalidSettings(str(problem)) from None
        self._match("region", self.region, r"[a-z]{2}(-[a-z]+)+-\d", "an AWS region such as us-east-1")
        self._match("python_version", self.python_version, r"3\.1[1-9]", "3.11 or a later Python such as 3.14")
        if self.architecture not in ARCHITECTURES:
            raise InvalidSettings(
                f"architecture: expected one of {', '.join(ARCHITECTURES)}, received {self.architecture}"
            )
        if (wanted := instance_types.allowed(self.model_instance_type)) is not None:
            raise InvalidSettings(f"model_instance_type: expected {wanted}, received {self.model_instance_type!r}")
        self._within("function_memory", self.function_memory, 128, 10_240)
        # Each batch of a job is an Express execution, and its steps wait a margin longer than their function.
        self._within("function_timeout", self.function_timeout, 1, EXPRESS_SECONDS - MARGIN_SECONDS - 1)
        self._check_mode()
        self._within("function_concurrency", self.function_concurrency, 1, MAX_CONCURRENCY)
        self._within("batch_bytes", self.batch_bytes, 1_024, MAX_STATE_BYTES - ENVELOPE_BYTES - RESULT_BYTES)
        self._within("batch_size", self.batch_size, 1, most_records(self.batch_bytes))
        self._within("tolerated_percentage", self.tolerated_percentage, 0, 100)
        self._within("split_calls", self.split_calls, 3, 1_000)
        self._within("summarize_timeout", self.summarize_timeout, 1, 900)
        self._within("job_timeout", self.job_timeout, self.summarize_timeout + MARGIN_SECONDS + 1, 31_536_000)
        try:
            triggers.check(on_arrival=self.on_arrival, schedule=self.schedule, prefix=self.trigger_prefix)
        except ValueError as problem:
            raise InvalidSettings(str(problem)) from None
        self._within("noncurrent_days", self.noncurrent_days, 1, 3_650)
        self._within("access_log_days", self.access_log_days, 1, 3_650)
        if self.alarm_topic_arn is not None:
            self._match(
                "alarm_topic_arn",
                self.alarm_topic_arn,
                r"arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[\w-]{1,256}",
                "the ARN of an SNS topic such as arn:aws:sns:us-east-1:123456789012:alarms",
            )
            if (region := self.alarm_topic_arn.split(":")[3]) != self.region:
                raise InvalidSettings(f"alarm_topic_arn: expected a topic in {self.region}, received one in {region}")
            if not self.observability:
                raise InvalidSettings(
                    "alarm_topic_arn: expected None without observability, as there are no alarms, "
                    f"received {self.alarm_topic_arn}"
                )
        self._within("alarm_model_errors", self.alarm_model_errors, 0, 100)
        self._within("alarm_model_seconds", self.alarm_model_seconds, 0.001, ENDPOINT_SECONDS)
        self._within("alarm_rejected", self.alarm_rejected, 0, 100)
        longest_step = max(self.function_timeout, self.model_seconds) + MARGIN_SECONDS
        if self.machine_timeout <= longest_step:
            raise InvalidSettings(
                f"machine_timeout: expected more than the {longest_step} seconds that one step may take, "
                f"received {self.machine_timeout}"
            )

    @property
    def triggered(self) -> bool:
        """Whether jobs are started by what lands in the bucket."""
        return self.on_arrival or self.schedule is not None

    @property
    def capacity(self) -> int:
        """How many batches the model takes at once, with all the instances that it may have."""
        if self.mode == SERVERLESS:
            return self.serverless_concurrency
        if self.mode == TRANSFORM:
            return self.transform_instances * self.transform_concurrency
        return self.most_instances * self.endpoint_concurrency

    @property
    def most_instances(self) -> int:
        """How many instances the endpoint has at most."""
        return self.model_instances if self.model_instances_max is None else self.model_instances_max

    @property
    def scaled(self) -> bool:
        """Whether the endpoint's instances follow the load."""
        return self.mode not in (SERVERLESS, TRANSFORM) and self.most_instances > self.model_instances

    @property
    def model_seconds(self) -> int:
        """How long the workflow waits for the model's answer to one batch."""
        if self.mode == TRANSFORM:
            return self.transform_timeout
        return 2 * self.async_timeout if self.mode == ASYNC else ENDPOINT_SECONDS

    def in_mode(self, mode: str, **changes: Any) -> Settings:
        """The same in another mode, with `changes`: what only the old one has goes. Raises `InvalidSettings`."""
        if mode not in DEFAULTS:
            raise InvalidSettings(f"mode: expected one of {', '.join(DEFAULTS)}, received {mode}")
        return replace(self, **{**({} if mode == self.mode else without_others(mode)), **changes})

    def _check_mode(self) -> None:
        if self.vpc and self.mode in (SERVERLESS, ASYNC):
            # A serverless endpoint has none in AWS; in async mode functions call more than the network reaches.
            # https://docs.aws.amazon.com/sagemaker/latest/dg/serverless-endpoints.html
            raise InvalidSettings(
                f"vpc: expected false in mode {self.mode}, received true; it is for modes {REALTIME} and {TRANSFORM}"
            )
        if self.mode == SERVERLESS:
            # https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ProductionVariantServerlessConfig.html
            if self.serverless_memory not in range(1_024, 6_145, 1_024):
                raise InvalidSettings(
                    f"serverless_memory: expected 1024 to 6144 in steps of 1024, received {self.serverless_memory}"
                )
            self._within("serverless_concurrency", self.serverless_concurrency, 1, 200)
        if self.scaling_invocations is not None and not (self.mode == REALTIME and self.scaled):
            raise InvalidSettings(
                "scaling_invocations: expected None but in mode realtime with model_instances_max above "
                f"model_instances, received {self.scaling_invocations:g}"
            )
        if self.mode == SERVERLESS:
            return
        if self.mode == TRANSFORM:
            self._within("transform_instances", self.transform_instances, 1, 100)
            self._within("transform_concurrency", self.transform_concurrency, 1, MOST_AT_ONCE_MB // PAYLOAD_MB)
            self._within("transform_timeout", self.transform_timeout, 1, LIMITS[TRANSFORM].seconds)
            return
        try:
            scaling.check(self)
            changes.check(self)
        except ValueError as problem:
            raise InvalidSettings(str(problem)) from None
        self._within("endpoint_concurrency", self.endpoint_concurrency, 1, MAX_CONCURRENCY // self.most_instances)
        if self.mode == ASYNC:
            self._within("async_timeout", self.async_timeout, 1, LIMITS[ASYNC].seconds)

    @property
    def tags(self) -> dict[str, str]:
        """What CloudFormation puts on every resource of a stack that takes tags."""
        return {"project": "sluice", "stage": self.stage}

    @staticmethod
    def _match(name: str, value: str, pattern: str, allowed: str) -> None:
        if not re.fullmatch(pattern, value):
            raise InvalidSettings(f"{name}: expected {allowed}, received {value!r}")

    @staticmethod
    def _within(name: str, value: float, least: float, most: int) -> None:
        if not least <= value <= most:
            raise InvalidSettings(f"{name}: expected {least} to {most}, received {value}")
