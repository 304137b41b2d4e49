"""Where a command's words go: results to stdout, progress and errors to stderr, one JSON document with `--json`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from rich.console import Console

from jobs.results import written_whole
from jobs.text import json_text, visible_lines
from lambda_src.contract import Json, visible

PLAIN_WIDTH = 200
"""Columns where no terminal tells them, so that a line of a table stays a line."""


class Output:
    """One command's output. No escape code goes where there is no terminal, whatever FORCE_COLOR says."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.console = _console(sys.stdout)
        self.progress = Console(quiet=True, file=sys.stderr) if as_json else _console(sys.stderr)

    def document(self, document: Json) -> None:
        """The one document of `--json`."""
        print(json_text(document, indent=2), flush=True)

    def lines(self, lines: Iterable[str]) -> None:
        """Lines for a person."""
        for line in lines:
            print(visible(line), flush=True)

    def note(self, line: str) -> None:
        """A line beside the output, on stderr; none with `--json`."""
        if not self.as_json:
            print(visible(line), file=sys.stderr, flush=True)

    def data(self, texts: Iterable[str], path: Path | None) -> None:
        """Data as it is into a file or a pipe; on a terminal control characters are escaped."""
        if path is not None:
            with written_whole(path) as file:
                file.writelines(_encoded(texts))
        elif sys.stdout.isatty():
            sys.stdout.writelines(visible_lines(text) for text in texts)
        else:
            sys.stdout.buffer.writelines(_encoded(texts))
        sys.stdout.flush()


def error(message: str) -> None:
    """The one line of an error."""
    print(f"error: {visible(message)}", file=sys.stderr, flush=True)


def _encoded(texts: Iterable[str]) -> Iterator[bytes]:
    return (text.encode() for text in texts)


def _console(stream: IO[str]) -> Console:
    """What it prints is text, in which rich reads no markup and no emoji of its own."""
    if stream.isatty():
        return Console(file=stream, highlight=False, markup=False, emoji=False)
    return Console(file=stream, highlight=False, markup=False, emoji=False, force_terminal=False, width=PLAIN_WIDTH)
