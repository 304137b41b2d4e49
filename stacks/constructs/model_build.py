"""Builds the sample model's archive in the layout that SageMaker's script mode loads."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path
from shutil import copyfile

from stacks.constructs.function_build import BUILD, ROOT, once

MODEL = ROOT / "model"

LAYOUT = {
    "code/inference.py": "inference.py",
    "code/requirements.txt": "requirements.txt",
    "weights.json": "weights.json",
}
"""Each file of the archive, by the file of `model/` it comes from.
https://sagemaker.readthedocs.io/en/stable/frameworks/pytorch/using_pytorch.html#model-directory-structure
"""


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
        (folder / "model.tar.gz").write_bytes(archive_of(source))

    return once(build / "model", "archive", [source.name.encode()], fill) / "model.tar.gz"


def archive_of(folder: Path) -> bytes:
    """The folder's files as a gzip-compressed tar, without times, owners or the machine's file modes."""
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", filename="", mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            entry = tarfile.TarInfo(path.relative_to(folder).as_posix())
            entry.size = path.stat().st_size
            entry.mode = 0o644
            with path.open("rb") as content:
                archive.addfile(entry, content)
    return buffer.getvalue()
