"""Unpacks a function's zip, once for each content, into a folder that only its processes read."""

import hashlib
import io
import shutil
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
MAX_BYTES = 262_144_000


class PackageError(ValueError):
    """A deployment package that Lambda would not unpack."""


def unpack(code: bytes, folder: Path) -> Path:
    """The folder with the zip's files, below `folder`; made new, or kept from an earlier call or run.

    Raises PackageError for a file that is no zip, a path that leads outside, or more than Lambda's 250 MiB.
    """
    target = folder / hashlib.sha256(code).hexdigest()[:32]
    if target.is_dir():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    # Under another name until it is whole: another process may want the same code at the same time.
    partial = Path(tempfile.mkdtemp(dir=folder, prefix="partial-"))
    try:
        _extract(code, partial)
        try:
            partial.rename(target)
        except OSError:
            if not target.is_dir():
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def _extract(code: bytes, folder: Path) -> None:
    try:
        archive = zipfile.ZipFile(io.BytesIO(code))
    except zipfile.BadZipFile as error:
        raise PackageError("Could not unzip uploaded file") from error
    with archive:
        left = MAX_BYTES
        for member in archive.infolist():
            path = PurePosixPath(member.filename)
            if path.is_absolute() or ".." in path.parts or "\\" in member.filename:
                raise PackageError(f"The deployment package has a path that leads outside: {member.filename!r}")
            if member.is_dir():
                (folder / path).mkdir(parents=True, exist_ok=True)
                continue
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            # Links are written as plain files with the link's text, so none can lead outside.
            with archive.open(member) as source, (folder / path).open("wb") as copy:
                while block := source.read(1 << 20):
                    left -= len(block)
                    if left < 0:
                        raise PackageError(f"Unzipped size must be smaller than {MAX_BYTES} bytes")
                    copy.write(block)
            (folder / path).chmod(0o755 if member.external_attr >> 16 & 0o100 else 0o644)
