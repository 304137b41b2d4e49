"""Rows: data sets that are not as they should be."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence

from lambda_src.contract import json_lines
from tests.e2e.deployment import until
from tests.faults.fault import JOBS, Case, Expect, Fault, Over, Rule, Sent
from tests.faults.given import good
from tests.faults.place import Place

MARK = "\ufeff"
BATCH = 100
"""Records of a batch in the local stage."""

MIDDLE = 3_000
"""Records before what no reader can take: far behind what CheckJob looks at."""


def not_begun(name: str, what: str, said: str, file: str, body: bytes | None) -> Fault:
    """A data set that no job can begin with; without a body there is none."""
    sent = Sent([], file=file, body=body, exists=body is not None)
    happens = "The job fails with `InvalidJob` and the reason before any model call, and leaves nothing."
    expect = Expect("FAILED", "InvalidJob", said, calls=0)
    return Fault(name, "data set", what, happens, [Case(JOBS, sent, expect, then=only_checked)])


def only_checked(place: Place) -> None:
    """Nothing but CheckJob was entered, and the cause says whose it is and where the data set should lie."""
    history = place.stack.states.get_execution_history(executionArn=place.execution_arn)["events"]
    entered = [event["stateEnteredEventDetails"]["name"] for event in history if "stateEnteredEventDetails" in event]
    assert entered == ["CheckJob", "CheckJobFailed"]
    assert place.cause.startswith("CheckJob: ")
    assert f"s3://{place.stack.bucket}/{place.source}" in place.cause


def in_the_middle(form: str, what: str, said: str) -> Fault:
    """A data set with what its reader cannot take behind thousands of good records."""
    records = good(2 * MIDDLE)
    if form == "csv":
        rows = [",".join(map(str, record.values())) for record in records]
        rows[MIDDLE] = "not utf-8 \udcff"
        body = "\n".join([",".join(records[0]), *rows]).encode("utf-8", "surrogateescape")
    else:
        texts = [json.dumps(record) for record in records]
        texts[MIDDLE] = texts[MIDDLE][:-1]
        body = ("\n".join(texts) if form == "jsonl" else f"[{','.join(texts)}]").encode()
    return Fault(
        f"broken-in-the-middle-{form}",
        "data set",
        f"{what} after {MIDDLE:,} good records",
        "The job fails before any model call, naming the line or item that cannot be read.",
        [
            Case(
                [Over.JOB],
                Sent(records, file=f"records.{form}", body=body),
                Expect("FAILED", "States.ItemReaderFailed", said, received=0, calls=0),
            )
        ],
    )


def fine(name: str, what: str, happens: str, count: int, calls: int) -> Fault:
    """A data set of so many good records."""
    return Fault(name, "data set", what, happens, [Case(JOBS, Sent(good(count)), Expect(calls=calls))])


def tolerance(name: str, what: str, happens: str, tolerate: int, expect: Expect) -> Fault:
    """A hundred records in ten batches one after the other, of which the first fails for good."""

    def refused(place: Place) -> Sequence[Rule]:
        key = f"arn:aws:s3:::{place.stack.bucket}/{place.prefix}/*/part-000000000000.jsonl"
        return [{"service": "s3", "action": "PutObject", "resource": key, "error": "AccessDenied"}]

    options = {"batch_size": 10, "max_concurrency": 1, "tolerate": tolerate}
    return Fault(name, "data set", what, happens, [Case(JOBS, Sent(good(100), options=options), expect, rules=refused)])


def changed_meanwhile() -> Fault:
    """The data set's object is written again after its records were counted, and before they are read."""

    def held(place: Place) -> Sequence[Rule]:
        key = f"arn:aws:s3:::{place.stack.bucket}/{place.source}"
        role = f"*:assumed-role/{place.physical('JobWorkflowStateMachineRole')}/*"
        return [{"service": "s3", "action": "GetObject", "resource": key, "caller": role, "nth": 2, "hold": True}]

    def overwritten(place: Place) -> None:
        place.start()
        until(lambda: place.seen.fired, lambda fired: fired == [1])
        place.stack.s3.put_object(Bucket=place.stack.bucket, Key=place.source, Body=json_lines(good(300)[::-1]))
        place.seen.release()
        place.wait()

    expect = Expect("FAILED", "States.ItemReaderFailed", failed={"NotStarted": 300}, calls=0)
    return Fault(
        "changed-while-the-job-runs",
        "data set",
        "The data set is overwritten while the job reads it",
        "The job fails with `States.ItemReaderFailed`: no record of the new object is taken for one of the old.",
        [Case(JOBS, Sent(good(300)), expect, rules=held, play=overwritten)],
    )


ONE_PERCENT = [
    {**record, **({"mean area": "vast"} if at % 100 == 50 else {})} for at, record in enumerate(good(10_000))
]

FAULTS: tuple[Fault, ...] = (
    not_begun("absent", "A data set that is not there", "found none that can be read", "absent.csv", None),
    not_begun("empty", "An object of no bytes", "found an empty object", "empty.csv", b""),
    not_begun("blank-lines", "JSON Lines of blanks", "found blanks only", "blank.jsonl", b"\n\n \n"),
    not_begun("empty-array", "An empty JSON array", "found an empty array", "empty.json", b"[]"),
    not_begun("only-a-header", "CSV of a header alone", "expected records after the header", "a.csv", b"id,area\r\n"),
    not_begun("only-a-mark", "CSV of a byte-order mark alone", "found blanks only", "mark.csv", MARK.encode()),
    not_begun("latin-1", "CSV in Latin-1", "expected UTF-8 in", "latin.csv", "id,note\n1,ü\n".encode("latin-1")),
    not_begun("utf-16", "CSV in UTF-16", "expected UTF-8 in", "wide.csv", "id,note\n1,2\n".encode("utf-16")),
    not_begun("gzip", "CSV that is gzipped", "found gzip: upload it uncompressed", "a.csv", gzip.compress(b"id\n1\n")),
    not_begun(
        "truncated-line",
        "JSON Lines whose last line is cut off",
        "expected JSON in the last line of",
        "cut.jsonl",
        b'{"id": 1}\n{"id": 2',
    ),
    not_begun(
        "truncated-array",
        "A JSON array that is cut off",
        "expected JSON in the document of",
        "cut.json",
        b'[{"id": 1}, {"id": 2}',
    ),
    not_begun(
        "mark-before-lines",
        "JSON Lines after a byte-order mark",
        "found a byte-order mark before it",
        "mark.jsonl",
        f'{MARK}{{"id": 1}}\n'.encode(),
    ),
    not_begun(
        "mark-before-an-array",
        "A JSON array after a byte-order mark",
        "found a byte-order mark before it",
        "mark.json",
        f'{MARK}[{{"id": 1}}]'.encode(),
    ),
    not_begun(
        "column-twice", "CSV with a column's name twice", "expected each column's name once", "a.csv", b"id,id\n1,2\n"
    ),
    not_begun("no-array", "JSON that is no array", "expected a JSON array of records", "a.json", b'{"id": 1}'),
    in_the_middle("csv", "CSV that is not UTF-8", f"records.csv: line {MIDDLE + 2} is not UTF-8"),
    in_the_middle("jsonl", "JSON Lines with a truncated line", f"records.jsonl: line {MIDDLE + 1} is not JSON"),
    in_the_middle("json", "A JSON array with a truncated item", f"records.json: item {MIDDLE} is not JSON"),
    fine("one-record", "A data set of one record", "Predicted in one batch of one.", 1, 1),
    fine("exactly-a-batch", f"A data set of exactly one batch, {BATCH} records", "Predicted in one batch.", BATCH, 1),
    fine("a-batch-and-one", "A data set of a batch and one record", "Predicted in two batches.", BATCH + 1, 2),
    Fault(
        "all-bad",
        "data set",
        "A data set of bad records only",
        "The job succeeds with all records rejected, and the model is not called.",
        [
            Case(
                JOBS,
                Sent([{"id": str(number)} for number in range(250)]),
                Expect(rejected={"MissingFeature": 250}, calls=0),
            )
        ],
    ),
    tolerance(
        "at-the-tolerance",
        "Exactly as many records fail as the job tolerates, 10 of 100",
        "The job succeeds; its summary and its result files name the ten that failed.",
        10,
        Expect(failed={"AccessDenied": 10}, calls=10),
    ),
    tolerance(
        "one-above-the-tolerance",
        "One record more fails than the job tolerates, 10 of 100 at 9 %",
        "The job fails at once, and starts no further batch: its summary counts those as not started.",
        9,
        Expect(
            "FAILED",
            "States.ExceedToleratedFailureThreshold",
            failed={"AccessDenied": 10, "NotStarted": 90},
            calls=1,
        ),
    ),
    Fault(
        "one-percent-bad",
        "data set",
        "100 bad records among 10,000",
        "Each is rejected, and takes none of the others with it.",
        [Case([Over.JOB], Sent(ONE_PERCENT), Expect(rejected={"NotANumber": 100}, calls=100))],
    ),
    changed_meanwhile(),
)
