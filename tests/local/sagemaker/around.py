"""What the SageMaker tests stand on: an AWS around it in memory, real botocore clients, and model archives."""

from __future__ import annotations

import asyncio
import io
import json
import tarfile
import threading
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import boto3
from botocore.awsrequest import AWSPreparedRequest, AWSResponse

from local.clock import Clock
from local.sagemaker.aws import Document, Place
from local.sagemaker.control import SageMaker

ACCOUNT, REGION = "123456789012", "eu-central-1"
IMAGE = "763104351884.dkr.ecr.eu-central-1.amazonaws.com/pytorch-inference:2.6.0-cpu-py312-ubuntu22.04-sagemaker"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/serving"
MODEL = Path(__file__).parents[3] / "model"
ECHO = """
import json, os, sys
def model_fn(model_dir):
    return os.environ.get("NAME", "a")
def input_fn(body, content_type):
    return json.loads(body)
def predict_fn(data, model):
    return {"model": model, "data": data}
def output_fn(prediction, accept):
    return json.dumps(prediction), accept
"""


@dataclass
class Key:
    access_key: str


@dataclass
class Memory:
    """An AWS of a few objects and a list of what is forbidden to whom: (access key or role, action)."""

    objects: dict[tuple[str, str], bytes] = field(default_factory=dict)
    forbidden: set[tuple[str, str]] = field(default_factory=set)
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    lines: list[tuple[str, str, str]] = field(default_factory=list)
    metrics: list[Document] = field(default_factory=list)
    alarms: set[str] = field(default_factory=set)
    alarms_described: list[Document] = field(default_factory=list)
    published: list[tuple[str, Document]] = field(default_factory=list)

    def authorize(self, access_key: str, action: str, resource: str, *, region: str) -> str | None:
        self.asked.append((access_key, action, resource))
        if (access_key, action) not in self.forbidden:
            return None
        return f"User: {access_key} is not authorized to perform: {action} on resource: {resource}"

    def role_session(self, role_arn: str, session_name: str, *, service: str, source_arn: str) -> Key:
        if role_arn != ROLE or service != "sagemaker.amazonaws.com" or not source_arn.endswith(f":{ACCOUNT}:*"):
            raise ValueError(f"{service} may not assume {role_arn}")
        return Key(role_arn)

    def read_object(self, bucket: str, key: str) -> bytes:
        return self.objects[bucket, key]

    async def get_object(self, access_key: str, bucket: str, key: str) -> bytes:
        self._check(access_key, "s3:GetObject", f"arn:aws:s3:::{bucket}/{key}")
        return self.objects[bucket, key]

    async def put_object(self, access_key: str, bucket: str, key: str, body: bytes, content_type: str) -> None:
        self._check(access_key, "s3:PutObject", f"arn:aws:s3:::{bucket}/{key}")
        self.objects[bucket, key] = body

    async def list_objects(self, access_key: str, bucket: str, prefix: str) -> list[str]:
        self._check(access_key, "s3:ListBucket", f"arn:aws:s3:::{bucket}")
        return sorted(key for held, key in self.objects if held == bucket and key.startswith(prefix))

    async def publish(self, access_key: str, topic: str, message: str) -> None:
        self._check(access_key, "sns:Publish", topic)
        self.published.append((topic, json.loads(message)))

    def _check(self, access_key: str, action: str, resource: str) -> None:
        if (message := self.authorize(access_key, action, resource, region=REGION)) is not None:
            raise ValueError(message)

    def put_metrics(self, place: Place, namespace: str, data: list[Document]) -> None:
        self.metrics += data

    def ringing(self, place: Place, alarms: Sequence[str]) -> list[str]:
        return [name for name in alarms if name in self.alarms]

    def alarms_on(self, place: Place, action: str) -> list[Document]:
        return [alarm for alarm in self.alarms_described if action in alarm["AlarmActions"]]

    def log(self, access_key: str, group: str, stream: str, line: str) -> None:
        self.lines.append((group, stream, line))


@dataclass(frozen=True)
class Call:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    account: str = ACCOUNT
    region: str = REGION
    access_key: str = "AKIATEST"


class _Raw(io.BytesIO):
    def stream(self, *_args: Any, **_kwargs: Any) -> Iterator[bytes]:
        yield self.read()


@cache
def _client(service: str) -> Any:
    session = boto3.Session("AKIATEST", "secret", region_name=REGION)
    return session.client(service)  # type: ignore[call-overload]  # the name is not a literal here


class Cloud:
    """A `SageMaker` on an event loop of its own thread, and clients of botocore that reach it without a socket."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.memory = Memory()
        self.loop = asyncio.new_event_loop()
        self.sagemaker = SageMaker(self.memory, invocation_seconds=0.5, clock=clock)

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()

    def client(self, service: str) -> Any:
        """A client that reaches this cloud, as long as it is the latest: clients are shared, being slow to make."""
        client = _client(service)
        client.meta.events.unregister("before-send.*", unique_id="cloud")
        client.meta.events.register("before-send.*", self._send, unique_id="cloud")
        return client

    def _send(self, request: AWSPreparedRequest, **_kwargs: Any) -> AWSResponse:
        body = request.body or b""
        call = Call(
            str(request.method),
            unquote(urlsplit(request.url).path),
            {str(name).lower(): _text(value) for name, value in request.headers.items()},
            body.encode() if isinstance(body, str) else bytes(body),  # type: ignore[arg-type]  # never a file here
        )
        scaling = "autoscaling" in urlsplit(request.url).netloc
        handle = self.sagemaker.handle_scaling if scaling else self.sagemaker.handle
        status, headers, answer = self.run(handle(call))
        return AWSResponse(request.url, status, headers, _Raw(answer))

    def put_model(self, name: str, data: bytes, environment: dict[str, str] | None = None) -> None:
        """Stores an archive and creates a model of it."""
        self.memory.objects["models", f"{name}.tar.gz"] = data
        container = {"Image": IMAGE, "ModelDataUrl": f"s3://models/{name}.tar.gz"}
        if environment:
            container["Environment"] = environment  # type: ignore[assignment]  # a map beside texts
        self.client("sagemaker").create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=ROLE)

    def put_config(self, name: str, *variants: Document) -> None:
        """Creates a configuration; each variant needs a ModelName and takes defaults for the rest."""
        self.client("sagemaker").create_endpoint_config(
            EndpointConfigName=name, ProductionVariants=[variant_of(**variant) for variant in variants]
        )

    def settled(self, name: str) -> Document:
        """DescribeEndpoint, once nothing is in progress."""
        endpoint = self.sagemaker.store(Place(ACCOUNT, REGION)).endpoint(name)
        self.run(self.sagemaker.endpoints.settled(endpoint))
        described: Document = self.client("sagemaker").describe_endpoint(EndpointName=name)
        return described

    def put_endpoint(self, name: str, config: str) -> Document:
        self.client("sagemaker").create_endpoint(EndpointName=name, EndpointConfigName=config)
        return self.settled(name)


def variant_of(**given: Any) -> Document:
    defaults = {"VariantName": "AllTraffic", "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
    return {**defaults, **given}


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


@contextmanager
def cloud(clock: Clock | None = None) -> Iterator[Cloud]:
    """A `Cloud` that leaves no process behind; other tests of the session may have shortened waits for theirs."""
    made = Cloud(clock or Clock(1))
    thread = threading.Thread(target=made.loop.run_forever)
    thread.start()
    try:
        yield made
    finally:
        made.run(made.sagemaker.close())
        made.run(made.loop.shutdown_default_executor())
        made.loop.call_soon_threadsafe(made.loop.stop)
        thread.join()
        made.loop.close()


def packed(files: dict[str, str | bytes]) -> bytes:
    """A model.tar.gz of the files."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return out.getvalue()


def program(source: str) -> bytes:
    return packed({"code/inference.py": source})


def sample_model() -> bytes:
    """The archive that the stacks make of `model/`."""
    return packed(
        {
            "weights.json": (MODEL / "weights.json").read_bytes(),
            "code/inference.py": (MODEL / "inference.py").read_bytes(),
            "code/requirements.txt": (MODEL / "requirements.txt").read_bytes(),
        }
    )
