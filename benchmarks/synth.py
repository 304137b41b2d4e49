"""Synth of the whole app beside synth of an app with one empty resource: both with validation on, in turn."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_CONTEXT = "import json; context = json.load(open('cdk.json'))['context']; "
_WHOLE = _CONTEXT + "import app; app.build(context, {out!r}).synth()"
# A stack without any resource does not pass validation, so the smallest app has the smallest resource.
_EMPTY = _CONTEXT + (
    "import aws_cdk as cdk; app = cdk.App(context=context, outdir={out!r}); "
    "cdk.CfnWaitConditionHandle(cdk.Stack(app, 'Empty'), 'Nothing'); app.synth()"
)


@dataclass(frozen=True)
class Measured:
    """Seconds of a whole process, medians."""

    whole: float
    empty: float


def compare(rounds: int = 5) -> Measured:
    """Times both, one after the other, after one run of each to warm up."""
    with tempfile.TemporaryDirectory() as folder:
        scripts = [text.format(out=str(Path(folder) / name)) for text, name in ((_WHOLE, "whole"), (_EMPTY, "empty"))]
        taken: list[list[float]] = [[], []]
        for number in range(rounds + 1):
            for script, times in zip(scripts, taken, strict=True):
                seconds = _seconds(script)
                if number:
                    times.append(seconds)
    return Measured(*(statistics.median(times) for times in taken))


def _seconds(script: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)  # noqa: S603 - the two apps above
    return time.perf_counter() - start
