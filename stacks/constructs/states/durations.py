"""Times as the CDK takes them, each made once: every new one is a call into the CDK's own process."""

from __future__ import annotations

import functools

from aws_cdk import Duration
from aws_cdk import aws_stepfunctions as sfn


@functools.cache
def seconds(count: int) -> Duration:
    return Duration.seconds(count)


@functools.cache
def time_limit(count: int) -> sfn.Timeout:
    """A task's limit, in seconds."""
    return sfn.Timeout.duration(seconds(count))
