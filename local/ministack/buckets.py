"""S3 where MiniStack differs from AWS: versions, deletion, and keys that encrypt."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from local.ministack.policies import authorize
from local.ministack.privates import provisioners, s3

_list_versions, _xml_body = s3._list_object_versions, s3._xml_body


def _list_versions_encoded(bucket_name: str, query: dict[str, Any]) -> Any:
    """MiniStack heeds `encoding-type` in other lists only; XML has no way to write the control characters of keys.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html
    """
    if s3._qp(query, "encoding-type", "") != "url":
        return _list_versions(bucket_name, query)

    def encoded(root: Any) -> bytes:
        for element in root.iter():
            if element.text and element.tag in ("Key", "Prefix", "Delimiter", "KeyMarker", "NextKeyMarker"):
                element.text = s3._url_encode(element.text)
        told = root.makeelement("EncodingType", {})
        told.text = "url"
        root.append(told)
        return bytes(_xml_body(root))

    s3._xml_body = encoded
    try:
        return _list_versions(bucket_name, query)
    finally:
        s3._xml_body = _xml_body


s3._list_object_versions = _list_versions_encoded

_delete_bucket = provisioners._RESOURCE_HANDLERS["AWS::S3::Bucket"]["delete"]


def _delete_empty_bucket(physical_id: str, properties: dict[str, Any]) -> None:
    """MiniStack would delete a bucket and all that is in it. In AWS a stack cannot."""
    bucket = s3._buckets.get(physical_id)
    if bucket and (bucket["objects"] or s3._bucket_has_versions(physical_id)):
        every = ". You must delete all versions in the bucket." if physical_id in s3._bucket_versioning else ""
        raise ValueError(
            f'Resource handler returned message: "The bucket you tried to delete is not empty{every} '
            '(Service: S3, Status Code: 409)"'
        )
    _delete_bucket(physical_id, properties)


provisioners._RESOURCE_HANDLERS["AWS::S3::Bucket"]["delete"] = _delete_empty_bucket


def _encrypting(provision: Callable[..., tuple[str, dict[str, Any]]]) -> Callable[..., tuple[str, dict[str, Any]]]:
    """MiniStack would leave a bucket's default encryption out. The properties are the last but one argument."""

    def provision_encrypted(*args: Any) -> tuple[str, dict[str, Any]]:
        name, attributes = provision(*args)
        rules = args[-2].get("BucketEncryption", {}).get("ServerSideEncryptionConfiguration", [])
        s3._bucket_encryption.pop(name, None)
        for rule in rules:
            default = rule.get("ServerSideEncryptionByDefault", {})
            if default.get("KMSMasterKeyID"):
                s3._bucket_encryption[name] = (
                    f'<ServerSideEncryptionConfiguration xmlns="{s3.S3_NS}"><Rule><ApplyServerSideEncryptionByDefault>'
                    f"<SSEAlgorithm>{default['SSEAlgorithm']}</SSEAlgorithm>"
                    f"<KMSMasterKeyID>{default['KMSMasterKeyID']}</KMSMasterKeyID></ApplyServerSideEncryptionByDefault>"
                    f"<BucketKeyEnabled>{str(rule.get('BucketKeyEnabled', False)).lower()}</BucketKeyEnabled>"
                    "</Rule></ServerSideEncryptionConfiguration>"
                )
        return name, attributes

    return provision_encrypted


for _name in ("create", "update"):
    _handlers = provisioners._RESOURCE_HANDLERS["AWS::S3::Bucket"]
    _handlers[_name] = _encrypting(_handlers[_name])


_OBJECT_KEY_USES = {
    # What a request for an object has the caller use the bucket's key for, by what its query asks for.
    ("GET", ""): ("kms:Decrypt",),
    ("PUT", ""): ("kms:GenerateDataKey",),
    ("PUT", "uploadId"): ("kms:Decrypt", "kms:GenerateDataKey"),
    ("POST", "uploads"): ("kms:GenerateDataKey",),
    ("POST", "uploadId"): ("kms:Decrypt",),
}
_SUBRESOURCES = frozenset({"acl", "attributes", "legal-hold", "retention", "tagging", "torrent", "uploads", "uploadId"})


def key_refusal(access_key: str, region: str, method: str, path: str, query: Mapping[str, Any]) -> str | None:
    """Why the caller may not use the key of the object's bucket for this request; None when it may, or needs none.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
    """
    bucket, _, key = path.removeprefix("/").partition("/")
    encrypted = s3._bucket_encryption.get(bucket)
    if not key or not encrypted:
        return None
    asked = next((name for name in query if name in _SUBRESOURCES), "")
    uses = _OBJECT_KEY_USES.get((method, asked), ())
    master = encrypted.partition("<KMSMasterKeyID>")[2].partition("<")[0]
    if not uses or not master:
        return None
    whole = "<BucketKeyEnabled>true<" in encrypted
    context = {
        "kms:ViaService": f"s3.{region}.amazonaws.com",
        "kms:EncryptionContext:aws:s3:arn": f"arn:aws:s3:::{bucket}" + ("" if whole else f"/{key}"),
    }
    refusals = (authorize(access_key, use, master, region=region, context=context) for use in uses)
    return next((refusal for refusal in refusals if refusal), None)


def read_object(bucket: str, key: str) -> bytes:
    """The object's content, for the embedded AWS's own use: no role is asked. KeyError when there is none."""
    content = s3._get_object_data(bucket, key)
    if content is None:
        raise KeyError(f"s3://{bucket}/{key} does not exist")
    return bytes(content)
