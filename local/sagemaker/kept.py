"""What SageMaker keeps over the end of the process: its records, and which endpoints are to be there again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from local import ministack
from local.sagemaker.aws import Place

if TYPE_CHECKING:
    from local.sagemaker.control import SageMaker

Json = Any


def dump(sagemaker: SageMaker) -> Json:
    """All records of all places but the transform jobs'."""
    kept = []
    for store in sagemaker.stores:
        scaling = sagemaker.scaling(store.place)
        endpoints = [it for it in store.endpoints.values() if it.status != "Deleting"]
        kept.append(
            {
                "account": store.place.account,
                "region": store.place.region,
                "models": store.models,
                "groups": store.groups,
                "packages": store.packages,
                "configs": store.configs,
                "tags": store.tags,
                "endpoints": [{"name": it.name, "config": it.config, "created": it.created} for it in endpoints],
                "targets": [[list(key), target] for key, target in scaling.targets.items()],
                "policies": [[list(key), name, policy] for (key, name), policy in scaling.policies.items()],
            }
        )
    return kept


async def restore(sagemaker: SageMaker, kept: Json) -> None:
    """Puts back what `dump` gave, and waits until every endpoint's servers have come up, or not."""
    for known in kept:
        place = Place(known["account"], known["region"])
        store, scaling = sagemaker.store(place), sagemaker.scaling(place)
        for name in ("models", "groups", "packages", "configs", "tags"):
            getattr(store, name).update(known.get(name, {}))
        with ministack.scope(place.account, place.region):
            for endpoint in known["endpoints"]:
                _create(sagemaker, place, endpoint)
        for endpoint in list(store.endpoints.values()):
            await sagemaker.endpoints.settled(endpoint)
        scaling.targets.update({(key[0], key[1], key[2]): target for key, target in known["targets"]})
        scaling.policies.update({((key[0], key[1], key[2]), name): policy for key, name, policy in known["policies"]})
        if scaling.targets:
            with ministack.scope(place.account, place.region):
                scaling.registered()


def _create(sagemaker: SageMaker, place: Place, known: Json) -> None:
    """An endpoint outlives its configuration, in AWS too."""
    store, config = sagemaker.store(place), known["config"]
    name = config["EndpointConfigName"]
    gone = name.lower() not in store.configs
    if gone:
        store.configs[name.lower()] = config
    sagemaker.endpoints.create(store, {"EndpointName": known["name"], "EndpointConfigName": name})
    store.endpoint(known["name"]).created = known["created"]
    if gone:
        del store.configs[name.lower()]
