"""Images: AWS's own are served in script mode, any other by Docker, and refused in one line where there is none."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from local.sagemaker import containers
from local.sagemaker.aws import Place
from local.sagemaker.containers import SCRIPT_MODE, has_script_mode
from tests.e2e.deployment import until
from tests.local.sagemaker import fake_docker
from tests.local.sagemaker.around import ACCOUNT, IMAGE, REGION, ROLE, Cloud, packed

ECR = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"
OWN = f"{ECR}/team/scorer:1"
ONLY = (
    f"{OWN} is no image of AWS's with script mode (pytorch-inference, sagemaker-scikit-learn, sagemaker-xgboost), so "
    "it takes Docker to run it here"
)


def serve(cloud: Cloud, image: str, data: bytes | None = None) -> dict[str, Any]:
    """DescribeEndpoint of an endpoint of that image, once it has come up or not."""
    container: dict[str, Any] = {"Image": image, "Environment": {"COLOUR": "blue"}}
    if data is not None:
        cloud.memory.objects["models", "own.tar.gz"] = data
        container["ModelDataUrl"] = "s3://models/own.tar.gz"
    cloud.client("sagemaker").create_model(ModelName="own", PrimaryContainer=container, ExecutionRoleArn=ROLE)
    cloud.put_config("own", {"ModelName": "own"})
    return cloud.put_endpoint("own", "own")


def ask(cloud: Cloud) -> dict[str, Any]:
    """What the model answers to one instance."""
    body = json.dumps({"instances": [[1.0]]})
    answer = cloud.client("sagemaker-runtime").invoke_endpoint(
        EndpointName="own", Body=body, ContentType="application/json"
    )
    (prediction,) = json.loads(answer["Body"].read())["predictions"]
    return dict(prediction)


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a stand-in for Docker, which is the only program on the PATH."""
    monkeypatch.setenv("PATH", str(fake_docker.install(tmp_path / "docker")))
    return tmp_path / "docker"


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (IMAGE, True),
        ("683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.4-2-py312-cpu-py3", True),
        (f"{ECR}/sagemaker-xgboost@sha256:{'0' * 64}", True),
        (f"{ECR}/team/pytorch-inference:1", False),
        (f"{ECR}/pytorch-training:1", False),
        ("pytorch-inference:1", False),
        (OWN, False),
    ],
)
def test_script_mode_stands_in_for_awss_own_images_alone(image: str, expected: bool) -> None:
    assert has_script_mode(image) is expected
    assert len(SCRIPT_MODE) == 3


def test_without_docker_an_image_of_ones_own_is_refused_in_one_line(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    described = serve(cloud, OWN)
    assert described["EndpointStatus"] == "Failed"
    assert described["FailureReason"] == (
        f"{ONLY}, and there is no `docker` on the PATH: install Docker, or name one of AWS's"
    )


def test_a_docker_that_does_not_answer_is_named(cloud: Cloud, docker: Path) -> None:
    (docker / "down").touch()
    assert serve(cloud, OWN)["FailureReason"] == (
        f"{ONLY}, and Docker does not answer: start it, or name one of AWS's (Cannot connect to the Docker daemon)"
    )


def test_a_container_is_run_asked_and_ended_with_its_endpoint(cloud: Cloud, docker: Path) -> None:
    described = serve(cloud, OWN, packed({"weights.bin": b"w"}))
    assert described.get("FailureReason") is None
    answer = ask(cloud)
    assert answer["weights"] == ["weights.bin"]
    assert answer["env"] == ["AWS_REGION=eu-central-1", "COLOUR=blue"]
    (name,) = [it.name for it in (docker / "containers").iterdir()]

    calls = [json.loads(line) for line in (docker / "calls").read_text().splitlines()]
    assert [call[:2] for call in calls[:3]] == [["version", "--format"], ["image", "inspect"], ["pull", "--quiet"]]
    run = calls[3]
    published, mounted = run[run.index("--publish") + 1], run[run.index("--volume") + 1]
    assert run[:4] == ["run", "--rm", "--name", name]
    assert published.startswith("127.0.0.1:")
    assert published.endswith(":8080")
    assert mounted.endswith("/model:/opt/ml/model:ro")
    assert run[-2:] == [OWN, "serve"]

    folder = Path(mounted.partition(":")[0])
    cloud.client("sagemaker").delete_endpoint(EndpointName="own")
    until(lambda: folder.exists(), lambda there: not there)
    assert list((docker / "containers").iterdir()) == []


def test_a_container_whose_watcher_was_killed_is_ended_all_the_same(cloud: Cloud, docker: Path) -> None:
    assert serve(cloud, OWN)["EndpointStatus"] == "InService"
    servers = cloud.sagemaker.store(Place(ACCOUNT, REGION)).endpoint("own").fleet
    assert servers is not None
    (container,) = (docker / "containers").iterdir()
    watcher = servers.variants[0].instances[0]
    watcher.process.kill()
    until(lambda: watcher.alive, lambda alive: not alive)
    cloud.client("sagemaker").delete_endpoint(EndpointName="own")
    until(container.exists, lambda there: not there)


def test_an_image_without_an_archive_gets_nothing_mounted(cloud: Cloud, docker: Path) -> None:
    assert serve(cloud, OWN)["EndpointStatus"] == "InService"
    assert ask(cloud)["weights"] == []
    assert "--volume" not in (docker / "calls").read_text()


def test_an_image_that_cannot_be_pulled_or_does_not_serve_fails_with_the_last_line(cloud: Cloud, docker: Path) -> None:
    absent = f"{ECR}/absent:1"
    assert serve(cloud, absent)["FailureReason"] == f"Docker cannot pull {absent}: no basic auth credentials"
    cloud.client("sagemaker").create_model(
        ModelName="broken", PrimaryContainer={"Image": f"{ECR}/broken:1"}, ExecutionRoleArn=ROLE
    )
    cloud.put_config("broken", {"ModelName": "broken"})
    reason = cloud.put_endpoint("broken", "broken")["FailureReason"]
    assert reason.endswith("did not pass the ping health check: exec /usr/bin/serve: no such file or directory")


def test_a_container_ends_when_who_started_it_is_killed(docker: Path) -> None:
    (docker / "images" / "scorer").write_text("works")
    command = [sys.executable, "-I", str(containers.WATCHER), str(docker / "bin" / "docker"), "one"]
    options = ["run", "--rm", "--name", "one", "--publish", "127.0.0.1:0:8080", "scorer", "serve"]
    with subprocess.Popen([*command, *options], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as watcher:
        file = docker / "containers" / "one"
        until(file.exists, bool)
        process = int(file.read_text() or until(file.read_text, bool))
        assert watcher.stdin is not None
        watcher.stdin.close()
        assert watcher.wait(20) == -signal.SIGKILL % 256 or watcher.returncode != 0
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
