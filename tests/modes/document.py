"""docs/modes.md, made from the modes' settings and limits and from the cost calculator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks import cost
from lambda_src.contract import MAX_RECORD_BYTES, MAX_STATE_BYTES, RECORD_BYTES, TOGETHER_BYTES
from stacks.settings import DEV, ENDPOINT_SECONDS, Settings
from stacks.settings.limits import LIMITS
from stacks.settings.modes import ASYNC, DEFAULTS, REALTIME, SERVERLESS, TRANSFORM
from tests.synthesis import ROOT

PAGE = ROOT / "docs" / "modes.md"
TEMPLATE = Path(__file__).with_name("words.md")


@dataclass(frozen=True)
class Words:
    """What no figure says of a mode."""

    when: str
    answer: str
    pays: str
    at_first: str


WORDS = {
    REALTIME: Words(
        when="requests that wait for their answer, all day; jobs that should begin at once",
        answer="at once",
        pays="the instances' hours, asked or not",
        at_first="nothing: the instances run",
    ),
    SERVERLESS: Words(
        when="a few requests now and then, a small model, hours without any",
        answer="at once",
        pays="memory for the milliseconds it works, and bytes",
        at_first="a cold start of seconds, as for each container more",
    ),
    ASYNC: Words(
        when="a model that takes minutes, or bursts that may queue",
        answer="when the queue has come to it",
        pays="the instances' hours, and more steps for each batch",
        at_first="nothing, or minutes where no instance runs",
    ),
    TRANSFORM: Words(
        when="jobs alone, by night or by the week, with nothing in between",
        answer="when the transform job has ended",
        pays="instances for as long as a job runs",
        at_first="minutes, for each job and each request",
    ),
}


def call_seconds(settings: Settings) -> int:
    """How long the model may work on one call, as the settings have it."""
    own = {ASYNC: settings.async_timeout, TRANSFORM: settings.transform_timeout}
    return int(own.get(settings.mode, ENDPOINT_SECONDS))


def page() -> str:
    """The whole document."""
    return TEMPLATE.read_text("utf-8").format(table=table(), footnotes=footnotes(), weight=weight())


def table() -> str:
    """One column a mode."""
    rows: list[tuple[str, Callable[[str], str]]] = [
        ("use it for", lambda mode: WORDS[mode].when),
        ("the answer comes", lambda mode: WORDS[mode].answer),
        ("before the first answer", lambda mode: WORDS[mode].at_first),
        ("a call of the model may take", lambda mode: f"{call_seconds(DEV.in_mode(mode)):,} s"),
        ("of AWS's most", lambda mode: f"[{LIMITS[mode].seconds:,} s]({LIMITS[mode].source})"),
        ("AWS takes in one call", lambda mode: size(LIMITS[mode].payload)),
        ("a record may weigh", lambda mode: size(RECORD_BYTES[mode])),
        ("batches at once", lambda mode: str(DEV.in_mode(mode).capacity)),
        ("you pay for", lambda mode: WORDS[mode].pays),
        ("a month in which nobody asks", idle),
        ("a million records in one job", lambda mode: f"${cost.job(mode).total:.2f}"),
    ]
    lines = [["", *(f"`{mode}`" for mode in DEFAULTS)], ["---"] * (len(DEFAULTS) + 1)]
    lines += [[what, *(say(mode) for mode in DEFAULTS)] for what, say in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def idle(mode: str) -> str:
    """What a month without a request costs, also where a setting changes it."""
    settings = DEV.in_mode(mode)
    always = settings.model_instances if mode in (REALTIME, ASYNC) else 0
    if mode != ASYNC:
        return f"${cost.idle(always):,.0f}"
    none = DEV.in_mode(mode, model_instances=0, model_instances_max=1).model_instances
    return (
        f"${cost.idle(always):,.0f}; ${cost.idle(none):,.0f} with `-c model_instances={none} -c model_instances_max=1`"
    )


def footnotes() -> str:
    """What the table's figures rest on."""
    given = cost.Assumptions()
    return (
        "Dollars are from `benchmarks/cost.py`, list prices of us-east-1 without a free tier: one ml.m5.large, "
        f"{DEV.in_mode(SERVERLESS).serverless_memory:,} MB where there is no instance, the stage `dev`, batches of "
        f"{cost.JOB_BATCH}, {given.predict[0] * 1_000:.0f} ms a call, {cost.SERVING[TRANSFORM].seconds // 60} minutes "
        "until a transform job's instance works. With requests of one record, an instance that always runs costs less "
        f"than a serverless endpoint from {cost.break_even() / 1e6:.0f} million a month on; a model that takes ten "
        "times as long reaches that with a tenth."
    )


def weight() -> str:
    """What binds a record's size."""
    large = {mode: most for mode, most in RECORD_BYTES.items() if mode in DEFAULTS and most > MAX_RECORD_BYTES}
    usual = (
        f"A batch travels between steps in a state, and Step Functions lets {size(MAX_STATE_BYTES)} through: less than "
        f"any mode's call takes. So a record may weigh {size(MAX_RECORD_BYTES)}, wherever it lies."
    )
    more = "".join(
        f" In mode `{mode}` only names travel: there a record that lies in an object of its own may weigh "
        f"{size(most)}, and those of one batch {size(TOGETHER_BYTES)} together (`--batch-size`)."
        for mode, most in large.items()
    )
    refused = (
        "An object that is larger is rejected as `RecordTooLarge`, and the cause says which mode would take it. In a "
        "file of many records Step Functions itself refuses a line over its limit, whose batch then fails with "
        "`States.DataLimitExceeded`. What is larger still belongs into S3, with its address in the record."
    )
    return f"{usual}{more}\n\n{refused}"


def size(count: int) -> str:
    """Bytes for a person."""
    for unit, bytes_of in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count >= bytes_of:
            return f"{count / bytes_of:g} {unit}"
    return f"{count} bytes"
