"""The model's archive: its layout and its bytes."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

from stacks.constructs.model.model_build import model_archive, unpacked_model


def a_model(folder: Path) -> Path:
    folder.mkdir()
    for name in ("inference.py", "requirements.txt", "weights.json", "train.py"):
        (folder / name).write_text(name)
    return folder


def test_the_archive_has_the_layout_of_script_mode(tmp_path: Path) -> None:
    archive = model_archive(model=a_model(tmp_path / "model"), build=tmp_path / "build")
    assert archive.name == "model.tar.gz"
    with tarfile.open(archive) as opened:
        assert opened.getnames() == ["code/inference.py", "code/requirements.txt", "weights.json"]
        for entry in opened.getmembers():
            assert (entry.mtime, entry.uid, entry.gid, entry.uname, entry.mode) == (0, 0, 0, "", 0o644)


def test_the_same_files_give_the_same_bytes_whenever_they_were_written(tmp_path: Path) -> None:
    model = a_model(tmp_path / "model")
    first = model_archive(model=model, build=tmp_path / "first").read_bytes()
    os.utime(model / "weights.json", (1, 1))
    (model / "weights.json").chmod(0o600)
    assert model_archive(model=model, build=tmp_path / "second").read_bytes() == first


def test_changed_weights_make_another_archive(tmp_path: Path) -> None:
    model = a_model(tmp_path / "model")
    first = model_archive(model=model, build=tmp_path / "build")
    (model / "weights.json").write_text("other")
    assert model_archive(model=model, build=tmp_path / "build") != first


def test_the_unpacked_model_has_the_archives_files(tmp_path: Path) -> None:
    folder = unpacked_model(model=a_model(tmp_path / "model"), build=tmp_path / "build")
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert names == {"code/inference.py", "code/requirements.txt", "weights.json"}
