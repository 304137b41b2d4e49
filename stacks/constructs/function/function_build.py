"""Builds the folder a Lambda function is deployed from: its code, packages and model, without Docker."""

from __future__ import annotations

import ast
import functools
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from uv import find_uv_bin

ROOT = Path(__file__).resolve().parents[3]
SOURCES = ROOT / "lambda_src"
BUILD = ROOT / "build"

FORMAT = "1"
"""Part of every folder's name: a new number rebuilds what an older builder left."""


class BuildError(RuntimeError):
    """A function cannot be built for its target. The message names what and why."""


@dataclass(frozen=True)
class Target:
    """Where a function will run: a Python version such as "3.13" and an architecture, `arm64` or `x86_64`.

    `here` stands for this machine's own operating system, instead of Lambda's.
    """

    python_version: str
    architecture: str
    here: bool = False

    def __str__(self) -> str:
        system = "this machine" if self.here else f"Lambda {self.architecture}"
        return f"Python {self.python_version} on {system}"

    def uv_options(self) -> list[str]:
        """The options that make uv resolve for the target.

        Lambda runs Python 3.12 and later on Amazon Linux 2023 (glibc 2.34), earlier ones on Amazon Linux 2.
        https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html
        """
        options = ["--python-version", self.python_version]
        if self.here:
            return options
        machine = {"arm64": "aarch64", "x86_64": "x86_64"}[self.architecture]
        system = "manylinux_2_34" if int(self.python_version.split(".")[1]) >= 12 else "manylinux2014"
        return [*options, "--python-platform", f"{machine}-{system}"]


def build_function(
    module: str,
    target: Target,
    *,
    model: Path | None = None,
    sources: Path = SOURCES,
    build: Path = BUILD,
) -> Path:
    """The folder of the function in `sources/<module>.py`, built unless an earlier synth has built the same.

    It holds the module and those it imports under the sources' own folder name, the packages that
    `requirements/<module>.txt` asks for, and, with `model`, that folder as `model/`. The same inputs give
    the same bytes. Raises `BuildError`.
    """
    modules = modules_of(module, sources)
    requirements = sources / "requirements" / f"{module}.txt"
    content = {f"{sources.name}/{path.name}": path for path in modules}
    if model is not None:
        content |= {
            f"model/{path.relative_to(model).as_posix()}": path for path in sorted(model.rglob("*")) if path.is_file()
        }
    packages = install(requirements, target, build=build) if requirements.is_file() else None

    def fill(folder: Path) -> None:
        if packages is not None:
            shutil.copytree(packages, folder, copy_function=_link, dirs_exist_ok=True)
        for name, path in content.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, folder / name)

    parts = [f"{name}\0".encode() + path.read_bytes() for name, path in sorted(content.items())]
    parts.append(packages.name.encode() if packages else b"")
    return once(build / "functions", module, parts, fill)


def modules_of(module: str, sources: Path) -> list[Path]:
    """The files of a module and of those it imports from its own folder, itself included, sorted by name."""
    found: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = sources / f"{name}.py"
        if name in found or not path.is_file():
            continue
        found[name] = path
        waiting += _imported(path.read_text(encoding="utf-8"), sources.name)
    if module not in found:
        raise BuildError(f"expected the function's code at {sources / f'{module}.py'}, which does not exist")
    return [found[name] for name in sorted(found)]


@functools.cache
def _imported(code: str, package: str) -> tuple[str, ...]:
    """The modules of `package` that the code imports. Each function's asset asks this of the same few modules."""
    names: list[str] = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and node.module == package:
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{package}."):
            names.append((node.module or "").split(".")[1])
    return tuple(names)


def install(requirements: Path, target: Target, *, build: Path = BUILD) -> Path:
    """A folder with the packages that a requirements file asks for. Raises `BuildError`."""

    def fill(folder: Path) -> None:
        command = [
            find_uv_bin(), "pip", "install", "--quiet", "--no-config", "--no-compile-bytecode",
            "--link-mode", "copy", "--only-binary", ":all:", "--python", sys.executable, *target.uv_options(),
            "--target", str(folder), "--requirements", str(requirements),
        ]  # fmt: skip
        # What is in uv's cache needs no network; only what is not there does.
        for attempt in ([*command, "--offline"], command):
            result = subprocess.run(attempt, capture_output=True, text=True, check=False)  # noqa: S603 - uv itself
            if result.returncode == 0:
                break
        else:
            reason = " ".join(line.strip(" ×╰─▶│\n") for line in result.stderr.splitlines())
            raise BuildError(f"cannot install {requirements.name} for {target}: {reason}")
        _strip(folder)

    return once(build / "packages", requirements.stem, [requirements.read_bytes(), repr(target).encode()], fill)


def once(parent: Path, name: str, parts: list[bytes], fill: Callable[[Path], None]) -> Path:
    """The folder for these parts, filled if it is not there yet. Two processes may build the same at once."""
    digest = hashlib.sha256()
    for part in (FORMAT.encode(), *parts):
        digest.update(len(part).to_bytes(8, "big") + part)
    folder = parent / f"{name}-{digest.hexdigest()[:16]}"
    if folder.is_dir():
        return folder
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent, prefix=".") as unfinished:
        fill(made := Path(unfinished) / name)
        try:
            made.rename(folder)
        except OSError:
            if not folder.is_dir():  # otherwise another process was first, with the same content
                raise
    return folder


def _strip(folder: Path) -> None:
    """Removes what differs between two installations of the same packages, and what only installers read."""
    (folder / ".lock").unlink(missing_ok=True)
    shutil.rmtree(folder / "bin", ignore_errors=True)  # scripts that name this machine's Python
    for information in folder.glob("*.dist-info"):
        for name in ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json"):
            (information / name).unlink(missing_ok=True)


def _link(source: str, destination: str) -> None:
    """Shares the file where the file system can: packages are large, and never edited in place."""
    try:
        os.link(source, destination)
    except OSError:
        shutil.copyfile(source, destination)
