"""The Model Registry as far as a model is served from it: groups, their versions, and whether one is approved."""

from __future__ import annotations

import time

from local.sagemaker.aws import Document
from local.sagemaker.errors import invalid, unserved
from local.sagemaker.fields import refuse_unserved
from local.sagemaker.store import Store

APPROVED, PENDING = "Approved", "PendingManualApproval"


def create_group(store: Store, request: Document) -> Document:
    refuse_unserved("CreateModelPackageGroup", request)
    name = request["ModelPackageGroupName"]
    arn = store.place.arn("model-package-group", name)
    if name.lower() in store.groups:
        raise invalid(f"Model Package Group already exists: {arn}")
    kept = {key: value for key, value in request.items() if key != "Tags"}
    status = {"ModelPackageGroupStatus": "Completed", "CreationTime": time.time()}
    store.groups[name.lower()] = {**kept, **status, "ModelPackageGroupArn": arn}
    store.tag(arn, request.get("Tags"))
    return {"ModelPackageGroupArn": arn}


def create(store: Store, request: Document) -> Document:
    """The next version of a group. It waits for approval, unless the request says what was decided.

    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateModelPackage.html
    """
    refuse_unserved("CreateModelPackage", request)
    name = request.get("ModelPackageGroupName")
    if not name:
        raise unserved("A model package without ModelPackageGroupName (an unversioned one)")
    group = store.group(name)
    specification = request.get("InferenceSpecification")
    if not specification:
        raise unserved("A model package without InferenceSpecification")
    refuse_unserved("InferenceSpecification", specification)
    if len(specification["Containers"]) > 1:
        raise unserved("A model package of several Containers (an inference pipeline)")
    refuse_unserved("ModelPackageContainerDefinition", specification["Containers"][0])
    for known in store.packages.values():
        if known.get("ClientToken") == request.get("ClientToken") is not None:
            return {"ModelPackageArn": known["ModelPackageArn"]}  # the same call, tried again
    prefix = f"{name.lower()}/"
    version = 1 + sum(key.startswith(prefix) for key in store.packages)
    arn = store.place.arn("model-package", f"{name}/{version}")
    store.packages[f"{prefix}{version}"] = {
        "ModelApprovalStatus": PENDING,
        **request,
        "ModelPackageGroupName": group["ModelPackageGroupName"],
        "ModelPackageVersion": version,
        "ModelPackageArn": arn,
        "CreationTime": time.time(),
        "ModelPackageStatus": "Completed",
        "ModelPackageStatusDetails": {"ValidationStatuses": []},
    }
    return {"ModelPackageArn": arn}


def describe(store: Store, request: Document) -> Document:
    package = store.package(request["ModelPackageName"])
    return {key: value for key, value in package.items() if key != "ClientToken"}


def update(store: Store, request: Document) -> Document:
    """Says whether a version is approved."""
    refuse_unserved("UpdateModelPackage", request)
    package = store.package(request["ModelPackageArn"])
    changed = {key: value for key, value in request.items() if key != "ModelPackageArn"}
    package.update(changed, LastModifiedTime=time.time())
    return {"ModelPackageArn": package["ModelPackageArn"]}


def check_approved(store: Store, name: str) -> None:
    """Refuses a version that may not be deployed. AWS says that it must be Approved; when it says so, and these
    words, are not confirmed: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateModelPackage.html
    """
    package = store.package(name)
    if (status := package["ModelApprovalStatus"]) != APPROVED:
        raise invalid(
            f"Model package {package['ModelPackageArn']} has the approval status {status}, and only one that is "
            f"{APPROVED} can be deployed."
        )


def container_in(store: Store, container: Document) -> Document:
    """The container of a model with what its package says; one of no package is itself."""
    if not (name := container.get("ModelPackageName")):
        return container
    if container.get("Image") or container.get("ModelDataUrl") or container.get("ModelDataSource"):
        raise invalid("A container of a model package cannot have an Image or model data of its own.")
    packaged = store.package(name)["InferenceSpecification"]["Containers"][0]
    environment = {**(packaged.get("Environment") or {}), **(container.get("Environment") or {})}
    served = {key: packaged[key] for key in ("Image", "ModelDataUrl", "ModelDataSource") if packaged.get(key)}
    return {**served, **({"Environment": environment} if environment else {})}
