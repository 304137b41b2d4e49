"""Which settings of a model, a configuration and an endpoint are served, which are only recorded, and which
are refused.

A field is either served, or in `RECORDED` because it changes nothing on this machine; any other field that
AWS's API knows is refused by name. So a new field of a new botocore is refused until somebody has decided.
"""

from __future__ import annotations

from local.sagemaker.aws import Document
from local.sagemaker.errors import unserved

SERVED: dict[str, frozenset[str]] = {
    "CreateModel": frozenset({"ModelName", "PrimaryContainer", "Containers", "ExecutionRoleArn", "Tags"}),
    "ContainerDefinition": frozenset(
        {"ModelDataUrl", "ModelDataSource", "Environment", "Mode", "Image", "ModelPackageName"}
    ),
    "CreateModelPackageGroup": frozenset({"ModelPackageGroupName", "ModelPackageGroupDescription", "Tags"}),
    # Not Tags, which a version does not take, nor what would be checked before it is there (ValidationSpecification).
    "CreateModelPackage": frozenset(
        {"ModelPackageGroupName", "InferenceSpecification", "ModelApprovalStatus", "ClientToken"}
    ),
    "UpdateModelPackage": frozenset({"ModelPackageArn", "ModelApprovalStatus", "ApprovalDescription"}),
    "InferenceSpecification": frozenset({"Containers"}),
    "ModelPackageContainerDefinition": frozenset({"Image", "ModelDataUrl", "ModelDataSource", "Environment"}),
    "CreateEndpointConfig": frozenset(
        {
            "EndpointConfigName",
            "ProductionVariants",
            "ShadowProductionVariants",
            "Tags",
            "AsyncInferenceConfig",
            "DataCaptureConfig",
        }
    ),
    "DataCaptureConfig": frozenset(
        {
            "EnableCapture",
            "InitialSamplingPercentage",
            "DestinationS3Uri",
            "CaptureOptions",
            "CaptureContentTypeHeader",
        }
    ),
    "AsyncInferenceConfig": frozenset({"ClientConfig", "OutputConfig"}),
    "AsyncInferenceOutputConfig": frozenset({"S3OutputPath", "S3FailurePath", "NotificationConfig"}),
    "AsyncInferenceNotificationConfig": frozenset({"SuccessTopic", "ErrorTopic"}),
    "ProductionVariant": frozenset(
        {
            "VariantName",
            "ModelName",
            "InitialInstanceCount",
            "InitialVariantWeight",
            "ContainerStartupHealthCheckTimeoutInSeconds",
            "ServerlessConfig",
        }
    ),
    # Not DataProcessing, DataCaptureConfig, ExperimentConfig: they would change what is written.
    "CreateTransformJob": frozenset(
        {
            "TransformJobName",
            "ModelName",
            "MaxConcurrentTransforms",
            "ModelClientConfig",
            "MaxPayloadInMB",
            "BatchStrategy",
            "Environment",
            "TransformInput",
            "TransformOutput",
            "TransformResources",
            "Tags",
        }
    ),
    "TransformInput": frozenset({"DataSource", "ContentType", "SplitType", "CompressionType"}),
    "TransformOutput": frozenset({"S3OutputPath", "Accept", "AssembleWith"}),
    # Not ProvisionedConcurrency: servers that are kept warm.
    "ServerlessConfig": frozenset({"MaxConcurrency"}),
    "CreateEndpoint": frozenset({"EndpointName", "EndpointConfigName", "Tags", "DeploymentConfig"}),
    "UpdateEndpoint": frozenset(
        {
            "EndpointName",
            "EndpointConfigName",
            "DeploymentConfig",
            "RetainAllVariantProperties",
            "ExcludeRetainedVariantProperties",
        }
    ),
}

RECORDED: dict[str, frozenset[str]] = {
    # There is no network between the model server and its caller, and nothing here to isolate it from.
    "CreateModel": frozenset({"VpcConfig", "EnableNetworkIsolation"}),
    "ContainerDefinition": frozenset({"ImageConfig", "ContainerHostname"}),
    "CreateModelPackageGroup": frozenset(),
    # What people are told of a model, and what other tools read.
    "CreateModelPackage": frozenset(
        {
            "ModelPackageDescription",
            "CustomerMetadataProperties",
            "MetadataProperties",
            "ModelMetrics",
            "Domain",
            "Task",
        }
    ),
    "UpdateModelPackage": frozenset({"CustomerMetadataProperties"}),
    # Any request's type is passed on to the model; this machine is every instance type.
    "InferenceSpecification": frozenset(
        {
            "SupportedContentTypes",
            "SupportedResponseMIMETypes",
            "SupportedRealtimeInferenceInstanceTypes",
            "SupportedTransformInstanceTypes",
        }
    ),
    "ModelPackageContainerDefinition": frozenset(
        {"ContainerHostname", "Framework", "FrameworkVersion", "NearestModelName"}
    ),
    # Disks are this machine's, so is their encryption; metrics are not published.
    "CreateEndpointConfig": frozenset(
        {"KmsKeyId", "VpcConfig", "EnableNetworkIsolation", "ExecutionRoleArn", "MetricsConfig"}
    ),
    # This machine is the instance. Traffic goes to the least busy instance of a variant, which is either
    # routing strategy as far as a caller can tell.
    "ProductionVariant": frozenset(
        {
            "InstanceType",
            "AcceleratorType",
            "VolumeSizeInGB",
            "ModelDataDownloadTimeoutInSeconds",
            "EnableSSMAccess",
            "RoutingConfig",
            "InferenceAmiVersion",
        }
    ),
    "DataCaptureConfig": frozenset({"KmsKeyId"}),
    "AsyncInferenceConfig": frozenset(),
    "AsyncInferenceOutputConfig": frozenset({"KmsKeyId"}),
    "AsyncInferenceNotificationConfig": frozenset(),
    "CreateTransformJob": frozenset(),
    "TransformInput": frozenset(),
    "TransformOutput": frozenset({"KmsKeyId"}),
    # A server takes what memory it needs.
    "ServerlessConfig": frozenset({"MemorySizeInMB"}),
    "CreateEndpoint": frozenset(),
    "UpdateEndpoint": frozenset({"RetainDeploymentConfig"}),
}


def refuse_unserved(structure: str, value: Document) -> None:
    """Raises `ValidationException`, naming the field, for one that would change what happens and is not served."""
    for field, setting in value.items():
        if setting is not None and field not in SERVED[structure] | RECORDED[structure]:
            raise unserved(f"{structure}.{field}")
