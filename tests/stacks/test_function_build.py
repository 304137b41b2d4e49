"""The builder of function folders: what is in them, when they are built again, and why they cannot be."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from stacks.constructs.function.function_build import BuildError, Target, build_function, modules_of

HERE = Target(f"{sys.version_info.major}.{sys.version_info.minor}", "x86_64", here=True)
LAMBDA = Target("3.13", "arm64")


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    folder = tmp_path / "src"
    (folder / "requirements").mkdir(parents=True)
    (folder / "step.py").write_text("from src import rules\nfrom src.names import NAME\n")
    (folder / "rules.py").write_text("import json\nfrom src import step\n")
    (folder / "names.py").write_text("NAME = 'a'\n")
    (folder / "other.py").write_text("")
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def test_a_folder_holds_the_module_and_what_it_imports_from_its_own_folder(sources: Path, tmp_path: Path) -> None:
    built = build_function("step", LAMBDA, sources=sources, build=tmp_path / "build")
    assert set(files(built)) == {"src/step.py", "src/rules.py", "src/names.py"}


def test_a_model_lies_beside_the_code(sources: Path, tmp_path: Path) -> None:
    (tmp_path / "model" / "code").mkdir(parents=True)
    (tmp_path / "model" / "code" / "inference.py").write_text("")
    built = build_function("other", LAMBDA, model=tmp_path / "model", sources=sources, build=tmp_path / "build")
    assert set(files(built)) == {"src/other.py", "model/code/inference.py"}


def test_nothing_is_built_again_while_nothing_changed(sources: Path, tmp_path: Path) -> None:
    first = build_function("step", LAMBDA, sources=sources, build=tmp_path / "build")
    (sources / "other.py").write_text("CHANGED = 'but not imported'\n")
    assert build_function("step", LAMBDA, sources=sources, build=tmp_path / "build") == first
    (sources / "names.py").write_text("NAME = 'b'\n")
    assert build_function("step", LAMBDA, sources=sources, build=tmp_path / "build") != first


def test_no_unfinished_folder_is_left(sources: Path, tmp_path: Path) -> None:
    build_function("step", LAMBDA, sources=sources, build=tmp_path / "build")
    assert len(list((tmp_path / "build" / "functions").iterdir())) == 1


def test_a_module_that_does_not_exist_is_named(sources: Path) -> None:
    with pytest.raises(BuildError, match=r"expected the function's code at .*missing\.py"):
        modules_of("missing", sources)


def test_packages_are_built_for_lambda_from_any_machine(sources: Path, tmp_path: Path) -> None:
    (sources / "requirements" / "other.txt").write_text("numpy==2.4.6\n")
    built = build_function("other", LAMBDA, sources=sources, build=tmp_path / "build")
    libraries = [path.name for path in built.glob("numpy/_core/_multiarray_umath*.so")]
    assert libraries == ["_multiarray_umath.cpython-313-aarch64-linux-gnu.so"]


@pytest.mark.parametrize(
    ("target", "platform"),
    [
        (Target("3.13", "arm64"), "aarch64-manylinux_2_34"),
        (Target("3.12", "x86_64"), "x86_64-manylinux_2_34"),
        (Target("3.11", "x86_64"), "x86_64-manylinux2014"),
    ],
)
def test_packages_are_resolved_for_the_system_that_lambda_runs_the_python_on(target: Target, platform: str) -> None:
    assert target.uv_options() == [
        "--python-version",
        target.python_version,
        "--python-platform",
        platform,
    ]


def test_two_builds_give_the_same_bytes_and_nothing_of_the_installer(sources: Path, tmp_path: Path) -> None:
    (sources / "requirements" / "other.txt").write_text("numpy==2.4.6\n")
    first = files(build_function("other", HERE, sources=sources, build=tmp_path / "first"))
    second = files(build_function("other", HERE, sources=sources, build=tmp_path / "second"))
    assert first == second
    unwanted = ("RECORD", "INSTALLER", "REQUESTED", ".lock", ".pyc")
    assert [name for name in first if name.endswith(unwanted) or name.startswith("bin/")] == []


def test_a_package_without_a_wheel_for_the_target_is_named_with_the_target(sources: Path, tmp_path: Path) -> None:
    (sources / "dist").mkdir()
    (sources / "dist" / "sluicy-1.0-cp313-cp313-win_amd64.whl").write_bytes(b"")
    (sources / "requirements" / "other.txt").write_text(f"--no-index\n--find-links {sources / 'dist'}\nsluicy==1.0\n")
    with pytest.raises(BuildError) as caught:
        build_function("other", LAMBDA, sources=sources, build=tmp_path / "build")
    assert "cannot install other.txt for Python 3.13 on Lambda arm64" in str(caught.value)
    assert "sluicy" in str(caught.value)
    assert "\n" not in str(caught.value)
