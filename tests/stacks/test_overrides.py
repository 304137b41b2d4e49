"""Settings given as text."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stacks.settings import DEV, PROD, InvalidSettings
from stacks.settings.overrides import SETTINGS, overridden


def test_each_setting_is_read_as_what_it_is() -> None:
    found = overridden(DEV, {"batch_size": "10", "tolerated_percentage": "2.5", "vpc": "TRUE", "region": "eu-west-1"})
    assert found == replace(DEV, batch_size=10, tolerated_percentage=2.5, vpc=True, region="eu-west-1")


def test_a_mode_takes_its_own_settings_and_leaves_those_of_the_stages_mode() -> None:
    found = overridden(PROD, {"mode": "serverless", "serverless_memory": "4096"})
    assert found == PROD.in_mode("serverless", serverless_memory=4_096)


def test_a_value_that_cannot_work_is_refused_as_in_code() -> None:
    with pytest.raises(InvalidSettings, match="batch_size: expected 1 to"):
        overridden(DEV, {"batch_size": "0"})


def test_what_is_no_text_and_the_stage_itself_cannot_be_given() -> None:
    assert {"stage", "log_retention", "removal_policy"}.isdisjoint(SETTINGS)
    assert {"mode", "model_instances", "alarm_topic_arn", "customer_key"} <= SETTINGS.keys()
