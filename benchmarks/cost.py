"""What a million records cost on AWS, by design and batch size: a small calculator with its prices and assumptions.

List prices of us-east-1 without free tiers and discounts, as AWS's pricing pages have them; check them before you
rely on a figure. Orchestration is Step Functions alone; Lambda, S3 and the endpoint's hours come on top.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from stacks.settings import DEV
from stacks.settings.modes import ASYNC, REALTIME, SERVERLESS, TRANSFORM

RECORDS = 1_000_000

TRANSITION = 0.025 / 1_000
"""A state transition of a Standard execution, in dollars: https://aws.amazon.com/step-functions/pricing/"""

EXPRESS_REQUEST = 1.00 / 1_000_000
EXPRESS_GB_SECOND = 0.00001667
"""An Express execution, and its memory (chunks of 64 MB) for its time (steps of 100 ms): the same page, first tier."""

LAMBDA_REQUEST = 0.20 / 1_000_000
LAMBDA_GB_SECOND = 0.0000133334
"""arm64, first tier: https://aws.amazon.com/lambda/pricing/"""

S3_PUT = 0.005 / 1_000
"""https://aws.amazon.com/s3/pricing/"""

ENDPOINT_HOUR = 0.115
"""One ml.m5.large behind an endpoint: https://aws.amazon.com/sagemaker/ai/pricing/"""


@dataclass(frozen=True)
class Assumptions:
    """What a batch of n records takes on AWS: seconds of each step, its part that grows with n beside it."""

    preprocess: tuple[float, float] = (0.010, 0.00002)
    predict: tuple[float, float] = (0.015, 0.00002)
    store: tuple[float, float] = (0.040, 0.000005)
    orchestration: float = 0.060
    """Between the steps of one execution."""

    function_gb: float = 0.5
    express_gb: float = 0.0625
    """One chunk of 64 MB; a batch and its definition fit into it."""

    concurrency: int = 16
    """Children at once, which is what decides how long the endpoint is needed."""

    record_bytes: int = 400
    result_bytes: int = 40
    """What one record's instance and its prediction weigh on the way to the model and back."""

    def step(self, seconds: tuple[float, float], batch: int) -> float:
        """Seconds of one step for a batch of that size."""
        return seconds[0] + seconds[1] * batch

    def execution(self, batch: int) -> float:
        """Seconds of one chain from start to end."""
        steps = (self.preprocess, self.predict, self.store)
        return self.orchestration + sum(self.step(seconds, batch) for seconds in steps)


@dataclass(frozen=True)
class Cost:
    """Dollars for a million records."""

    design: str
    batch: int
    orchestration: float
    functions: float
    storage: float
    endpoint: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.orchestration + self.functions + self.storage + self.endpoint


def standard_a_record(assumed: Assumptions) -> Cost:
    """The design to compare with: a Standard execution for each record, three states each."""
    return _cost("one Standard execution a record", 1, RECORDS * 3 * TRANSITION, assumed)


def standard_children(batch: int, assumed: Assumptions) -> Cost:
    """A distributed Map whose children are Standard: its start and three states for each batch."""
    return _cost("distributed Map, Standard children", batch, _batches(batch) * 4 * TRANSITION, assumed)


def express_children(batch: int, assumed: Assumptions) -> Cost:
    """Sluice's job: Express children. The Map is charged one transition for each child it starts."""
    billed = math.ceil(assumed.execution(batch) * 10) / 10
    child = EXPRESS_REQUEST + EXPRESS_GB_SECOND * assumed.express_gb * billed
    around = 8 * TRANSITION  # CheckJob, Format, the Map, FindMapRun, DescribeMapRun, Summarize and the end
    return _cost("Sluice's job: Express children", batch, _batches(batch) * (TRANSITION + child) + around, assumed)


def _batches(batch: int) -> int:
    return math.ceil(RECORDS / batch)


def _cost(design: str, batch: int, orchestration: float, assumed: Assumptions) -> Cost:
    batches = _batches(batch)
    seconds = assumed.step(assumed.preprocess, batch) + assumed.step(assumed.store, batch)
    functions = batches * (2 * LAMBDA_REQUEST + LAMBDA_GB_SECOND * assumed.function_gb * seconds)
    hours = batches * assumed.execution(batch) / assumed.concurrency / 3600
    return Cost(design, batch, orchestration, functions, batches * S3_PUT, hours * ENDPOINT_HOUR)


def table(assumed: Assumptions | None = None) -> list[Cost]:
    """The designs, the dearest first."""
    given = assumed or Assumptions()
    return [
        standard_a_record(given),
        *(standard_children(batch, given) for batch in (10, 100)),
        *(express_children(batch, given) for batch in (1, 10, 100, 200)),
    ]


HOURS = 730
"""Of a month."""

SERVERLESS_GB_SECOND = 0.00002
SERVERLESS_GB = 0.016
"""A serverless endpoint's memory while it works, and each GB in or out of it: unconfirmed from here, see
https://aws.amazon.com/sagemaker/ai/pricing/"""

JOB_BATCH = 100
"""Records of a batch, as the stages have it."""


@dataclass(frozen=True)
class Serving:
    """What a million records take in one mode beside what they take in real time.

    `maps` is how many Maps a batch goes through, `transitions` what a Standard child makes (none where it is Express);
    `calls` of functions and `puts` of objects are of one batch; `seconds` is how long a job's own instance is reckoned
    to be billed before it works: AWS says no figure.
    """

    maps: int = 1
    transitions: int = 0
    calls: int = 0
    puts: int = 0
    seconds: int = 0
    memory: float = 0.0
    """GB of a serverless container."""


SERVING: Mapping[str, Serving] = {
    REALTIME: Serving(),
    SERVERLESS: Serving(memory=DEV.in_mode(SERVERLESS).serverless_memory / 1_024),
    # Preprocess, the choice, the model and the store; the batch, its token and its answer in S3.
    ASYNC: Serving(transitions=4, calls=2, puts=3),
    # A second Map stores what came out; the batch, what pairs it again and its answer in S3.
    TRANSFORM: Serving(maps=2, puts=3, seconds=300),
}
"""By mode."""


def idle(instances: int) -> float:
    """Dollars a month for instances that always run, whether anybody asks or not."""
    return instances * ENDPOINT_HOUR * HOURS


def job(mode: str, assumed: Assumptions | None = None) -> Cost:
    """A million records as one job; instances that always run are reckoned for as long as it takes."""
    given, mine = assumed or Assumptions(), SERVING[mode]
    base, batches = express_children(JOB_BATCH, given), _batches(JOB_BATCH)
    standard = batches * (1 + mine.transitions) * TRANSITION
    orchestration = standard if mine.transitions else mine.maps * base.orchestration
    functions = batches * mine.calls * (LAMBDA_REQUEST + LAMBDA_GB_SECOND * given.function_gb * given.store[0])
    working = batches * given.step(given.predict, JOB_BATCH)
    endpoint = base.endpoint + mine.seconds / 3_600 * ENDPOINT_HOUR
    if mine.memory:
        moved = RECORDS * (given.record_bytes + given.result_bytes) / 1e9
        endpoint = working * mine.memory * SERVERLESS_GB_SECOND + moved * SERVERLESS_GB
    return Cost(
        mode,
        JOB_BATCH,
        orchestration,
        base.functions + functions,
        base.storage + batches * mine.puts * S3_PUT,
        endpoint,
    )


def break_even(assumed: Assumptions | None = None) -> float:
    """Requests of one record a month from which an instance that always runs costs less than a serverless endpoint."""
    given = assumed or Assumptions()
    seconds = given.step(given.predict, 1)
    moved = (given.record_bytes + given.result_bytes) / 1e9
    return idle(1) / (seconds * SERVING[SERVERLESS].memory * SERVERLESS_GB_SECOND + moved * SERVERLESS_GB)
