"""Rows: records that are not as they should be."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections import Counter
from typing import Any

from tests.faults.fault import ALL, JOBS, REQUESTS, Case, Expect, Fault, Over, Sent
from tests.faults.given import NO_JSON, among, changed, good, without

HALF_A_PAIR = "\ud800"
"""Of a surrogate pair: JSON can name it, and UTF-8 has no bytes for it."""

HOSTILE_IDS = [
    *["a/b/../../c", "/", "..", ".", "with spaces  and more ", " ", "🦆🏳️‍🌈", "e\u0301 é", 'say "yes"', "it's"],
    *["`rm -rf`; $(x)", "comma, semicolon; tab\tend", "bell\x07 escape\x1b[31m delete\x7f null\x00", "two\nlines"],
    *["line\u2028separator\u0085next", "=1+1", "-0", "٣", "null", "NaN", "C:\\new\\table", "x" * 256],
]
"""Ids that stand for their records as they are."""

HALVES = among(changed(id=HALF_A_PAIR))
LARGE = {**good(1)[0], "note": "x" * 262_144}
HUGE = {**good(1)[0], "note": "x" * 6 * 2**20}


def row(name: str, what: str, happens: str, *strange: tuple[Any, str | None, str]) -> Fault:
    """Strange records between two good ones, in all four kinds of run: (record, error or None, part of the cause)."""
    errors = Counter(error for _, error, _ in strange if error)
    expect = Expect(rejected=errors, said={error: said for _, error, said in strange if error})
    sent = Sent(among(*(value for value, _, _ in strange)))
    return Fault(name, "records", what, happens, [Case(ALL, sent, expect)])


def rejected(error: str) -> str:
    return f"Rejected as `{error}` with the reason; the others are predicted."


def ragged() -> Fault:
    """CSV rows that are shorter and longer than the header."""
    first, second, third, last = good(4)
    names = list(first)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    cells = [[str(value) for value in record.values()] for record in (first, second, third, last)]
    writer.writerows([names, cells[0], cells[1][:-1], ["only an id"], [*cells[2], "one", "cell", "more"], cells[3]])
    short = dict(zip(names, [*cells[1][:-1], ""], strict=True))
    only_id = dict.fromkeys(names, "") | {"id": "only an id"}
    values = [dict(zip(names, row, strict=True)) for row in cells]
    sent = Sent([values[0], short, only_id, values[2], values[3]], file="ragged.csv", body=text.getvalue().encode())
    return Fault(
        "ragged-csv",
        "records",
        "CSV rows with fewer and with more cells than the header",
        "A short row lacks features and is rejected as `MissingFeature`; the cells beyond the header are ignored.",
        [Case(JOBS, sent, Expect(rejected={"MissingFeature": 2}, said={"MissingFeature": "received nothing"}))],
    )


def objects_without_a_record() -> Fault:
    """Objects whose bytes are no record, among others that are one under an odd name."""
    first = good(1)[0]
    text = json.dumps(first).encode()
    bodies: dict[str, tuple[bytes, Any, str | None]] = {
        "a folder/": (b"", None, "NotJson"),
        "a%20b+c&d.json": (text, first, None),
        "cut.json": (text[:-5], None, "NotJson"),
        "deep/er/one.json": (text, first, None),
        "gzip.json.gz": (gzip.compress(text), None, "NotJson"),
        "half.json": (json.dumps({**first, "id": HALF_A_PAIR}).encode(), None, "InvalidId"),
        "list.json": (b"[]", None, "NotAnObject"),
        "marked.json": (b"\xef\xbb\xbf" + text, None, "NotJson"),
        "nan.json": (json.dumps({**first, "mean area": float("nan")}).encode(), None, "NotFinite"),
        "not utf-8.json": (text.replace(b"r-00000", b"\xff"), None, "NotJson"),
        'quoted "name" + ümlaut 🦆.json': (text, first, None),
        "refused.json": (json.dumps({**first, **NO_JSON}).encode(), None, "ModelRefused"),
    }
    sent = Sent(
        [value for _, value, _ in bodies.values()], objects={name: body for name, (body, _, _) in bodies.items()}
    )
    errors = Counter(error for _, _, error in bodies.values() if error)
    said = {"NotJson": "expected JSON in", "InvalidId": "Unicode text", "NotFinite": "in 'mean area'"}
    return Fault(
        "bad-bytes",
        "records",
        "Objects that are empty, cut off, gzipped, no UTF-8 or no JSON",
        "Each is rejected under its key, as `NotJson` with the place of the first bad byte.",
        [Case(JOBS, sent, Expect(rejected=errors, said=said, calls=8))],
    )


FAULTS: tuple[Fault, ...] = (
    row(
        "missing-field",
        "A feature is missing",
        rejected("MissingFeature"),
        (without("worst area"), "MissingFeature", "expected a number in 'worst area', received nothing"),
    ),
    row(
        "null-field",
        "A feature is null or blank",
        rejected("MissingFeature"),
        (changed(mean_area=None), "MissingFeature", "in 'mean area', received nothing"),
        (changed(mean_area=""), "MissingFeature", "in 'mean area', received nothing"),
        (changed(mean_area="   "), "MissingFeature", "in 'mean area', received nothing"),
    ),
    row(
        "wrong-type",
        "A feature is text, a truth value, a list, an object, or a number in another country's writing",
        rejected("NotANumber"),
        *[
            (changed(mean_area=value), "NotANumber", "expected a number in 'mean area', received ")
            for value in ["vast", True, [1001.0], {}, "1,5", "1_000", "0x10", "\x1b[31mred\x00", "🦆", "y" * 5_000]
        ],
    ),
    row(
        "nan-and-infinity",
        "A feature is the text `NaN`, an infinity, or a number beyond any double",
        rejected("NotFinite"),
        *[
            (changed(mean_area=value), "NotFinite", "expected a finite number in 'mean area', received text")
            for value in ["NaN", "Infinity", "-inf", "1e999"]
        ],
    ),
    Fault(
        "nan-in-json",
        "records",
        "`NaN` or `1e999` as a JSON number, which JSON does not have or no double holds",
        "A request is refused at StartExecution; a job names the line it cannot read, and fails before any model call.",
        [
            Case(
                REQUESTS,
                Sent([None], request='{"records": [{"mean area": NaN}]}'),
                Expect("REFUSED", "InvalidExecutionInput", calls=0),
            ),
            Case(
                JOBS,
                Sent(good(3), body=b'{"id": 1}\n{"mean area": NaN}\n{"id": 2}\n'),
                Expect("FAILED", "States.ItemReaderFailed", "line 2 is not JSON", received=0, calls=0),
            ),
        ],
    ),
    row("empty-object", "A record is `{}`", rejected("MissingFeature"), ({}, "MissingFeature", "received nothing")),
    row(
        "scalar",
        "A record is null, a truth value, a number or text",
        rejected("NotAnObject"),
        *[(value, "NotAnObject", "expected a JSON object, received ") for value in [None, True, 17.99, "text"]],
    ),
    row(
        "array",
        "A record is a list",
        rejected("NotAnObject"),
        *[(value, "NotAnObject", "expected a JSON object, received a list") for value in [[], [good(1)[0]]]],
    ),
    Fault(
        "same-id-same-content",
        "records",
        "The same record twice",
        "In a request the second is rejected as `DuplicateId`; in a job, where no batch sees the others, both are "
        "predicted, told apart by the index.",
        [
            Case(
                REQUESTS,
                Sent([*good(2), good(1)[0]]),
                Expect(rejected={"DuplicateId": 1}, said={"DuplicateId": 'received text "r-00000" already at index 0'}),
            ),
            Case(JOBS, Sent([*good(2), good(1)[0]])),
        ],
    ),
    Fault(
        "same-id-other-content",
        "records",
        "Two different records under one id",
        "In a request the second is rejected as `DuplicateId`; in a job both are predicted, told apart by the index.",
        [
            Case(REQUESTS, Sent([*good(2), changed(id="r-00000")]), Expect(rejected={"DuplicateId": 1})),
            Case(JOBS, Sent([*good(2), changed(id="r-00000")])),
        ],
    ),
    row(
        "no-id",
        "A record has no id, or an empty one",
        "Predicted, under an id made from its content and its index.",
        (without("id"), None, ""),
        (changed(id=None), None, ""),
        (changed(id=""), None, ""),
    ),
    row(
        "hostile-ids",
        "Ids with paths, quotes, control characters, shell and spreadsheet code, 256 characters",
        "Predicted under just these ids.",
        *[(changed(id=name), None, "") for name in [*HOSTILE_IDS, 0, -1, 2**63 - 1]],
    ),
    Fault(
        "half-a-character",
        "records",
        "An id with half a surrogate pair, which JSON can name and UTF-8 has no bytes for",
        "A request is refused at StartExecution; in a JSON array the record is rejected as `InvalidId`.",
        [
            Case(REQUESTS, Sent(HALVES), Expect("REFUSED", "InvalidExecutionInput", calls=0)),
            Case(
                JOBS,
                Sent(HALVES, file="half.json", body=json.dumps(HALVES).encode()),
                Expect(rejected={"InvalidId": 1}, said={"InvalidId": "Unicode text"}),
            ),
        ],
    ),
    row(
        "useless-ids",
        "Ids that are no text or whole number, or longer than 256 characters",
        rejected("InvalidId"),
        *[(changed(id=value), "InvalidId", "expected 'id' ") for value in [{}, [], 1.5, True, "x" * 257]],
    ),
    Fault(
        "too-large-for-a-state",
        "records",
        "A record of 256 KiB",
        "A request is refused at StartExecution. In a job the record fails with `States.DataLimitExceeded`, or, where "
        "it lies in an object of its own, is rejected as `RecordTooLarge`; the others are predicted.",
        [
            Case(REQUESTS, Sent([LARGE]), Expect("REFUSED", "ValidationException", calls=0)),
            Case(
                [Over.JOB],
                Sent([*good(2), LARGE, *good(2)], options={"tolerate": 20}),
                Expect(failed={"States.DataLimitExceeded": 1}, calls=2),
            ),
            Case(
                [Over.JOB_ML],
                Sent([good(1)[0], None], objects={"a.json": json.dumps(good(1)[0]).encode(), "b.json": b" " * 262_144}),
                Expect(rejected={"RecordTooLarge": 1}, said={"RecordTooLarge": "expected at most 131072 bytes"}),
            ),
        ],
    ),
    Fault(
        "too-large-for-the-endpoint",
        "records",
        "A record of 6 MB",
        "It never reaches the model: refused, failed or rejected as one of 256 KiB is.",
        [
            Case(REQUESTS, Sent([HUGE]), Expect("REFUSED", "ValidationException", calls=0)),
            Case(
                [Over.JOB],
                Sent([*good(2), HUGE, *good(2)], options={"tolerate": 20}),
                Expect(failed={"States.DataLimitExceeded": 1}, calls=2),
            ),
            Case(
                [Over.JOB_ML],
                Sent(
                    [good(1)[0], None],
                    objects={"a.json": json.dumps(good(1)[0]).encode(), "b.json": json.dumps(HUGE).encode()},
                ),
                Expect(rejected={"RecordTooLarge": 1}),
            ),
        ],
    ),
    objects_without_a_record(),
    row(
        "deep-nesting",
        "A record with a field nested 200 deep beside its features",
        "Predicted: what is not a feature is carried along unread.",
        (changed(note=json.loads("[" * 200 + "]" * 200)), None, ""),
    ),
    ragged(),
    Fault(
        "model-refuses-a-record",
        "records",
        "Two of a hundred records whose prediction is not JSON",
        "The batch is halved until each stands alone; it is rejected as `ModelRefused`, and the others are predicted.",
        [
            Case(
                ALL,
                Sent([{**record, **(NO_JSON if index in (13, 77) else {})} for index, record in enumerate(good(100))]),
                Expect(rejected={"ModelRefused": 2}, said={"ModelRefused": "JSON"}, calls=30),
            )
        ],
    ),
)
