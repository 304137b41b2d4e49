"""Which server stands in for a container image: script mode for AWS's own that have it, Docker for any other.

A foreign image's container has the model at /opt/ml/model, runs `serve`, and is asked on port 8080, as on SageMaker:
https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html
"""

from __future__ import annotations

import asyncio
import re
import secrets
import shutil
import socket
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from local.sagemaker import archive, instance
from local.sagemaker.instance import Instance, OnLine

SCRIPT_MODE = ("pytorch-inference", "sagemaker-scikit-learn", "sagemaker-xgboost")
"""The repositories of AWS's images that serve an archive's `code/inference.py`; the account differs by region."""

ECR = re.compile(r"\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?/(.+)")
WATCHER = Path(__file__).with_name("watch_container.py")
PORT = 8080
MODEL = "/opt/ml/model"


class NoDocker(ValueError):
    """An image that needs Docker, and Docker cannot run it; the text says what to do, in one line."""


class Contained(Instance):
    """A container, behind a process that ends it when nobody holds its stdin any more."""

    name: str
    docker: str

    async def stop(self) -> None:
        if killed := self._killed():
            await self._remove()
        await super().stop()
        if not killed and self._killed():
            await self._remove()

    def _killed(self) -> bool:
        """Whether the watching process was, so that the container still runs, and holds the other end of the log."""
        return (self.process.returncode or 0) < 0

    async def _remove(self) -> None:
        await _docker(self.docker, "rm", "--force", self.name)


def has_script_mode(image: str) -> bool:
    """Whether the image is one of AWS's that serve an archive's code, as the embedded AWS's own server does."""
    found = ECR.fullmatch(image)
    return found is not None and re.split("[:@]", found[1])[0] in SCRIPT_MODE


async def start(image: str, data: bytes | None, environment: Mapping[str, str], region: str, log: OnLine) -> Instance:
    """The server of a model, without waiting until it answers. Raises `NoDocker` and what `instance.start` raises."""
    if has_script_mode(image):
        return await instance.start(data, environment, region, log)
    docker = await _at_hand(image)
    folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="sluice-instance-"))
    try:
        if data is not None:
            (folder / "model").mkdir()
            await asyncio.to_thread(archive.extract, data, folder / "model")
        return await _run(docker, image, folder, {"AWS_REGION": region, **environment}, log)
    except BaseException:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        raise


async def _run(docker: str, image: str, folder: Path, environment: Mapping[str, str], log: OnLine) -> Instance:
    name, port = f"sluice-{secrets.token_hex(8)}", _free_port()
    # No key here: whoever finds the port on this machine can ask the container.
    options = ["--rm", "--name", name, "--publish", f"127.0.0.1:{port}:{PORT}", "--security-opt", "no-new-privileges"]
    if (folder / "model").is_dir():
        # Read-only, as on SageMaker: https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html#your-algorithms-inference-code-load-artifacts
        options += ["--volume", f"{folder / 'model'}:{MODEL}:ro"]
    for variable, value in environment.items():
        options += ["--env", f"{variable}={value}"]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", str(WATCHER), docker, name, "run", *options, image, "serve"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,  # who ends the embedded AWS by force leaves it the time to end the container
    )
    made = Contained(folder, f"http://127.0.0.1:{port}", process, log)
    made.name, made.docker = name, docker
    return made


async def _at_hand(image: str) -> str:
    """The Docker command, its daemon running and the image there."""
    only = (
        f"{image} is no image of AWS's with script mode ({', '.join(SCRIPT_MODE)}), so it takes Docker to run it here"
    )
    docker = shutil.which("docker")
    if docker is None:
        raise NoDocker(f"{only}, and there is no `docker` on the PATH: install Docker, or name one of AWS's")
    status, said = await _docker(docker, "version", "--format", "{{.Server.Version}}")
    if status:
        raise NoDocker(f"{only}, and Docker does not answer: start it, or name one of AWS's ({said})")
    if (await _docker(docker, "image", "inspect", image))[0]:
        status, said = await _docker(docker, "pull", "--quiet", image)
        if status:
            raise NoDocker(f"Docker cannot pull {image}: {said}")
    return docker


async def _docker(docker: str, *arguments: str) -> tuple[int, str]:
    """A command's exit status, and the last line that it wrote."""
    process = await asyncio.create_subprocess_exec(
        *(docker, *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        written, _ = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.communicate()
        raise
    lines = [line.strip() for line in written.decode("utf-8", "replace").splitlines() if line.strip()]
    return process.returncode or 0, lines[-1] if lines else f"status {process.returncode}"


def _free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
    return port
