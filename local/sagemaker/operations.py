"""The control plane's plain operations: lists, deletions and tags of what a `Store` holds."""

from __future__ import annotations

from local.sagemaker.aws import Document
from local.sagemaker.endpoints import describe
from local.sagemaker.errors import invalid
from local.sagemaker.store import Store, page


def _summaries(entries: dict[str, Document], kind: str) -> list[Document]:
    return [{key: entry[key] for key in (f"{kind}Name", f"{kind}Arn", "CreationTime")} for entry in entries.values()]


def list_models(store: Store, request: Document) -> Document:
    return page(_summaries(store.models, "Model"), "Model", request)


def list_configs(store: Store, request: Document) -> Document:
    return page(_summaries(store.configs, "EndpointConfig"), "EndpointConfig", request)


def list_endpoints(store: Store, request: Document) -> Document:
    fields = ("EndpointName", "EndpointArn", "CreationTime", "LastModifiedTime", "EndpointStatus")
    described = [describe(endpoint) for endpoint in store.endpoints.values()]
    return page([{key: entry[key] for key in fields} for entry in described], "Endpoint", request)


def delete_model(store: Store, request: Document) -> Document:
    # Endpoints keep serving a deleted model, in AWS too: they have their copy.
    store.tags.pop(store.model(request["ModelName"])["ModelArn"], None)
    del store.models[request["ModelName"].lower()]
    return {}


def delete_config(store: Store, request: Document) -> Document:
    store.tags.pop(store.config(request["EndpointConfigName"])["EndpointConfigArn"], None)
    del store.configs[request["EndpointConfigName"].lower()]
    return {}


def _tagged(store: Store, request: Document) -> str:
    arn: str = request["ResourceArn"]
    if not store.has(arn):
        raise invalid(f'Could not find resource "{arn}".')
    return arn


def list_tags(store: Store, request: Document) -> Document:
    return {"Tags": store.tag_list(_tagged(store, request))}


def add_tags(store: Store, request: Document) -> Document:
    arn = _tagged(store, request)
    store.tag(arn, request["Tags"])
    return {"Tags": store.tag_list(arn)}


def delete_tags(store: Store, request: Document) -> Document:
    tags = store.tags.get(_tagged(store, request), {})
    for key in request["TagKeys"]:
        tags.pop(key, None)
    return {}
