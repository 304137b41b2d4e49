"""Unpacks a function's zip, once for each content, into a folder that only its processes read."""

import hashlib
import io
import shutil
import tempfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
MAX_BYTES = 262_144_000

# Lambda documents no limit here; each is a file on this machine, even one of no bytes.
MAX_FILES = 50_000
# Folders in folders: code that walks a tree walks it by recursion.
MAX_DEPTH = 100


class PackageError(ValueError):
    """A deployment package that Lambda would not unpack."""


def unpack(code: bytes, folder: Path) -> Path:
    """The folder with the zip's files, below `folder`; made new, or kept from an earlier call or run.

    Raises PackageError for a file that is no whole zip, a path that leads outside, or more than Lambda's 250 MiB.
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
        with zipfile.ZipFile(io.BytesIO(code)) as archive:
            _extract_members(archive, folder)
    # Damaged, encrypted, packed by a method that Python does not know, or named as no file can be.
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, UnicodeError) as error:
        raise PackageError(f"Could not unzip uploaded file: {error}") from error


def _extract_members(archive: zipfile.ZipFile, folder: Path) -> None:
    left = MAX_BYTES
    members = archive.infolist()
    if len(members) > MAX_FILES:
        raise PackageError(f"The deployment package has {len(members)} files: expected at most {MAX_FILES}")
    for member in members:
        path = PurePosixPath(member.filename)
        if path.is_absolute() or ".." in path.parts or "\\" in member.filename:
            raise PackageError(f"The deployment package has a path that leads outside: {member.filename!r}")
        if len(path.parts) > MAX_DEPTH:
            raise PackageError(f"The deployment package has a path of more than {MAX_DEPTH} folders")
        # Of the other methods Python unpacks a whole part at once, however large it becomes.
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise PackageError(f"The deployment package has a file that is neither stored nor deflated: {path}")
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
