"""Rows: data sets that are not as they should be, and requests of no usable shape."""

from __future__ import annotations

from tests.faults.fault import JOBS, Case, Expect, Fault, Sent


def not_begun(name: str, what: str, said: str, *files: tuple[str, bytes | None]) -> list[Fault]:
    """A row for each file that no job can begin with; None is a file that is not there."""
    happens = "The job fails with `InvalidJob` before anything is called, and leaves nothing."
    return [
        Fault(
            f"{name}-{number}" if len(files) > 1 else name,
            "data set",
            f"{what} (`{file.rpartition('.')[2]}`)" if len(files) > 1 else what,
            happens,
            [
                Case(
                    JOBS,
                    Sent([], file=file, body=body, exists=body is not None),
                    Expect("FAILED", "InvalidJob", said, calls=0),
                )
            ],
        )
        for number, (file, body) in enumerate(files, 1)
    ]


FAULTS: tuple[Fault, ...] = (
    *not_begun("absent", "A data set that is not there", "found none that can be read", ("absent.csv", None)),
    *not_begun("no-bytes", "An object of no bytes", "found an empty object", ("empty.csv", b"")),
)
