"""`model.tar.gz` unpacked without trusting it."""

from __future__ import annotations

import io
import tarfile
import zlib
from pathlib import Path, PurePosixPath

MAX_BYTES = 2 * 1024**3
"""What a model may weigh unpacked: a laptop's disk is not an instance's."""

MAX_FILES = 20_000


class UnsafeArchive(ValueError):
    """The archive cannot be unpacked, or must not be."""


def extract(archive: bytes, folder: Path) -> None:
    """Unpacks a gzipped tar into `folder`: files and folders only, inside it only, up to `MAX_BYTES`.

    Raises `UnsafeArchive` for a link, a device, an absolute path, a path with `..`, or too much of anything.
    Owners, modes and times in the archive are not kept.
    """
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
            _extract(tar, folder)
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise UnsafeArchive(f"model data is not a gzipped tar archive: {error}") from error


def _extract(tar: tarfile.TarFile, folder: Path) -> None:
    total = 0
    for count, member in enumerate(tar):
        total += member.size
        if total > MAX_BYTES or count >= MAX_FILES:
            raise UnsafeArchive(f"model data unpacks to more than {MAX_BYTES} bytes or {MAX_FILES} files")
        path = PurePosixPath(member.name)
        if path.is_absolute() or ".." in path.parts or "\0" in member.name:
            raise UnsafeArchive(f"model data holds a path outside itself: {member.name!r}")
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
