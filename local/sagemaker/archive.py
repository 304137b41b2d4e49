"""`model.tar.gz` unpacked without trusting it."""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO, cast

MAX_BYTES = 2 * 1024**3
"""What a model may weigh unpacked: a laptop's disk is not an instance's."""

MAX_FILES = 20_000
MAX_DEPTH = 100
"""Folders in folders: code that walks a tree walks it by recursion."""

MAX_HEADER_BYTES = 1024 * 1024
"""What may come before a member's content: `tarfile` reads extended headers, whatever they claim, into memory."""


class UnsafeArchive(ValueError):
    """The archive cannot be unpacked, or must not be."""


class _Bounded:
    """The unpacked text of a gzip file, as far as it stays within the bounds. Raises `UnsafeArchive`."""

    def __init__(self, source: gzip.GzipFile) -> None:
        self._source = source
        self.allow(0)

    def allow(self, content: int) -> None:
        """From here on so many bytes of a member's content may be read, and one member's headers."""
        self._left = content + MAX_HEADER_BYTES

    def read(self, size: int) -> bytes:
        self._left -= size
        if size < 0 or self._left < 0:
            raise UnsafeArchive(f"model data has a header of more than {MAX_HEADER_BYTES} bytes")
        return self._source.read(size)

    def seek(self, offset: int) -> int:
        # Beside the files there are headers, of a few blocks each.
        if not 0 <= offset <= MAX_BYTES + MAX_FILES * 8 * tarfile.BLOCKSIZE:
            raise UnsafeArchive(f"model data unpacks to more than {MAX_BYTES} bytes")
        return self._source.seek(offset)

    def tell(self) -> int:
        return self._source.tell()


def extract(archive: bytes, folder: Path) -> None:
    """Unpacks a gzipped tar into `folder`: files and folders only, inside it only, up to `MAX_BYTES`.

    Raises `UnsafeArchive` for a link, a device, an absolute path, a path with `..`, or too much of anything.
    Owners, modes and times in the archive are not kept.
    """
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(archive)) as unzipped:
            bounded = _Bounded(unzipped)
            # tarfile takes whatever reads and seeks; its annotation asks for a whole file.
            with tarfile.open(fileobj=cast(IO[bytes], bounded), mode="r:") as tar:
                _extract(tar, bounded, folder)
    # Headers that lead to headers are read by recursion; UnicodeError is a name that no file system takes.
    except (tarfile.TarError, zlib.error, EOFError, OSError, RecursionError, UnicodeError) as error:
        raise UnsafeArchive(f"model data is not a gzipped tar archive: {error}") from error


def _extract(tar: tarfile.TarFile, bounded: _Bounded, folder: Path) -> None:
    total = 0
    for count, member in enumerate(tar):
        total += member.size
        bounded.allow(member.size)
        if total > MAX_BYTES or count >= MAX_FILES:
            raise UnsafeArchive(f"model data unpacks to more than {MAX_BYTES} bytes or {MAX_FILES} files")
        path = PurePosixPath(member.name)
        if path.is_absolute() or ".." in path.parts or "\0" in member.name:
            raise UnsafeArchive(f"model data holds a path outside itself: {member.name!r}")
        if len(path.parts) > MAX_DEPTH:
            raise UnsafeArchive(f"model data holds a path of more than {MAX_DEPTH} folders")
        target = folder.joinpath(*path.parts)
        if member.isdir():
            target.mkdir(parents=True, exist_ok=True)
        elif member.isfile():
            target.parent.mkdir(parents=True, exist_ok=True)
            source = tar.extractfile(member)
            if source is None:
                raise UnsafeArchive(f"model data holds an unreadable file: {member.name!r}")
            # Sparse files may unpack to more than they weigh in the archive; `size` is the unpacked one.
            with source, target.open("wb") as out:
                while chunk := source.read(1 << 20):
                    out.write(chunk)
        else:
            raise UnsafeArchive(f"model data holds something other than files and folders: {member.name!r}")
