"""Where a served model comes from: what the settings name, what is no model, and the version of each."""

from __future__ import annotations

import hashlib
import tarfile
from pathlib import Path

import pytest

from stacks.constructs.function.function_build import BuildError
from stacks.constructs.model.model_build import archive_at
from stacks.constructs.model.model_source import ModelSource, model_source
from stacks.constructs.model.versions import model_version
from stacks.settings import Settings

IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/team/model"


def a_model(folder: Path, code: str = "code/inference.py") -> Path:
    (folder / code).parent.mkdir(parents=True)
    (folder / code).write_text("def model_fn(model_dir): ...")
    (folder / "model.joblib").write_bytes(b"trained")
    return folder


def packed(folder: Path, prefix: str = "") -> Path:
    with tarfile.open(folder / "model.tar.gz", "w:gz") as archive:
        archive.add(folder / "code", f"{prefix}code")
    return folder / "model.tar.gz"


def test_without_settings_it_is_the_sample_in_awss_pytorch_container() -> None:
    source = model_source(Settings(stage="test"))
    assert (source.framework, source.image, source.package_arn) == ("pytorch", None, None)
    assert source.version == model_version()
    assert model_source(Settings(stage="test", model_archive="model")) == source


def test_a_folder_is_packed_as_it_is_without_what_python_compiled(tmp_path: Path) -> None:
    folder = a_model(tmp_path / "mine")
    (folder / "code" / "__pycache__").mkdir()
    (folder / "code" / "__pycache__" / "inference.pyc").write_bytes(b"compiled")
    archive = archive_at(str(folder), scripted=True, build=tmp_path / "build")
    with tarfile.open(archive.path) as tar:
        assert tar.getnames() == ["code/inference.py", "model.joblib"]


def test_a_folder_has_another_version_when_a_file_of_it_changes(tmp_path: Path) -> None:
    folder = a_model(tmp_path / "mine")
    first = archive_at(str(folder), scripted=True, build=tmp_path / "build")
    assert archive_at(str(folder), scripted=True, build=tmp_path / "build") == first
    (folder / "model.joblib").write_bytes(b"trained again")
    assert archive_at(str(folder), scripted=True, build=tmp_path / "build").version != first.version


@pytest.mark.parametrize("prefix", ["", "./"])
def test_an_archive_is_taken_as_it_is_with_its_digest_as_version(tmp_path: Path, prefix: str) -> None:
    path = packed(a_model(tmp_path / "mine"), prefix)
    archive = archive_at(str(path), scripted=True, build=tmp_path / "build")
    assert archive.path == path
    assert archive.version == hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def test_what_an_archive_asks_for_is_read_from_a_folder_and_from_a_tar(tmp_path: Path) -> None:
    folder = a_model(tmp_path / "mine")
    (folder / "code" / "requirements.txt").write_text("# the model's\n\njoblib\n")
    for given in (folder, packed(folder, "./")):
        assert archive_at(str(given), scripted=True, build=tmp_path / "build").requirements == ("joblib",)


def test_what_is_no_archive_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "model.zip").write_bytes(b"PK")
    (tmp_path / "model.tar.gz").write_bytes(b"PK")
    nothing = "model_archive: expected a folder or a model.tar.gz that is there, received "
    for name in ("model.zip", "nowhere"):
        with pytest.raises(BuildError, match=f"{nothing}.*{name}"):
            archive_at(str(tmp_path / name), scripted=True, build=tmp_path / "build")
    with pytest.raises(BuildError, match=r"model_archive: expected a gzipped tar, received .*model\.tar\.gz: "):
        archive_at(str(tmp_path / "model.tar.gz"), scripted=True, build=tmp_path / "build")


def test_script_mode_needs_its_program_and_an_image_of_ones_own_does_not(tmp_path: Path) -> None:
    folder = a_model(tmp_path / "mine", "code/serve.py")
    for given in (folder, packed(folder)):
        with pytest.raises(
            BuildError, match=r"model_archive: expected code/inference\.py, which script mode runs, in "
        ):
            archive_at(str(given), scripted=True, build=tmp_path / "build")
        assert archive_at(str(given), scripted=False, build=tmp_path / "build").path.is_file()


def test_an_image_and_a_package_have_their_own_versions() -> None:
    digest = f"sha256:{'0' * 64}"
    assert ModelSource(image=f"{IMAGE}:1.2").version == "1.2"
    assert ModelSource(image=f"{IMAGE}@{digest}").version == digest
    arn = "arn:aws:sagemaker:us-east-1:123456789012:model-package/churn/3"
    assert model_source(Settings(stage="test", model_package_arn=arn)).version == "churn/3"


def test_an_image_with_an_archive_has_the_archives_version() -> None:
    source = model_source(Settings(stage="test", model_image=f"{IMAGE}:1", model_archive="model"))
    assert (source.image, source.version) == (f"{IMAGE}:1", model_version())
