"""Application Auto Scaling's targets and policies for endpoints; `local.sagemaker.scaler` carries them out."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from local.sagemaker.aws import Document, Place, partition
from local.sagemaker.errors import AwsError, invalid, unserved
from local.sagemaker.policies import Step, Tracking, policy_of

RESOURCE = re.compile(r"endpoint/(?P<endpoint>[^/]+)/variant/(?P<variant>[^/]+)")
DIMENSION = "sagemaker:variant:DesiredInstanceCount"
Key = tuple[str, str, str]


@dataclass
class Scaling:
    """The scalable targets and scaling policies of one account and region.

    `registered` is told when there is a target.
    """

    place: Place
    registered: Callable[[], None] = lambda: None
    targets: dict[Key, Document] = field(default_factory=dict)
    policies: dict[tuple[Key, str], Document] = field(default_factory=dict)

    def register(self, request: Document) -> Document:
        """RegisterScalableTarget: makes a target, or changes what is given of one."""
        key = _key(request)
        if request["ScalableDimension"] != DIMENSION or any((request.get("SuspendedState") or {}).values()):
            raise unserved(f"A target of {request['ScalableDimension']}, or one that is suspended,")
        known = self.targets.get(key)
        if known is None:
            if "MinCapacity" not in request or "MaxCapacity" not in request:
                raise invalid("MinCapacity and MaxCapacity are required to register a new scalable target")
            known = {"ScalableTargetARN": self._arn("scalable-target", uuid.uuid4().hex), "CreationTime": time.time()}
        target = {**known, **{name: value for name, value in request.items() if name != "Tags"}}
        if target["MinCapacity"] > target["MaxCapacity"]:
            raise invalid("Maximum capacity cannot be less than minimum capacity")
        self.targets[key] = target
        self.registered()
        return {"ScalableTargetARN": target["ScalableTargetARN"]}

    def deregister(self, request: Document) -> Document:
        """DeregisterScalableTarget: the target goes, and its policies with it."""
        key = self._existing(request)
        del self.targets[key]
        for policy in [policy for policy in self.policies if policy[0] == key]:
            del self.policies[policy]
        return {}

    def describe_targets(self, request: Document) -> Document:
        wanted = request.get("ResourceIds")
        found = [target for target in self.targets.values() if wanted is None or target["ResourceId"] in wanted]
        return {"ScalableTargets": [target for target in found if _asked(target, request)]}

    def put_policy(self, request: Document) -> Document:
        """PutScalingPolicy: makes or changes a policy of a target. Refuses one that would not be carried out."""
        key, name = self._existing(request), request["PolicyName"]
        _read(request)
        known = self.policies.get((key, name))
        if known is None:
            arn = self._arn("scalingPolicy", f"{uuid.uuid4()}:resource/sagemaker/{key[1]}:policyName/{name}", ":")
            known = {"PolicyARN": arn, "CreationTime": time.time(), "PolicyType": "StepScaling"}
        self.policies[key, name] = {**known, **request, "Alarms": []}
        return {"PolicyARN": known["PolicyARN"], "Alarms": []}

    def delete_policy(self, request: Document) -> Document:
        key, name = _key(request), request["PolicyName"]
        if self.policies.pop((key, name), None) is None:
            raise AwsError("ObjectNotFoundException", f"No scaling policy found for {_words(key)}, policy name: {name}")
        return {}

    def describe_policies(self, request: Document) -> Document:
        names, resource = request.get("PolicyNames"), request.get("ResourceId")
        found = [
            policy
            for policy in self.policies.values()
            if (names is None or policy["PolicyName"] in names) and resource in (None, policy["ResourceId"])
        ]
        return {"ScalingPolicies": [policy for policy in found if _asked(policy, request)]}

    def policies_of(self, key: Key) -> dict[str, Tracking | Step]:
        """The policies of a target by ARN."""
        return {policy["PolicyARN"]: _read(policy) for (of, _), policy in self.policies.items() if of == key}

    def of_endpoint(self, name: str) -> list[Document]:
        """The targets on the variants of an endpoint."""
        found = []
        for target in self.targets.values():
            match = RESOURCE.fullmatch(target["ResourceId"])
            if match and match["endpoint"].lower() == name.lower():
                found.append(target)
        return found

    def _existing(self, request: Document) -> Key:
        key = _key(request)
        if key not in self.targets:
            raise AwsError("ObjectNotFoundException", f"No scalable target found for {_words(key)}")
        return key

    def _arn(self, kind: str, name: str, separator: str = "/") -> str:
        service = "application-autoscaling" if kind == "scalable-target" else "autoscaling"
        region, account = self.place.region, self.place.account
        return f"arn:{partition(region)}:{service}:{region}:{account}:{kind}{separator}{name}"


def _key(request: Document) -> Key:
    if request["ServiceNamespace"] != "sagemaker":
        raise invalid(
            f"The embedded AWS scales nothing of {request['ServiceNamespace']}: expected service namespace sagemaker."
        )
    if not RESOURCE.fullmatch(request["ResourceId"]):
        raise invalid(f"Unsupported resource {request['ResourceId']}: expected endpoint/<name>/variant/<name>.")
    return request["ServiceNamespace"], request["ResourceId"], request["ScalableDimension"]


def _read(policy: Document) -> Tracking | Step:
    return policy_of(policy, policy["ResourceId"].split("/")[1])


def _words(key: Key) -> str:
    return f"service namespace: {key[0]}, resource ID: {key[1]}, scalable dimension: {key[2]}"


def _asked(entry: Document, request: Document) -> bool:
    if entry["ServiceNamespace"] != request["ServiceNamespace"]:
        return False
    return request.get("ScalableDimension") in (None, entry["ScalableDimension"])
