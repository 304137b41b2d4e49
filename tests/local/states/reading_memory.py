"""How much memory reading takes, told by a process that does nothing else: `python -m ... CSV 3000 30000`."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from typing import Any

from local.states.readers import ItemSource
from tests.local.states.fake_s3 import BUCKET

Json = Any


def peaks(kind: str, *records: int) -> list[int]:
    """The most bytes that reading each number of records takes at once."""
    command = [sys.executable, "-m", __name__, kind, *map(str, records)]
    told: list[int] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return told


class Generated:
    """Objects that are made as they are read."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        self._lines = lines

    async def chunks(self, _wanted: Json) -> AsyncIterator[bytes]:
        gathered = bytearray()
        for line in self._lines:
            gathered += line
            if len(gathered) >= 8 * 1024:
                yield bytes(gathered)
                gathered.clear()
        yield bytes(gathered)


def peak(kind: str, records: int) -> int:
    """The most bytes that reading so many records takes at once."""
    row = {"CSV": b'%d,"x y",2.5\n', "JSONL": b'{"id":%d,"n":2.5}\n', "JSON": b'{"id":%d,"n":2.5},'}[kind]
    head, tail = {"CSV": (b"id,t,n\n", b""), "JSONL": (b"", b""), "JSON": (b"[", b"1]")}[kind]

    def lines() -> Iterator[bytes]:
        yield head
        for number in range(100_000, 100_000 + records):
            yield row % number
        yield tail

    async def consume() -> None:
        generated: Json = Generated(lines())
        async for _ in ItemSource(generated, kind, {"Bucket": BUCKET, "Key": "in"}):
            pass

    tracemalloc.start()
    try:
        asyncio.run(consume())
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


if __name__ == "__main__":
    print(json.dumps([peak(sys.argv[1], int(count)) for count in sys.argv[2:]]))
