"""What results call the model and the template they were made with: digests of their files."""

from __future__ import annotations

import functools
import hashlib

from stacks.constructs.function.function_build import ROOT
from stacks.constructs.model.model_build import DIGITS, digest_of, unpacked_model


def model_version() -> str:
    """The sample model's: the same files have the same version, behind an endpoint and in a function."""
    return digest_of(unpacked_model())


@functools.cache
def template_version() -> str:
    """The same code of stacks and functions has the same version."""
    digest = hashlib.sha256()
    files = [ROOT / "app.py", ROOT / "cdk.json"]
    for folder in ("stacks", "lambda_src"):
        files += [path for path in (ROOT / folder).rglob("*") if path.suffix in (".py", ".txt")]
    for path in sorted(files):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(ROOT).as_posix()}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:DIGITS]
