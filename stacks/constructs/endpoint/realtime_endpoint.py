"""A model that answers at once, on instances that always run."""

from __future__ import annotations

from constructs import Construct

from stacks.constructs.data_bucket import DataBucket
from stacks.constructs.endpoint.capture import capture
from stacks.constructs.endpoint.model_endpoint import ModelEndpoint, disk_key, instances
from stacks.constructs.guard.protection import Protection
from stacks.constructs.model.served_model import ServedModel
from stacks.settings import Settings


class RealtimeEndpoint(ModelEndpoint):
    """https://docs.aws.amazon.com/sagemaker/latest/dg/realtime-endpoints.html"""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        model: ServedModel,
        challenger: ServedModel | None = None,
        data: DataBucket,
        settings: Settings,
        protection: Protection,
    ) -> None:
        served = [model, challenger] if challenger else [model]
        super().__init__(
            scope,
            construct_id,
            model=model,
            settings=settings,
            challenger=challenger,
            variant=instances(settings),
            kms_key_id=disk_key(model, settings, protection),
            data_capture_config=capture(data, [it.role for it in served], settings, protection),
        )
