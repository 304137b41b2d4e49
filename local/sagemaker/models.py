"""Models and endpoint configurations: what an endpoint is made of."""

from __future__ import annotations

import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from local.sagemaker import registry
from local.sagemaker.aws import Aws, Document, partition
from local.sagemaker.errors import invalid, unserved
from local.sagemaker.fields import refuse_unserved
from local.sagemaker.store import Store

PRINCIPAL = "sagemaker.amazonaws.com"


@dataclass(frozen=True)
class Container:
    """What runs in an instance: `data` is (bucket, key) of the archive, if there is one."""

    image: str
    data: tuple[str, str] | None
    environment: dict[str, str]


def create_model(store: Store, aws: Aws, request: Document) -> Document:
    """Records a model whose data its role can read, as SageMaker checks when the model is made."""
    refuse_unserved("CreateModel", request)
    name = request["ModelName"]
    arn = store.place.arn("model", name)
    if name.lower() in store.models:
        raise invalid(f'Cannot create already existing model "{arn}".')
    for given in request.get("Containers") or [request.get("PrimaryContainer") or {}]:
        if name_of_package := given.get("ModelPackageName"):
            registry.check_approved(store, name_of_package)
    container = container_of(store, request)
    if container.data is not None:
        _check_access(store, aws, request.get("ExecutionRoleArn"), *container.data)
    kept = {key: value for key, value in request.items() if key != "Tags" and value is not None}
    store.models[name.lower()] = {**kept, "ModelArn": arn, "CreationTime": time.time()}
    store.tag(arn, request.get("Tags"))
    return {"ModelArn": arn}


def container_of(store: Store, model: Document) -> Container:
    """The one container of a model. Raises `ValidationException` for none, several, or one not served."""
    containers = model.get("Containers") or []
    if model.get("PrimaryContainer") is not None:
        containers = [model["PrimaryContainer"]]
    if not containers:
        raise invalid("Either PrimaryContainer or Containers must be specified.")
    if len(containers) > 1:
        raise unserved("A model of several Containers (an inference pipeline)")
    container = containers[0]
    refuse_unserved("ContainerDefinition", container)
    if container.get("Mode", "SingleModel") != "SingleModel":
        raise unserved(f"Mode {container['Mode']}")
    container = registry.container_in(store, container)
    if not container.get("Image"):
        raise invalid("Image must be specified for a container that is not a model package.")
    return Container(container["Image"], _data_of(container), container.get("Environment") or {})


def _data_of(container: Document) -> tuple[str, str] | None:
    url = container.get("ModelDataUrl")
    if source := (container.get("ModelDataSource") or {}).get("S3DataSource"):
        if url:
            raise invalid("Only one of ModelDataUrl and ModelDataSource can be specified.")
        if (source["CompressionType"], source["S3DataType"]) != ("Gzip", "S3Object"):
            raise unserved(f"Model data of type {source['S3DataType']} with compression {source['CompressionType']}")
        if len(source) > 3:
            raise unserved("ModelDataSource beyond S3Uri, S3DataType and CompressionType")
        url = source["S3Uri"]
    if not url:
        return None
    parts = urlsplit(url)
    if parts.scheme != "s3" or not parts.path.strip("/"):
        raise invalid(f"Invalid model data location {url}: expected s3://bucket/key.")
    return parts.netloc, parts.path.lstrip("/")


def _check_access(store: Store, aws: Aws, role: str | None, bucket: str, key: str) -> None:
    """AWS's own check and, shortened, its words: model data is read as the execution role."""
    if not role:
        raise invalid("ExecutionRoleArn must be specified for a model with model data.")
    problem = invalid(
        f'Could not access model data at s3://{bucket}/{key}. Please ensure that the role "{role}" exists and that '
        'its trust relationship policy allows the action "sts:AssumeRole" for the service principal '
        f'"{PRINCIPAL}". Also ensure that the role has "s3:GetObject" permissions and that the object is '
        f"located in {store.place.region}."
    )
    resource = f"arn:{partition(store.place.region)}:s3:::{bucket}/{key}"
    try:
        session = aws.role_session(role, "SageMaker", service=PRINCIPAL, source_arn=store.place.source_arn)
        message = aws.authorize(session.access_key, "s3:GetObject", resource, region=store.place.region)
        if message is not None:
            raise problem
        aws.read_object(bucket, key)
    except (ValueError, LookupError, OSError) as error:
        raise problem from error


def create_config(store: Store, request: Document) -> Document:
    """Records an endpoint configuration whose models exist and whose every setting is served."""
    refuse_unserved("CreateEndpointConfig", request)
    name = request["EndpointConfigName"]
    arn = store.place.arn("endpoint-config", name)
    if name.lower() in store.configs:
        raise invalid(f'Cannot create already existing endpoint configuration "{arn}".')
    variants = [_variant(store, variant) for variant in request["ProductionVariants"]]
    shadows = [_variant(store, variant) for variant in request.get("ShadowProductionVariants") or []]
    if shadows:
        _check_shadow(variants, shadows, request)
    if (capture := request.get("DataCaptureConfig")) is not None:
        refuse_unserved("DataCaptureConfig", capture)
        if any("ServerlessConfig" in variant for variant in variants):
            raise invalid("DataCaptureConfig cannot be specified for a serverless endpoint.")
    if (asynchronous := request.get("AsyncInferenceConfig")) is not None:
        _check_async(asynchronous, variants)
    names = [variant["VariantName"] for variant in variants]
    if len(set(names)) < len(names):
        raise invalid(f"Production variant names must be unique, received {', '.join(names)}.")
    if len(variants) > 1 and any("ServerlessConfig" in variant for variant in variants):
        raise invalid("A serverless endpoint can have only one production variant.")
    if not any(variant["InitialVariantWeight"] > 0 for variant in variants):
        raise invalid("At least one production variant must have an InitialVariantWeight above 0.")
    kept = {key: value for key, value in request.items() if key != "Tags" and value is not None}
    created = {"EndpointConfigArn": arn, "CreationTime": time.time(), "ProductionVariants": variants}
    if shadows:
        created["ShadowProductionVariants"] = shadows
    store.configs[name.lower()] = {**kept, **created}
    store.tag(arn, request.get("Tags"))
    return {"EndpointConfigArn": arn}


def _variant(store: Store, variant: Document) -> Document:
    refuse_unserved("ProductionVariant", variant)
    if not variant.get("ModelName"):
        raise unserved("A production variant without ModelName (for inference components)")
    model = store.model(variant["ModelName"])
    if variant.get("ServerlessConfig") is not None:
        _check_serverless(variant, model)
        return {"InitialVariantWeight": 1.0, **variant}
    for needed in ("InitialInstanceCount", "InstanceType"):
        if not variant.get(needed):
            raise invalid(f"{needed} must be specified for production variant {variant['VariantName']}.")
    # 1.0 by default: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ProductionVariant.html
    return {"InitialVariantWeight": 1.0, **variant}


def _check_serverless(variant: Document, model: Document) -> None:
    """What a serverless variant may not have; the wording is ours.

    https://docs.aws.amazon.com/sagemaker/latest/dg/serverless-endpoints.html#serverless-endpoints-how-it-works-exclusions
    """
    name, config = variant["VariantName"], variant["ServerlessConfig"]
    refuse_unserved("ServerlessConfig", config)
    for excluded in ("InitialInstanceCount", "InstanceType", "AcceleratorType", "VolumeSizeInGB"):
        if variant.get(excluded) is not None:
            raise invalid(f"{excluded} cannot be specified with ServerlessConfig for production variant {name}.")
    if config["MemorySizeInMB"] % 1024:
        raise invalid(
            f"MemorySizeInMB of production variant {name} must be a multiple of 1024, "
            f"received {config['MemorySizeInMB']}."
        )
    if model.get("EnableNetworkIsolation") or model.get("VpcConfig"):
        raise invalid(
            f"Model {model['ModelName']} has network isolation or a VPC configuration, which serverless endpoints "
            "do not support."
        )


def _check_async(config: Document, variants: list[Document]) -> None:
    """Refuses an asynchronous endpoint that is not served here, or could not be in AWS."""
    output = config["OutputConfig"]
    refuse_unserved("AsyncInferenceConfig", config)
    refuse_unserved("AsyncInferenceOutputConfig", output)
    refuse_unserved("AsyncInferenceNotificationConfig", output.get("NotificationConfig") or {})
    if not output.get("S3OutputPath"):
        raise unserved("AsyncInferenceConfig without an S3OutputPath")
    if len(variants) > 1:
        raise unserved("An asynchronous endpoint of several production variants")
    if "ServerlessConfig" in variants[0]:
        raise invalid("AsyncInferenceConfig cannot be specified for a serverless endpoint.")


def _check_shadow(variants: list[Document], shadows: list[Document], request: Document) -> None:
    """https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateEndpointConfig.html, in words of ours."""
    if len(variants) > 1 or len(shadows) > 1:
        raise invalid("A shadow variant takes exactly one production variant and one shadow variant.")
    if shadows[0]["VariantName"] == variants[0]["VariantName"]:
        raise invalid(f"Variant names must be unique, received {variants[0]['VariantName']} twice.")
    if request.get("AsyncInferenceConfig") or any("ServerlessConfig" in variant for variant in variants + shadows):
        raise invalid("Asynchronous and serverless endpoints do not support shadow variants.")
