"""Model archives: unpacked inside their folder only, and refused otherwise."""

from __future__ import annotations

import gzip
import io
import tarfile
import tracemalloc
from pathlib import Path

import pytest

from local.sagemaker import archive
from tests.local.sagemaker.around import packed


def with_member(name: str, kind: bytes, target: str = "") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, target
        tar.addfile(member)
    return out.getvalue()


def test_files_and_folders_are_unpacked(tmp_path: Path) -> None:
    archive.extract(packed({"weights.json": "{}", "./code/inference.py": "x = 1"}), tmp_path)

    assert (tmp_path / "weights.json").read_text() == "{}"
    assert (tmp_path / "code" / "inference.py").read_text() == "x = 1"


@pytest.mark.parametrize("name", ["/etc/passwd", "../outside", "code/../../outside"])
def test_a_path_outside_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(archive.UnsafeArchive, match="outside itself"):
        archive.extract(packed({name: "x"}), tmp_path / "in")

    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_what_is_neither_file_nor_folder_is_refused(tmp_path: Path, kind: bytes) -> None:
    with pytest.raises(archive.UnsafeArchive, match="other than files and folders"):
        archive.extract(with_member("link", kind, "/etc/passwd"), tmp_path)


def test_more_than_the_limit_is_refused_before_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_BYTES", 10)

    with pytest.raises(archive.UnsafeArchive, match="more than 10 bytes"):
        archive.extract(packed({"a": "123456", "b": "123456"}), tmp_path)

    assert not (tmp_path / "b").exists()


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_FILES", 2)

    with pytest.raises(archive.UnsafeArchive, match="2 files"):
        archive.extract(packed({"a": "", "b": "", "c": ""}), tmp_path)


def headed(kind: bytes, body: bytes, claimed: int | None = None, times: int = 1) -> bytes:
    """An archive that begins with extended headers, before a file."""
    header = tarfile.TarInfo("header")
    header.type, header.size = kind, len(body) if claimed is None else claimed
    padded = body + bytes(-len(body) % tarfile.BLOCKSIZE)
    file = tarfile.TarInfo("file")
    return gzip.compress((header.tobuf(tarfile.USTAR_FORMAT) + padded) * times + file.tobuf() + bytes(1024))


SPARSE = tarfile.TarInfo("sparse")
SPARSE.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "s", "size": "4194304"}
LARGE = tarfile.TarInfo("large")
LARGE.size = 1 << 40
BOMBS = {
    "a header that claims a gigabyte": (headed(tarfile.XHDTYPE, b"", 1 << 30), "a header of more"),
    "a header of four megabytes": (headed(tarfile.GNUTYPE_LONGNAME, b"x" * (4 << 20)), "a header of more"),
    "headers that lead to headers": (headed(tarfile.XHDTYPE, b"9 a=1\n", times=5_000), "recursion|a header of more"),
    "a sparse file with a map of millions": (
        gzip.compress(SPARSE.tobuf(tarfile.PAX_FORMAT) + b"99999999\n" + b"0\n" * (2 << 20) + bytes(1024)),
        "a header of more",
    ),
    "a file that claims a terabyte": (gzip.compress(LARGE.tobuf(tarfile.GNU_FORMAT)), "unpacks to more"),
    "a name that is too long": (packed({"x" * 300: ""}), "File name too long"),
    "a file as a folder": (packed({"a": "1", "a/b": "2"}), "File exists"),
    "folders in folders": (packed({"a/" * 101 + "b": "1"}), "more than 100 folders"),
    "the folder itself": (packed({".": "1"}), "Is a directory"),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_is_refused_before_it_fills_memory_or_disk(tmp_path: Path, bomb: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(archive.UnsafeArchive, match=BOMBS[bomb][1]):
            archive.extract(BOMBS[bomb][0], tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 32 << 20
    finally:
        tracemalloc.stop()

    assert sum(path.stat().st_size for path in tmp_path.rglob("*")) < 1 << 20


@pytest.mark.parametrize("data", [b"", b"no archive", packed({"a": "x" * 5000})[:60]])
def test_what_is_no_whole_gzipped_tar_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(archive.UnsafeArchive, match="not a gzipped tar"):
        archive.extract(data, tmp_path)
