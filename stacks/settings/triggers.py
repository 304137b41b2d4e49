"""The settings of what starts jobs by itself: which schedules and prefixes AWS takes."""

from __future__ import annotations

import re

from lambda_src.contract import INCOMING, SUBMITTED

_RATE = r"rate\((1 (minute|hour|day)|([2-9]|[1-9]\d+) (minutes|hours|days))\)"
_MINUTES, _HOURS, _MONTHS, _YEARS = r"[\d,*/-]+", r"[\d,*/-]+", r"[\dA-Z,*/-]+", r"[\d,*/-]+"
_DAY, _WEEKDAY = r"[\d,*/LW-]+", r"[\dA-Z,*/#-]+"
_CRON = rf"cron\({_MINUTES} {_HOURS} ({_DAY} {_MONTHS} \?|\? {_MONTHS} {_WEEKDAY}) {_YEARS}\)"
_SCHEDULE = re.compile(f"{_RATE}|{_CRON}")
"""https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html"""

_PREFIX = re.compile(rf"{INCOMING}[\w!.()'/-]{{0,200}}", re.ASCII)
"""What patterns of events and of policies take as it stands."""


def check(*, on_arrival: bool, schedule: str | None, prefix: str) -> None:
    """Raises `ValueError`, naming the setting, the value received and what is allowed."""
    if schedule is not None and not _SCHEDULE.fullmatch(schedule):
        raise ValueError(
            "schedule: expected rate(1 hour), rate(15 minutes) or six fields such as cron(0 20 * * ? *), one of the "
            f"days a ?, in UTC; received {schedule!r}"
        )
    if not _PREFIX.fullmatch(prefix):
        raise ValueError(
            f"trigger_prefix: expected the beginning of keys under {INCOMING}, of letters, digits and !_.()'/-, "
            f"received {prefix!r}"
        )
    if prefix.startswith(SUBMITTED):
        raise ValueError(
            f"trigger_prefix: expected another than {SUBMITTED}, where each data set has its job, received {prefix!r}"
        )
    if prefix != INCOMING and not on_arrival and schedule is None:
        raise ValueError(
            f"trigger_prefix: expected none without on_arrival or schedule, as nothing starts jobs, received {prefix!r}"
        )
