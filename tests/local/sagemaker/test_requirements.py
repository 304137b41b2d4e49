"""What a model's own requirements.txt asks for is there, or the model is refused in one line."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest

from local.sagemaker import requirements
from local.sagemaker.requirements import UnmetRequirement

NUMPY = metadata.version("numpy")
FURTHER = "install it in the project's Python environment, or take the line out"


def asking(folder: Path, text: str) -> Path:
    (folder / "code").mkdir()
    (folder / "code" / "requirements.txt").write_text(text)
    return folder


@pytest.mark.parametrize(
    "text",
    ["", "# nothing\n\n", "numpy\n", f"numpy=={NUMPY}  # this very one\n", "numpy>=1\nnowhere; python_version < '3'\n"],
)
def test_what_is_here_is_served(tmp_path: Path, text: str) -> None:
    requirements.check(asking(tmp_path, text))


def test_a_model_without_the_file_asks_for_nothing(tmp_path: Path) -> None:
    requirements.check(tmp_path)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("nowhere==1.0", f"code/requirements.txt asks for nowhere==1.0, which is not here: {FURTHER}"),
        ("numpy<1", f"code/requirements.txt asks for numpy<1, and numpy {NUMPY} is here: {FURTHER}"),
        (
            "-r more.txt",
            "code/requirements.txt has '-r more.txt': the embedded AWS reads a package and its versions only, such as "
            "numpy==2.4.6",
        ),
        (
            "nowhere @ https://example.com/a.whl",
            "code/requirements.txt has 'nowhere @ https://example.com/a.whl': the embedded AWS downloads nothing; "
            + FURTHER,
        ),
    ],
)
def test_what_is_not_here_is_refused_in_one_line(tmp_path: Path, line: str, reason: str) -> None:
    with pytest.raises(UnmetRequirement) as refused:
        requirements.check(asking(tmp_path, f"numpy\n{line}\n"))
    assert str(refused.value) == reason
