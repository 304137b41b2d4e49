"""docs/modes.md says what the settings check with, and what the embedded AWS holds to."""

from __future__ import annotations

import pytest

from lambda_src.contract import MAX_STATE_BYTES, TOGETHER_BYTES
from local.sagemaker import asynchronous
from local.sagemaker.shapes import input_shape
from stacks.settings import LOCAL, InvalidSettings
from stacks.settings.limits import LIMITS, PAYLOAD_MB
from stacks.settings.modes import ASYNC, DEFAULTS, REALTIME, TRANSFORM
from tests.modes import document


def test_the_page_is_up_to_date() -> None:
    # Where this fails: python -m tests.modes
    assert document.PAGE.read_text("utf-8") == document.page()


@pytest.mark.parametrize("mode", DEFAULTS)
def test_whatever_a_state_lets_through_a_call_of_the_model_takes(mode: str) -> None:
    assert LIMITS[mode].payload > MAX_STATE_BYTES


@pytest.mark.parametrize("mode", DEFAULTS)
def test_the_workflow_waits_no_longer_for_a_call_than_aws_lets_the_model_work(mode: str) -> None:
    assert document.call_seconds(LOCAL.in_mode(mode)) <= LIMITS[mode].seconds


def test_the_models_time_is_refused_beyond_awss() -> None:
    most = LIMITS[ASYNC].seconds
    assert LOCAL.in_mode(ASYNC, async_timeout=most, machine_timeout=3 * most).async_timeout == most
    with pytest.raises(InvalidSettings, match=f"async_timeout: expected 1 to {most}, received {most + 1}"):
        LOCAL.in_mode(ASYNC, async_timeout=most + 1, machine_timeout=3 * most)


def test_the_embedded_aws_has_the_same_limits() -> None:
    assert (
        input_shape("sagemaker-runtime", "InvokeEndpoint").members["Body"].metadata["max"] == LIMITS[REALTIME].payload
    )
    assert (LIMITS[ASYNC].payload, LIMITS[ASYNC].seconds) == (asynchronous.MAX_INPUT, asynchronous.MAX_SECONDS)


def test_what_a_batch_may_weigh_in_a_transform_job_is_what_the_job_takes() -> None:
    assert TOGETHER_BYTES == PAYLOAD_MB * 2**20 <= LIMITS[TRANSFORM].payload
