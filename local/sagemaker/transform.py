"""Batch transform: every object under a prefix sent through a model, one output object for each."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

import aiohttp

from local import faults
from local.sagemaker.aws import Aws, Document
from local.sagemaker.errors import AwsError, invalid, unserved
from local.sagemaker.faulty import instead_of
from local.sagemaker.fields import refuse_unserved
from local.sagemaker.fleet import Variant, healthy
from local.sagemaker.instance import Instance, ServerFailed
from local.sagemaker.models import PRINCIPAL, container_of
from local.sagemaker.starting import start
from local.sagemaker.store import Store

MAX_INSTANCES = 4
"""How many servers a job has on this machine at most, however many it asks for: its instances share the files."""

PAYLOAD_MB = 6
SECONDS = 600
RETRIES = 3
"""How much a request holds, how long it may take, and how often it is sent again where the model fails, where the job
does not say: AWS's defaults.
https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateTransformJob.html
"""

SEE_LOGS = "ClientError: See job logs for more information"
GROUP = "/aws/sagemaker/TransformJobs"


@dataclass(eq=False)
class TransformJob:
    """One job: what was asked, and its state as AWS names it."""

    name: str
    arn: str
    request: Document
    status: str = "InProgress"
    failure: str | None = None
    created: float = field(default_factory=time.time)
    started: float | None = None
    ended: float | None = None
    task: asyncio.Task[None] | None = None

    def end(self, status: str, failure: str | None = None) -> None:
        self.status, self.failure, self.ended = status, failure, time.time()


class TransformJobs:
    """Creates, describes and stops jobs; each runs in the background on servers of its own."""

    def __init__(self, aws: Aws, session: Callable[[], aiohttp.ClientSession]) -> None:
        self._aws, self._session = aws, session
        self._jobs: set[TransformJob] = set()

    def create(self, store: Store, request: Document) -> Document:
        """The job is InProgress when this returns; then Completed, Failed or Stopped."""
        _check(request)
        name = request["TransformJobName"]
        arn = store.place.arn("transform-job", name)
        if name.lower() in store.transforms:
            raise AwsError("ResourceInUse", f"Job name must be unique within an AWS account and region: {arn}")
        model = store.model(request["ModelName"])
        kept = {key: value for key, value in request.items() if key != "Tags" and value is not None}
        job = TransformJob(name, arn, kept)
        store.transforms[name.lower()] = job
        store.tag(arn, request.get("Tags"))
        work = _Work(self._aws, self._session(), store, model, job)
        job.task = asyncio.get_running_loop().create_task(work.run(), context=contextvars.copy_context())
        self._jobs.add(job)
        job.task.add_done_callback(lambda _: self._jobs.discard(job))
        return {"TransformJobArn": arn}

    def describe(self, store: Store, request: Document) -> Document:
        job = self._find(store, request)
        answer = {
            **job.request,
            "TransformJobArn": job.arn,
            "TransformJobStatus": job.status,
            "CreationTime": job.created,
        }
        times = {"TransformStartTime": job.started, "TransformEndTime": job.ended, "FailureReason": job.failure}
        return answer | {name: value for name, value in times.items() if value is not None}

    def stop(self, store: Store, request: Document) -> Document:
        job = self._find(store, request)
        if job.status == "InProgress":
            job.status = "Stopping"
            assert job.task is not None
            job.task.cancel()
        return {}

    async def settled(self, job: TransformJob) -> None:
        """Returns when the job has ended."""
        if job.task is not None:
            await asyncio.wait({job.task})

    async def close(self) -> None:
        """Stops every job."""
        tasks = [job.task for job in self._jobs if job.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @staticmethod
    def _find(store: Store, request: Document) -> TransformJob:
        name = request["TransformJobName"]
        if (job := store.transforms.get(name.lower())) is None:
            raise AwsError("ResourceNotFound", f"Could not find requested job with name: {name}")
        return job


@dataclass(eq=False)
class _Work:
    """One job under way, as its model's execution role."""

    aws: Aws
    session: aiohttp.ClientSession
    store: Store
    model: Document
    job: TransformJob

    async def run(self) -> None:
        job, servers = self.job, list[Instance]()
        try:
            job.started = time.time()
            await self._start(servers)
            refused = await self._transform(servers)
            if refused:
                job.end("Failed", SEE_LOGS)
            else:
                job.end("Completed")
        except (ServerFailed, AwsError, ValueError, LookupError) as problem:
            job.end("Failed", f"ClientError: {problem}"[:1024])
        except asyncio.CancelledError:
            job.end("Stopped")
        finally:
            await asyncio.gather(*(server.stop() for server in servers))

    async def _start(self, servers: list[Instance]) -> None:
        container, role = container_of(self.store, self.model), self.model.get("ExecutionRoleArn")
        environment = {**container.environment, **(self.job.request.get("Environment") or {})}
        container, stream = replace(container, environment=environment), f"{self.job.name}/local"
        count = min(self.job.request["TransformResources"]["InstanceCount"], MAX_INSTANCES)
        variant = Variant(
            "transform",
            weight=1,
            count=count,
            image=container.image,
            start=lambda: start(self.aws, self.store.place, container, role, GROUP, stream),
        )

        async def one() -> None:
            servers.append(await healthy(variant, self.session))

        for outcome in await asyncio.gather(*(one() for _ in range(count)), return_exceptions=True):
            if outcome is not None:
                raise outcome

    async def _transform(self, servers: list[Instance]) -> list[str]:
        """Sends every object through the servers; the keys of those that the model did not take."""
        request = self.job.request
        bucket, prefix = _location(request["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"])
        keys = await self.aws.list_objects(self._key(), bucket, prefix)
        keys = [key for key in keys if not key.endswith("/")]
        if not keys:
            raise invalid(f"No objects found under s3://{bucket}/{prefix}.")
        at_once = asyncio.Semaphore(max(1, request.get("MaxConcurrentTransforms") or 1) * len(servers))
        folder = prefix.rpartition("/")[0]

        async def one(number: int, key: str) -> str | None:
            async with at_once:
                taken = await self._object(servers[number % len(servers)], bucket, key, key[len(folder) :].lstrip("/"))
            return None if taken else key

        outcomes = await asyncio.gather(*(one(number, key) for number, key in enumerate(keys)))
        return [key for key in outcomes if key is not None]

    async def _object(self, server: Instance, bucket: str, key: str, name: str) -> bool:
        """Writes the object's answers; false, with a line in the log, where the model did not take it all.

        AWS leaves no output object then: https://docs.aws.amazon.com/sagemaker/latest/dg/batch-transform-errors.html
        """
        request = self.job.request
        given, output = request["TransformInput"], request["TransformOutput"]
        body = await self.aws.get_object(self._key(), bucket, key)
        headers = {"content-type": given["ContentType"]} if given.get("ContentType") else {}
        headers |= {"accept": output["Accept"]} if output.get("Accept") else {}
        answers, content_type = [], "application/octet-stream"
        for part in parts(body, request):
            status, answer, content_type = await self._ask(server, part, headers)
            if status >= 400:
                self._log(f"{bucket}/{key}: ClientError: {status}\n{answer.decode('utf-8', 'replace')}")
                return False
            answers.append(answer)
        joined = b"".join(answers)
        if output.get("AssembleWith") == "Line":
            joined = b"".join(answer.rstrip(b"\n") + b"\n" for answer in answers)
        target, path = _location(output["S3OutputPath"] + "/")
        await self.aws.put_object(self._key(), target, f"{path.strip('/')}/{name}.out", joined, content_type)
        return True

    async def _ask(self, server: Instance, body: bytes, headers: dict[str, str]) -> tuple[int, bytes, str]:
        """The model's answer, asked again while it fails: status, body, content type.

        https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ModelClientConfig.html; that a refusal, of the 4xx
        kind, is no failure is not confirmed.
        """
        client = self.job.request.get("ModelClientConfig") or {}
        timeout = aiohttp.ClientTimeout(total=client.get("InvocationsTimeoutInSeconds", SECONDS))
        answer = 500, b"", ""
        for _ in range(1 + client.get("InvocationsMaxRetries", RETRIES)):
            try:
                answer = await self._exchange(server, body, headers, timeout)
            except (aiohttp.ClientError, TimeoutError) as problem:
                answer = 500, repr(problem).encode(), ""
            if answer[0] < 500:
                break
        return answer

    async def _exchange(
        self, server: Instance, body: bytes, headers: dict[str, str], timeout: aiohttp.ClientTimeout
    ) -> tuple[int, bytes, str]:
        rule = await faults.meet("model", "Run", self.job.arn) if faults.watching() else None
        if rule is not None and (instead := instead_of(rule, server)) is not None:
            return instead[0], instead[2], instead[1]["content-type"]
        skipped = ("content-type", "accept-encoding", "user-agent")
        async with self.session.post(
            f"{server.url}/invocations", data=body, headers=headers, timeout=timeout, skip_auto_headers=skipped
        ) as answer:
            said = answer.headers.get("content-type", "application/octet-stream")
            return answer.status, await answer.read(), said

    def _key(self) -> str:
        role, source = self.model.get("ExecutionRoleArn") or "", self.store.place.source_arn
        return self.aws.role_session(role, "SageMaker", service=PRINCIPAL, source_arn=source).access_key

    def _log(self, line: str) -> None:
        with contextlib.suppress(ValueError):
            self.aws.log(self._key(), GROUP, f"{self.job.name}/local", line)


def parts(body: bytes, request: Document) -> Iterator[bytes]:
    """An object as it is sent to the model: whole, a line at a time, or as many lines as a request holds.

    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_TransformInput.html,
    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateTransformJob.html (BatchStrategy)
    Raises `AwsError` for what is too large for one request.
    """
    most = (request.get("MaxPayloadInMB") or PAYLOAD_MB) * 1024**2
    split = request["TransformInput"].get("SplitType", "None") == "Line"
    lines = body.splitlines(keepends=True) if split else [body]
    for line in lines:
        if len(line) > most:
            raise invalid(f"A request of {len(line)} bytes is larger than MaxPayloadInMB allows, {most} bytes.")
    if request.get("BatchStrategy") == "SingleRecord":
        yield from (line.rstrip(b"\r\n") if split else line for line in lines)
        return
    held: list[bytes] = []
    for line in lines:
        if held and sum(map(len, held)) + len(line) > most:
            yield b"".join(held)
            held = []
        held.append(line)
    if held:
        yield b"".join(held)


def _check(request: Document) -> None:
    refuse_unserved("CreateTransformJob", request)
    refuse_unserved("TransformInput", request["TransformInput"])
    refuse_unserved("TransformOutput", request["TransformOutput"])
    source = request["TransformInput"]["DataSource"]["S3DataSource"]
    if source["S3DataType"] != "S3Prefix":
        raise unserved(f"Transform input of type {source['S3DataType']}")
    _location(source["S3Uri"])
    split = request["TransformInput"].get("SplitType", "None")
    if split not in ("None", "Line"):
        raise unserved(f"SplitType {split}")
    if request["TransformInput"].get("CompressionType", "None") != "None":
        raise unserved("Compressed transform input")
    # https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateTransformJob.html#sagemaker-CreateTransformJob-request-MaxPayloadInMB
    at_once = request.get("MaxConcurrentTransforms") or 1
    if at_once * (request.get("MaxPayloadInMB") or PAYLOAD_MB) > 100:
        raise invalid("MaxPayloadInMB times MaxConcurrentTransforms must not exceed 100 MB.")


def _location(uri: str) -> tuple[str, str]:
    """(bucket, key or prefix) of an s3:// address."""
    parts = urlsplit(uri)
    if parts.scheme != "s3" or not parts.netloc:
        raise invalid(f"Expected s3://bucket/prefix, received {uri}.")
    return parts.netloc, parts.path.lstrip("/")
