"""A deployment that goes from mode to mode: by CloudFormation alone, without the seconds that the CDK CLI takes."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from botocore.exceptions import ClientError

from tests.e2e.deployment import Deployment, until
from tests.synthesis import MODES, STACKS, Assembly

CREATED, UPDATED = "CREATE_COMPLETE", "UPDATE_COMPLETE"


@dataclass
class Moving:
    """An embedded AWS in one mode after the other; `now` has the stacks as they are, in `mode`, or none at first."""

    now: Deployment
    synthesized: Callable[[str], Assembly]
    mode: str = ""
    _published: set[str] = field(default_factory=set)

    def to(self, mode: str) -> Deployment:
        """Both stacks in this mode, or this variant, which may be theirs already.

        Raises CloudFormation's `ClientError`, or `AssertionError` with its reasons.
        """
        if mode == self.mode:
            return self.now
        assembly = self.synthesized(MODES.get(mode, mode))
        templates = self._publish(assembly.folder)
        cloudformation = self.now.client("cloudformation")
        there = {it["StackName"] for it in cloudformation.describe_stacks()["Stacks"]}
        for stack in STACKS:
            deploy = cloudformation.update_stack if stack in there else cloudformation.create_stack
            try:
                deploy(StackName=stack, TemplateURL=templates[stack], Capabilities=["CAPABILITY_IAM"])
            except ClientError as error:
                if "No updates are to be performed" not in str(error):
                    raise
        for stack in STACKS:
            status = until(functools.partial(self._status, stack), lambda status: not status.endswith("IN_PROGRESS"))
            assert status in (CREATED, UPDATED), self._reasons(stack)
        self.now = Deployment(self.now.ready, self.now.folder, updated=assembly.folder)
        self.mode = mode
        return self.now

    def edit(self, stack: str, template: str) -> tuple[str, list[str]]:
        """The stack with a template of one's own: the status that the update ends in, and the events' reasons."""
        self.mode = ""
        body = template.encode()
        (bucket,) = [it["Name"] for it in self.now.client("s3").list_buckets()["Buckets"] if "assets" in it["Name"]]
        key = hashlib.sha256(body).hexdigest()
        self.now.client("s3").put_object(Bucket=bucket, Key=key, Body=body)
        self.now.client("cloudformation").update_stack(
            StackName=stack, TemplateURL=f"{self.now.ready.endpoint}/{bucket}/{key}", Capabilities=["CAPABILITY_IAM"]
        )
        status = until(lambda: self._status(stack), lambda status: not status.endswith("IN_PROGRESS"))
        return status, self._reasons(stack)

    def _status(self, stack: str) -> str:
        (found,) = self.now.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
        return str(found["StackStatus"])

    def _reasons(self, stack: str) -> list[str]:
        events = self.now.client("cloudformation").describe_stack_events(StackName=stack)["StackEvents"]
        return [
            f"{it['LogicalResourceId']}: {it['ResourceStatusReason']}" for it in events if "ResourceStatusReason" in it
        ]

    def _publish(self, folder: Path) -> dict[str, str]:
        """Uploads the assembly's assets, as `cdk deploy` does; the address of each stack's template."""
        templates = {}
        for stack in STACKS:
            assets = json.loads((folder / f"{stack}.assets.json").read_text())["files"]
            for asset in assets.values():
                source = folder / asset["source"]["path"]
                (place,) = asset["destinations"].values()
                bucket = place["bucketName"].replace("${AWS::AccountId}", self.now.ready.account)
                if place["objectKey"] not in self._published:
                    body = zipped(source) if source.is_dir() else source.read_bytes()
                    self.now.client("s3").put_object(Bucket=bucket, Key=place["objectKey"], Body=body)
                    self._published.add(place["objectKey"])
                if source.name == f"{stack}.template.json":
                    templates[stack] = f"{self.now.ready.endpoint}/{bucket}/{place['objectKey']}"
        return templates


def zipped(folder: Path) -> bytes:
    """The folder's files in an archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder))
    return buffer.getvalue()


def circuit(names: list[str]) -> Iterator[tuple[str, str]]:
    """Each ordered pair of them once, one after the other, from the first name back to it."""
    left: dict[str, list[str]] = {name: [other for other in names if other != name] for name in names}
    path, walked = [names[0]], []
    while path:  # Hierholzer's: what cannot go on is walked last
        if rest := left[path[-1]]:
            path.append(rest.pop())
        else:
            walked.append(path.pop())
    walked.reverse()
    yield from pairwise(walked)
