"""What a person does with `python -m local up`: point tools at it, diff, hotswap an edited handler, destroy, Ctrl-C."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from local.cdk import CLI, node
from local.embedded import NO_PERSON
from local.workflows import Account
from tests.local_aws import ROOT, LocalAws, deployed


def _cdk(aws: LocalAws, app: Path, *arguments: str) -> str:
    """The output of the CDK CLI, run in a copy of the app and pointed at the embedded AWS."""
    path = os.pathsep.join([str(Path(sys.executable).parent), str(node().parent), os.environ["PATH"]])
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")} | {
        **NO_PERSON,
        "PATH": path,
        "AWS_ENDPOINT_URL": aws.ready.endpoint,
        "AWS_ACCESS_KEY_ID": aws.ready.access_key,
        "AWS_SECRET_ACCESS_KEY": aws.ready.secret_key,
        "AWS_REGION": aws.ready.region,
        "CDK_DISABLE_CLI_TELEMETRY": "1",
        "CI": "true",
        "NO_COLOR": "1",
    }
    done = subprocess.run(
        [str(node()), str(CLI), *arguments, "--no-notices"],
        cwd=app,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def _copy(folder: Path) -> Path:
    """A copy of the app whose handlers can be edited; what was built is shared."""
    for name in ("stacks", "lambda_src", "model"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("app.py", "cdk.json"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "build").symlink_to(ROOT / "build")
    return folder


def test_diff_hotswap_destroy_and_ctrl_c_work_against_up(tmp_path: Path) -> None:
    app = _copy(tmp_path)
    with deployed() as aws:
        stacks = aws.client("cloudformation").describe_stacks()["Stacks"]
        assert {stack["StackName"]: stack["StackStatus"] for stack in stacks} == {
            "CDKToolkit": "CREATE_COMPLETE",
            "MlWorkflowStack": "CREATE_COMPLETE",
            "InferenceStack": "CREATE_COMPLETE",
        }
        file = ROOT / "build" / "local" / "env"
        shown = subprocess.run(["/bin/sh", "-c", f". '{file}' && env"], capture_output=True, text=True, check=True)
        assert f"AWS_ENDPOINT_URL={aws.ready.endpoint}\n" in shown.stdout
        assert file.stat().st_mode & 0o077 == 0

        assert "Number of stacks with differences: 0" in _cdk(aws, app, "diff")

        handler = app / "lambda_src" / "predict.py"
        edited = "\n\ndef handler(event, context):\n    return {'predictions': ['edited'], 'rejected': []}\n"
        handler.write_text(handler.read_text() + edited)
        assert "hotswapped!" in _cdk(aws, app, "deploy", "--hotswap", "MlWorkflowStack")
        request = json.loads((ROOT / "examples" / "request.json").read_text())
        assert Account(aws.ready).run("MlWorkflowStack", request).predictions == ["edited"]

        _cdk(aws, app, "destroy", "--all", "--force")
        assert aws.client("lambda").list_functions()["Functions"] == []
        assert aws.client("sagemaker").list_endpoints()["Endpoints"] == []
        assert aws.client("stepfunctions").list_state_machines()["stateMachines"] == []
    assert not file.exists()
