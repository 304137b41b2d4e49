"""Model archives: unpacked inside their folder only, and refused otherwise."""

from __future__ import annotations

import io
import tarfile
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


@pytest.mark.parametrize("data", [b"", b"no archive", packed({"a": "x" * 5000})[:60]])
def test_what_is_no_whole_gzipped_tar_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(archive.UnsafeArchive, match="not a gzipped tar"):
        archive.extract(data, tmp_path)
