"""What an archive's `code/requirements.txt` asks for, held against the packages that its server here can import.

AWS's containers install it when they start, where they have a network; in network isolation it can only name what
they have. Nothing is installed here, so what is not there is refused: a model that came up would be another's.
"""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

FILE = Path("code") / "requirements.txt"
FURTHER = "install it in the project's Python environment, or take the line out"


class UnmetRequirement(ValueError):
    """A package that the model asks for and does not find here; the text says which, in one line."""


def check(model: Path) -> None:
    """Raises `UnmetRequirement` for the first line that is not met, or that is more than a package and versions."""
    if not (model / FILE).is_file():
        return
    for line in (model / FILE).read_text("utf-8", "replace").splitlines():
        wanted = line.partition(" #")[0].strip()
        if wanted and not wanted.startswith("#"):
            _check(wanted)


def _check(wanted: str) -> None:
    try:
        requirement = Requirement(wanted)
    except InvalidRequirement:
        raise UnmetRequirement(
            f"{FILE} has {wanted!r}: the embedded AWS reads a package and its versions only, such as numpy==2.4.6"
        ) from None
    if requirement.url:
        raise UnmetRequirement(f"{FILE} has {wanted!r}: the embedded AWS downloads nothing; {FURTHER}")
    if requirement.marker is not None and not requirement.marker.evaluate():
        return
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        raise UnmetRequirement(f"{FILE} asks for {wanted}, which is not here: {FURTHER}") from None
    if not requirement.specifier.contains(version, prereleases=True):
        raise UnmetRequirement(f"{FILE} asks for {wanted}, and {requirement.name} {version} is here: {FURTHER}")
