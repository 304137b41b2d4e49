"""Builds a model's archive in the layout that SageMaker's script mode loads: the sample's, or anybody's."""

from __future__ import annotations

import gzip
import hashlib
import tarfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from shutil import copyfile

from stacks.constructs.function.function_build import BUILD, ROOT, BuildError, once

MODEL = ROOT / "model"
PROGRAM = "code/inference.py"
REQUIREMENTS = "code/requirements.txt"
DIGITS = 16

LAYOUT = {
    PROGRAM: "inference.py",
    REQUIREMENTS: "requirements.txt",
    "weights.json": "weights.json",
}
"""Each file of the archive, by the file of `model/` it comes from.
https://sagemaker.readthedocs.io/en/stable/frameworks/pytorch/using_pytorch.html#model-directory-structure
"""


@dataclass(frozen=True)
class Archive:
    """A `model.tar.gz`, and the digest of what is in it."""

    path: Path
    version: str
    requirements: tuple[str, ...] = ()
    """What a person's own asks its container to install."""


def sample_archive() -> Archive:
    """The model in `model/`. A function that holds the same files has the same version."""
    return Archive(model_archive(), digest_of(unpacked_model()))


def archive_at(given: str, *, scripted: bool, build: Path = BUILD) -> Archive:
    """A person's own: a `model.tar.gz` as it is, or one made of a folder. `scripted` asks for `code/inference.py`.

    The same files in a folder give the same bytes. Raises `BuildError` for what cannot be served.
    """
    place = ROOT / given
    if place.is_dir():
        names = _files(place)
        if scripted and PROGRAM not in names:
            raise _no_program(given)
        parts = [f"{name}\0{_digest(path)}".encode() for name, path in names.items()]

        def fill(folder: Path) -> None:
            folder.mkdir(parents=True)
            write_archive(names, folder / "model.tar.gz")

        made = once(build / "model", "archive", parts, fill)
        return Archive(made / "model.tar.gz", digest_of(made), _requirements(names.get(REQUIREMENTS)))
    if not place.is_file() or not place.name.endswith(".tar.gz"):
        raise BuildError(f"model_archive: expected a folder or a model.tar.gz that is there, received {given}")
    version = _digest(place)[:DIGITS]

    if not scripted:
        return Archive(place, version)
    # A large one takes a while to look through.
    looked = once(build / "model", "looked", [version.encode()], lambda folder: _look_through(place, given, folder))
    return Archive(place, version, _requirements(looked / "requirements.txt"))


def _look_through(place: Path, given: str, folder: Path) -> None:
    """Leaves the archive's `code/requirements.txt` in the folder. Raises `BuildError` for one without a program."""
    folder.mkdir()
    programs = 0
    try:
        with tarfile.open(place, "r:gz") as archive:
            for entry in archive:
                name = PurePosixPath(entry.name).as_posix()
                programs += name == PROGRAM
                if name == REQUIREMENTS and (content := archive.extractfile(entry)) is not None:
                    (folder / "requirements.txt").write_bytes(content.read())
    except (tarfile.TarError, OSError, EOFError) as error:
        raise BuildError(f"model_archive: expected a gzipped tar, received {given}: {error}") from error
    if not programs:
        raise _no_program(given)


def _requirements(file: Path | None) -> tuple[str, ...]:
    """The lines of a requirements file that ask for something."""
    if file is None or not file.is_file():
        return ()
    lines = (line.strip() for line in file.read_text("utf-8", "replace").splitlines())
    return tuple(line for line in lines if line and not line.startswith("#"))


def digest_of(folder: Path) -> str:
    """The digest of the content of a folder that `once` has made."""
    return folder.name.rpartition("-")[2]


def unpacked_model(*, model: Path = MODEL, build: Path = BUILD) -> Path:
    """A folder with the archive's files."""

    def fill(folder: Path) -> None:
        for name, source in LAYOUT.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            copyfile(model / source, folder / name)

    parts = [name.encode() + b"\0" + (model / source).read_bytes() for name, source in LAYOUT.items()]
    return once(build / "model", "unpacked", parts, fill)


def model_archive(*, model: Path = MODEL, build: Path = BUILD) -> Path:
    """`model.tar.gz`: the same files give the same bytes, whoever owns them, whenever written."""
    source = unpacked_model(model=model, build=build)

    def fill(folder: Path) -> None:
        folder.mkdir(parents=True)
        write_archive(_files(source), folder / "model.tar.gz")

    return once(build / "model", "archive", [source.name.encode()], fill) / "model.tar.gz"


def write_archive(files: dict[str, Path], to: Path) -> None:
    """The files, by their names, as a gzip-compressed tar, without times, owners or the machine's file modes."""
    with (
        to.open("wb") as out,
        gzip.GzipFile(fileobj=out, mode="wb", filename="", mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name, path in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = path.stat().st_size
            entry.mode = 0o644
            with path.open("rb") as content:
                archive.addfile(entry, content)


def _files(folder: Path) -> dict[str, Path]:
    """The folder's files by their names in the archive, in their order; what Python has compiled is left out."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(folder).as_posix(): path for path in paths}


def _digest(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _no_program(given: str) -> BuildError:
    return BuildError(f"model_archive: expected {PROGRAM}, which script mode runs, in {given}")
