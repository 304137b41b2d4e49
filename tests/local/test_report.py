"""What `python -m local` shows of records and results that were made to deceive."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from local import cli
from local.failure import CommandError
from local.report import show
from local.workflows import Job, Run

DECEIVING = "\x1b]8;;http://a.example\x07[red]click[/red]\x1b[2J :smile: \u202egnp.exe\nok"
SHOWN = r"\x1b]8;;http://a.example\x07[red]click[/red]\x1b[2J :smile: \u202egnp.exe\x0aok"


def test_ids_labels_errors_and_places_are_shown_as_they_are_with_nothing_a_terminal_would_obey() -> None:
    prediction = {"id": DECEIVING, "index": 0, "prediction": {"label": DECEIVING, "p_malignant": 0.5}}
    rejected = {"id": "r", "index": 1, "error": DECEIVING, "cause": DECEIVING}
    run = Run("Workflow", "arn", 0.1, [prediction], [rejected], f"s3://{DECEIVING}")
    summary = {
        "records": {"in": 2, "predicted": 1, "rejected": 1, "failed": 0},
        "batches": {"total": 1},
        "outputs": {"predictions": DECEIVING},
    }
    console = Console(file=io.StringIO(), force_terminal=True, width=400, color_system="truecolor")

    show(console, {Path("request"): [run]}, Job(DECEIVING, "arn", 0.1, summary), 1.0)

    text = console.file.getvalue()  # type: ignore[attr-defined]  # it is the StringIO above
    assert text.count(SHOWN) == 7
    assert "\x1b]8" not in text
    assert "\x07" not in text
    assert "\u202e" not in text


def test_an_error_is_one_line_without_control_characters(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: object) -> None:
        raise CommandError(f"the execution failed with {DECEIVING}")

    monkeypatch.setattr(cli, "_deployed", fails)
    monkeypatch.setattr("local.interrupt.catch", lambda: None)
    assert cli.main(["run"]) == 1
    assert capsys.readouterr().err == f"error: the execution failed with {SHOWN.replace(chr(92) + 'x0a', ' ')}\n"
