"""The embedded AWS's foundation: the only module that touches MiniStack, whose names used here are private.

Importing this module configures MiniStack through the environment, imports it and changes it in place: the
process that imports it *is* an embedded AWS. The version is pinned, and `tests/local/test_ministack.py` names
what an upgrade would have to keep. What is changed, and why:

- MiniStack answers any caller who uses the key "test", an account number or no key as the account's root, and
  does not check their signatures. Here a request is answered only if it is signed with a key of this run, and
  only if the signature covers its body and every header of AWS's own.
- A request signed for a service that MiniStack does not have is refused; it would be taken for S3.
- A request counts as encrypted, as AWS's endpoints are: the policies that ask for it are the templates' own.
- A bucket that a template encrypts with a key has its objects read and written by those only who may use the key.
- Its start-up hooks (Docker clean-up, init scripts, listeners on further ports) never run.
"""

import asyncio
import concurrent.futures
import contextvars
import functools
import hashlib
import importlib
import importlib.metadata
import json
import os
import re
import secrets
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from local import faults, keep

VERSION = "1.5.33"
ACCOUNT = "000000000000"
REGION = "us-east-1"

_KEPT = keep.folder()
_SETTINGS = {
    "AUTH": "true",
    "BIND_HOST": "127.0.0.1",
    "LOG_LEVEL": "WARNING",
    "MINISTACK_ACCOUNT_ID": ACCOUNT,
    "MINISTACK_REGION": REGION,
    "MINISTACK_TEST_NO_AUTOSTART": "1",
    "PERSIST_STATE": "1" if _KEPT else "0",
    "S3_PERSIST": "1" if _KEPT else "0",
    "STATE_DIR": str((_KEPT or Path()) / "ministack"),
    "S3_DATA_DIR": str((_KEPT or Path()) / "s3"),
    "IOT_MTLS_ENABLED": "0",
    "SFTP_ENABLED": "0",
    "LAMBDA_EXECUTOR": "local",
}


def _import(name: str) -> Any:
    return importlib.import_module(f"ministack.{name}")


def _check_version() -> None:
    installed = importlib.metadata.version("ministack")
    if installed != VERSION:
        raise ImportError(f"local/ministack.py is written for ministack {VERSION}, but {installed} is installed")


_check_version()
os.environ.update(_SETTINGS)
# Credentials of the person would otherwise reach MiniStack as those of its root user.
for _name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
    os.environ.pop(_name, None)

_app = _import("app")
_iam = _import("core.iam_evaluator")
_actions = _import("core.iam_actions")
_responses = _import("core.responses")
_router = _import("core.router")
_iam_service = _import("services.iam")
_ec2 = _import("services.ec2")
_kms = _import("services.kms")
_lambda = _import("services.lambda_svc")
_logs = _import("services.cloudwatch_logs")
_s3 = _import("services.s3")
_sts = _import("services.sts")
_provisioners = _import("services.cloudformation.provisioners")
_stacks = _import("services.cloudformation.stacks")

Response = tuple[int, dict[str, str], bytes]
Handle = Callable[["Request"], Awaitable[Response]]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
_T = TypeVar("_T")


@dataclass(frozen=True)
class Request:
    """One AWS API call as it came in, already authenticated. Header names are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    query: dict[str, list[str]]
    account: str
    region: str
    access_key: str


@dataclass(frozen=True)
class ResourceType:
    """A CloudFormation resource type: plain functions, called from a worker thread, never on the event loop.

    create(logical id, properties, stack name) -> (physical id, which Ref gives; attributes for GetAtt)
    update(physical id, old, new properties, stack name, logical id) -> the same; another physical id is a
    replacement, and the stack deletes the old resource when the update succeeds
    delete(physical id, properties)
    A raised error fails the resource with its text as the reason, and the stack rolls back.
    """

    create: Callable[[str, dict[str, Any], str], tuple[str, dict[str, str]]]
    update: Callable[[str, dict[str, Any], dict[str, Any], str, str], tuple[str, dict[str, str]]]
    delete: Callable[[str, dict[str, Any]], None]


@dataclass(frozen=True)
class Credentials:
    """AWS credentials; the token is empty for the run's root key."""

    access_key: str
    secret_key: str
    token: str


class RoleError(ValueError):
    """A role that does not exist, or does not trust the service that asks for it."""


class Prepared(Protocol):
    """What `send` needs of a request: botocore's AWSPreparedRequest has it."""

    method: str
    url: str
    headers: Mapping[str, Any]
    body: Any


# --- Who may call ---------------------------------------------------------------------------------------


def _root_session() -> Credentials:
    """The run's own key, known as the account's root; its signatures are checked like any other's."""
    known = keep.read(_KEPT / "root.json") if _KEPT else None
    fresh = f"AKIA{secrets.token_hex(8).upper()}", secrets.token_urlsafe(30)
    access_key, secret_key = known or fresh
    root = Credentials(access_key, secret_key, "")
    if _KEPT and known is None:
        keep.write(_KEPT / "root.json", fresh)
    _sts.register_session(
        root.access_key,
        {
            "Arn": f"arn:aws:iam::{ACCOUNT}:root",
            "AccountId": ACCOUNT,
            "UserId": ACCOUNT,
            "PrincipalType": "Root",
            "SecretAccessKey": root.secret_key,
            "SessionToken": None,
        },
    )
    return root


def _no_root_key(_access_key: str) -> bool:
    return False


_iam.is_root_access_key = _no_root_key
_sts.is_root_access_key = _no_root_key
ROOT = _root_session()

_verified: contextvars.ContextVar[str] = contextvars.ContextVar("verified", default="")
_pin = _app.pin_signed_request


def _pin_verified(*request: Any) -> None:
    """MiniStack's note of whose request it is: already known where our gate has checked the signature."""
    if key := _verified.get():
        _iam._signed_request.set(None)
        _iam._verified_key.set(key)
        _iam._anonymous.set(False)
    else:
        _pin(*request)


_app.pin_signed_request = _pin_verified


def _pin_nothing(*_origin: Any) -> None:
    """Every request comes from 127.0.0.1, and counts as encrypted."""


# It stands for AWS's HTTPS endpoints, and nothing leaves the machine. Bucket policies that refuse plain HTTP, as
# the CDK's own bootstrap bucket has one, would refuse everything.
_iam._request_origin = contextvars.ContextVar("origin", default=("127.0.0.1", True))
_app.pin_request_origin = _pin_nothing
_resolve_key = _iam._resolve_condition_key


def _resolve_tls_version(key: str, context: Any) -> Any:
    """MiniStack knows no `s3:TlsVersion`, and a Deny that asks for an unknown key would never apply."""
    return "1.3" if key.lower() == "s3:tlsversion" else _resolve_key(key, context)


_iam._resolve_condition_key = _resolve_tls_version

_parse_policy = _iam.parse_policy_document
_parsed: dict[str, list[Any]] = {}


def _parse_policy_once(document: str | dict[str, Any]) -> list[Any]:
    """Parsed statements by the policy's text: policies are read again for each call, and rarely change."""
    text = document if isinstance(document, str) else json.dumps(document)
    statements = _parsed.get(text)
    if statements is None:
        if len(_parsed) > 4096:
            _parsed.clear()
        statements = _parsed[text] = _parse_policy(document)
    return statements


_iam.parse_policy_document = _parse_policy_once


_DECISION_SECONDS = 1.0
"""How long a decision holds at most: sessions end, and conditions may name the time."""

_changes = 0
"""How often something may have changed that IAM's decisions come from."""


def _note_change() -> None:
    global _changes
    _changes += 1


class _Kept(dict[Any, tuple[int, float, Any]]):
    """What was found out from policies, for as long as nothing that it came from can have changed."""

    def found(self, key: Any, find: Callable[[], Any]) -> Any:
        """The value of the key: kept, or what `find` gives now."""
        changes, now = _changes, time.monotonic()
        kept = self.get(key)
        if kept is not None and kept[0] == changes and kept[1] > now:
            return kept[2]
        if len(self) > 4096:
            self.clear()
        value = find()
        self[key] = (changes, now + _DECISION_SECONDS, value)
        return value


def _after(handler: Callable[..., Any]) -> Callable[..., Any]:
    """The handler of a resource, after which everything is asked again."""

    def handle(*args: Any) -> Any:
        try:
            return handler(*args)
        finally:
            _note_change()

    return handle


# Stacks create, update and delete in the background, when their request has long been answered.
for _handlers in _provisioners._RESOURCE_HANDLERS.values():
    for _name in _handlers.keys() & {"create", "update", "delete", "import"}:
        _handlers[_name] = _after(_handlers[_name])

_decisions = _Kept()
_principals = _Kept()
_resolve_principal = _iam.resolve_principal


def _resolve_once(access_key: str, account: str, credential: Any = None) -> Any:
    """A key's owner and policies. MiniStack gathers them for each call; its `credential` is the key's own."""
    return _principals.found((access_key, account), lambda: _resolve_principal(access_key, account, credential))


_iam.resolve_principal = _resolve_once


@functools.lru_cache(maxsize=4096)
def _pattern(written: str, ignore_case: bool) -> re.Pattern[str]:
    """A policy's pattern: `*` and `?` stand for any characters, line ends among them, and the end is the end.

    By MiniStack's own a key with a line end in it would slip past a Deny, and one that ends so match another's Allow.
    """
    wild = {"*": ".*", "?": "."}
    expression = "".join(wild.get(char) or re.escape(char) for char in written)
    return re.compile(rf"(?:{expression})\Z", re.DOTALL | (re.IGNORECASE if ignore_case else 0))


_iam._fnmatch_compile = _pattern


def authorize(
    access_key: str, action: str, resource: str, *, region: str, context: Mapping[str, str] | None = None
) -> str | None:
    """None when IAM allows the action on the resource to the key's owner, or else AWS's message.

    `context` has what the service says of the request to conditions, such as `kms:ViaService`.
    """
    said = tuple((context or {}).items())
    key = (access_key, action, resource, region, said, _responses.get_account_id())
    message: str | None = _decisions.found(key, lambda: _decision(access_key, action, resource, region, dict(said)))
    return message


def _decision(access_key: str, action: str, resource: str, region: str, context: dict[str, str]) -> str | None:
    service = action.partition(":")[0]
    denied = _iam.enforce(access_key, action, service, region, resource, service_context=context)
    if denied is None:
        return None
    if isinstance(denied, _iam.AuthError):
        return str(denied.message)
    explicit = denied.decision == "Deny"
    return str(_actions.identity_denial_message(action, denied.principal_arn, resource, explicit))


def note_allowed(note: Callable[[str, str, str], None]) -> None:
    """Has `note(caller's ARN, action, resource)` called whenever IAM, from now on, allows somebody something."""
    enforce = _iam.enforce

    def noting(access_key: str, action: str, service: str, region: str, resource_arn: str = "*", **more: Any) -> Any:
        denied = enforce(access_key, action, service, region, resource_arn, **more)
        if denied is None:
            note(principal(access_key), action, resource_arn)
        return denied

    _iam.enforce = noting


def principal(access_key: str) -> str:
    """The ARN of a key's owner, as far as it is known: of a session or of a user."""
    session = _sts._sessions.get(access_key) or {}
    return str(session.get("Arn", ""))


_trusted: dict[tuple[str, str, str], bool] = {}


def _assumable(role: Mapping[str, Any], service: str, source_arn: str) -> bool:
    """`_trusts`, known from the last time for the same trust policy."""
    document = role.get("AssumeRolePolicyDocument") or "{}"
    text = unquote(document) if isinstance(document, str) else json.dumps(document)
    key = (text, service, source_arn)
    if key not in _trusted:
        if len(_trusted) > 4096:
            _trusted.clear()
        _trusted[key] = _trusts(role, text, service, source_arn)
    return _trusted[key]


def _trusts(role: Mapping[str, Any], document: str, service: str, source_arn: str) -> bool:
    """Whether the role's trust policy lets the service assume it: a statement allows it, and none denies it.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
    """
    statements = json.loads(document).get("Statement") or []
    context = _iam.EvalContext(
        principal_arn=service,
        principal_type="Service",
        principal_account=ACCOUNT,
        action="sts:AssumeRole",
        resource_arn=str(role.get("Arn")),
        region=source_arn.split(":")[3],
        service_context={"aws:sourceaccount": source_arn.split(":")[4], "aws:sourcearn": source_arn},
    )
    effects = set()
    for statement in [statements] if isinstance(statements, dict) else statements:
        actions = statement.get("Action") or []
        named = [actions] if isinstance(actions, str) else actions
        principal = statement.get("Principal")
        if (
            _iam._action_matches("sts:AssumeRole", named, ["*"] if not named else [])
            and (principal == "*" or _iam._service_principal_matches(principal, service))
            and _iam._conditions_met(statement.get("Condition") or {}, context)
        ):
            effects.add(statement.get("Effect"))
    return effects == {"Allow"}


def _role(role_arn: str) -> Mapping[str, Any] | None:
    account = role_arn.split(":")[4] if role_arn.count(":") >= 5 else ACCOUNT
    role: Mapping[str, Any] | None = _iam_service._roles.get_scoped(account, None, role_arn.rsplit("/", 1)[-1])
    return role if role is not None and role.get("Arn") == role_arn else None


_SESSION_SECONDS = 12 * 3600
_role_sessions: dict[tuple[str, str, str], tuple[float, Credentials]] = {}


def role_session(role_arn: str, session_name: str, *, service: str, source_arn: str) -> Credentials:
    """Credentials of the role as `service` ("states.amazonaws.com") has them; one session a name, kept.

    `source_arn` is what the service acts for: a trust policy may name it (`aws:SourceArn`) and its account
    (`aws:SourceAccount`). Raises RoleError when the role does not exist, or its trust policy lets the service not
    assume it for that.
    """
    role = _role(role_arn)
    if role is None or not _assumable(role, service, source_arn):
        raise RoleError(
            f"Neither the global service principal {service}, nor the regional one is authorized to assume "
            f"the provided role {role_arn}."
        )
    key = (role_arn, session_name, service)
    known = _role_sessions.get(key)
    if known is not None and known[0] > time.time():
        return known[1]
    fresh = Credentials(f"ASIA{secrets.token_hex(8).upper()}", secrets.token_urlsafe(30), secrets.token_urlsafe(60))
    name, account = role_arn.rsplit("/", 1)[-1], role_arn.split(":")[4]
    _sts.register_session(
        fresh.access_key,
        {
            "Arn": f"arn:aws:sts::{account}:assumed-role/{name}/{session_name[:64]}",
            "UserId": f"{role.get('RoleId', name)}:{session_name[:64]}",
            "SecretAccessKey": fresh.secret_key,
            "SessionToken": fresh.token,
            "Expiration": time.time() + _SESSION_SECONDS,
        },
    )
    if len(_role_sessions) > 4096:
        _role_sessions.clear()
    _role_sessions[key] = (time.time() + _SESSION_SECONDS / 2, fresh)
    return fresh


# --- What is added --------------------------------------------------------------------------------------

_services: dict[str, Handle] = {}
_resource_types: set[str] = set()
_on_worker = _stacks._runs_on_worker_thread


def _on_worker_thread(resource_type: str) -> bool:
    return resource_type in _resource_types or bool(_on_worker(resource_type))


_stacks._runs_on_worker_thread = _on_worker_thread


def add_service(name: str, handle: Handle) -> None:
    """Sends every request signed for service `name` to `handle`, instead of MiniStack's own if it has one."""
    _services[name] = handle

    async def refuse(*_request: Any) -> Response:
        return 400, {"content-type": "application/json"}, _error_body(f"not a request signed for {name}")

    # A request signed for another service could otherwise reach MiniStack's own by its target header.
    _app.SERVICE_HANDLERS[name] = refuse


def add_resource_type(name: str, resource: ResourceType) -> None:
    """Makes stacks with a resource of type `name` possible, instead of MiniStack's own if it has one."""
    _resource_types.add(name)
    _provisioners._RESOURCE_HANDLERS[name] = {
        "create": resource.create,
        "update": resource.update,
        "update_with_logical_id": True,
        "delete": resource.delete,
    }


_list_versions, _xml_body = _s3._list_object_versions, _s3._xml_body


def _list_versions_encoded(bucket_name: str, query: dict[str, Any]) -> Any:
    """MiniStack heeds `encoding-type` in other lists only; XML has no way to write the control characters of keys.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html
    """
    if _s3._qp(query, "encoding-type", "") != "url":
        return _list_versions(bucket_name, query)

    def encoded(root: Any) -> bytes:
        for element in root.iter():
            if element.text and element.tag in ("Key", "Prefix", "Delimiter", "KeyMarker", "NextKeyMarker"):
                element.text = _s3._url_encode(element.text)
        told = root.makeelement("EncodingType", {})
        told.text = "url"
        root.append(told)
        return bytes(_xml_body(root))

    _s3._xml_body = encoded
    try:
        return _list_versions(bucket_name, query)
    finally:
        _s3._xml_body = _xml_body


_s3._list_object_versions = _list_versions_encoded

_delete_bucket = _provisioners._RESOURCE_HANDLERS["AWS::S3::Bucket"]["delete"]


def _delete_empty_bucket(physical_id: str, properties: dict[str, Any]) -> None:
    """MiniStack would delete a bucket and all that is in it. In AWS a stack cannot."""
    bucket = _s3._buckets.get(physical_id)
    if bucket and (bucket["objects"] or _s3._bucket_has_versions(physical_id)):
        every = ". You must delete all versions in the bucket." if physical_id in _s3._bucket_versioning else ""
        raise ValueError(
            f'Resource handler returned message: "The bucket you tried to delete is not empty{every} '
            '(Service: S3, Status Code: 409)"'
        )
    _delete_bucket(physical_id, properties)


_provisioners._RESOURCE_HANDLERS["AWS::S3::Bucket"]["delete"] = _delete_empty_bucket


def _encrypting(provision: Callable[..., tuple[str, dict[str, Any]]]) -> Callable[..., tuple[str, dict[str, Any]]]:
    """MiniStack would leave a bucket's default encryption out. The properties are the last but one argument."""

    def provision_encrypted(*args: Any) -> tuple[str, dict[str, Any]]:
        name, attributes = provision(*args)
        rules = args[-2].get("BucketEncryption", {}).get("ServerSideEncryptionConfiguration", [])
        _s3._bucket_encryption.pop(name, None)
        for rule in rules:
            default = rule.get("ServerSideEncryptionByDefault", {})
            if default.get("KMSMasterKeyID"):
                _s3._bucket_encryption[name] = (
                    f'<ServerSideEncryptionConfiguration xmlns="{_s3.S3_NS}"><Rule><ApplyServerSideEncryptionByDefault>'
                    f"<SSEAlgorithm>{default['SSEAlgorithm']}</SSEAlgorithm>"
                    f"<KMSMasterKeyID>{default['KMSMasterKeyID']}</KMSMasterKeyID></ApplyServerSideEncryptionByDefault>"
                    f"<BucketKeyEnabled>{str(rule.get('BucketKeyEnabled', False)).lower()}</BucketKeyEnabled>"
                    "</Rule></ServerSideEncryptionConfiguration>"
                )
        return name, attributes

    return provision_encrypted


for _name in ("create", "update"):
    _handlers = _provisioners._RESOURCE_HANDLERS["AWS::S3::Bucket"]
    _handlers[_name] = _encrypting(_handlers[_name])

_groups = _provisioners._RESOURCE_HANDLERS["AWS::Logs::LogGroup"]
_create_group, _update_group = _groups["create"], _groups["update"]
_LOG_KEY_USES = ("Encrypt", "Decrypt", "ReEncryptFrom", "ReEncryptTo", "GenerateDataKey", "DescribeKey")


def _check_log_key(group: str, key: str | None) -> None:
    """CloudWatch takes no key that its own service may not use for the very group: only the key's policy can say so.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
    """
    if not key:
        return
    account, region = here()
    arn = f"arn:aws:logs:{region}:{account}:log-group:{group}"
    found = _kms.key_policy_for_arn(key)
    for use in _LOG_KEY_USES:
        context = _iam.EvalContext(
            principal_arn=(service := f"logs.{region}.amazonaws.com"),
            principal_type="Service",
            principal_account=account,
            action=f"kms:{use}",
            resource_arn=key,
            region=region,
            service_context={"kms:encryptioncontext:aws:logs:arn": arn},
        )
        if not found or _iam.evaluate_resource_policy(found[0], context, service).decision != "Allow":
            raise ValueError(
                f'Resource handler returned message: "The specified KMS key does not exist or is not allowed to be '
                f"used with Arn '{arn}'\""
            )


def _create_named_group(logical_id: str, properties: dict[str, Any], stack_name: str) -> tuple[str, dict[str, Any]]:
    """CloudFormation's own names for log groups begin with the stack's, which a key's policy may ask for."""
    name = properties.get("LogGroupName") or physical_name(stack_name, logical_id, max_length=512)
    _check_log_key(name, properties.get("KmsKeyId"))
    made: tuple[str, dict[str, Any]] = _create_group(logical_id, {**properties, "LogGroupName": name}, stack_name)
    return made


def _update_named_group(
    physical_id: str, old: dict[str, Any], new: dict[str, Any], stack_name: str, logical_id: str | None = None
) -> tuple[str, dict[str, Any]]:
    was, name = old.get("LogGroupName") or physical_id, new.get("LogGroupName") or physical_id
    _check_log_key(name, new.get("KmsKeyId"))
    made: tuple[str, dict[str, Any]] = _update_group(
        physical_id, {**old, "LogGroupName": was}, {**new, "LogGroupName": name}, stack_name, logical_id
    )
    return made


_groups["create"], _groups["update"] = _create_named_group, _update_named_group


def _create_flow_log(_logical_id: str, properties: dict[str, Any], _stack_name: str) -> tuple[str, dict[str, str]]:
    """A network's flow log, which MiniStack's API has and its CloudFormation has not. Nothing flows here."""
    known = set(_ec2._flow_logs)
    names = ("ResourceType", "TrafficType", "LogDestinationType", "LogDestination")
    given = {"ResourceId.1": properties["ResourceId"], **{name: properties.get(name) for name in names}}
    _ec2._create_flow_logs({name: [value] for name, value in given.items() if value})
    (made,) = set(_ec2._flow_logs) - known
    return made, {"Id": made}


_provisioners._RESOURCE_HANDLERS["AWS::EC2::FlowLog"] = {
    "create": _create_flow_log,
    "delete": lambda name, _properties: _ec2._delete_flow_logs({"FlowLogId.1": [name]}),
}

_OBJECT_KEY_USES = {
    # What a request for an object has the caller use the bucket's key for, by what its query asks for.
    ("GET", ""): ("kms:Decrypt",),
    ("PUT", ""): ("kms:GenerateDataKey",),
    ("PUT", "uploadId"): ("kms:Decrypt", "kms:GenerateDataKey"),
    ("POST", "uploads"): ("kms:GenerateDataKey",),
    ("POST", "uploadId"): ("kms:Decrypt",),
}
_SUBRESOURCES = frozenset({"acl", "attributes", "legal-hold", "retention", "tagging", "torrent", "uploads", "uploadId"})


def _key_refusal(access_key: str, region: str, method: str, path: str, query: Mapping[str, Any]) -> str | None:
    """Why the caller may not use the key of the object's bucket for this request; None when it may, or needs none.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
    """
    bucket, _, key = path.removeprefix("/").partition("/")
    encrypted = _s3._bucket_encryption.get(bucket)
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


def physical_name(stack_name: str, logical_id: str, *, max_length: int, replacing: bool = False) -> str:
    """A name for a resource that has none in its template, as CloudFormation makes one.

    The same each time for one resource of a stack; `replacing=True`, for use in an update, makes a new one.
    """
    if replacing:
        _provisioners._NAME_SEED.set(uuid.uuid4().hex[:8])
    return str(_provisioners._physical_name(stack_name, logical_id, max_len=max_length))


def here() -> tuple[str, str]:
    """(account, region) of the request or the deployment under way."""
    return str(_responses.get_account_id()), str(_responses.get_region())


def scope(account: str, region: str) -> AbstractContextManager[None]:
    """Makes `here` this account and region within a `with`, for work that no request started."""
    within: AbstractContextManager[None] = _responses.request_scope(account, region)
    return within


def read_object(bucket: str, key: str) -> bytes:
    """The object's content, for the embedded AWS's own use: no role is asked. KeyError when there is none."""
    content = _s3._get_object_data(bucket, key)
    if content is None:
        raise KeyError(f"s3://{bucket}/{key} does not exist")
    return bytes(content)


def run_on_loop(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """From a worker thread: runs the coroutine on the server's event loop and waits for its result."""
    return asyncio.run_coroutine_threadsafe(coroutine, _app._MAIN_LOOP).result()


_on_change: list[Callable[[], None]] = []

_DATA_SERVICES = frozenset({"states", "logs", "sts", "monitoring", "faults"})
"""Services whose requests change nothing that `save_kept` keeps."""


def _may_change(scope: Message, service: str) -> bool:
    path = scope["path"]
    if service == "s3":
        return scope["method"] != "GET" and "/" not in path.strip("/")
    return service not in _DATA_SERVICES and not path.endswith("/invocations")


def note_changes(changed: Callable[[], None]) -> None:
    """Calls `changed` after each request that may have changed something else than data."""
    _on_change[:] = [changed]


def save_kept() -> None:
    """Writes what MiniStack knows to the folder of what is kept, but for the objects, which are there already."""
    _app.save_all(_app._build_persistence_save_dict())


def attach() -> None:
    """Makes the running event loop the server's: to be called once, before the first request."""
    if _KEPT:
        _app._load_persisted_state()
    loop = asyncio.get_running_loop()
    # Python's default is six threads on two cores, and stack operations hold one each.
    loop.set_default_executor(concurrent.futures.ThreadPoolExecutor(32, "aws"))
    _app._MAIN_LOOP = loop


# --- Functions and logs ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Function:
    """A Lambda function's version as deployed: GetFunctionConfiguration's fields, and the zip."""

    config: Mapping[str, Any]
    code: bytes


def find_function(name_or_arn: str) -> Function | None:
    """The function, version or alias that a name or an ARN (with or without a qualifier) means."""
    name, qualifier = _lambda._resolve_name_and_qualifier(name_or_arn)
    parts = name_or_arn.split(":")
    with scope(parts[4], parts[3]) if name_or_arn.startswith("arn:") else nullcontext():
        record = _lambda._functions.get(name)
    if record is None:
        return None
    if qualifier and qualifier != "$LATEST":
        alias = record.get("aliases", {}).get(qualifier)
        version = alias.get("FunctionVersion", "$LATEST") if alias else qualifier
        if version != "$LATEST":
            record = record["versions"].get(version)
            if record is None:
                return None
    return Function(record["config"], record.get("code_zip") or b"")


Execute = Callable[[Function, bytes, str], tuple[bytes, str | None, str]]
_execute_elsewhere = _lambda._execute_function_warm
_emit_logs = _lambda._emit_lambda_logs


def replace_executor(execute: Execute) -> None:
    """Runs Python functions with `execute(function, payload, request id)`, called from a worker thread.

    It returns the payload, "Unhandled" or None, and the end of the log, which it has written itself.
    """

    def ours(config: Mapping[str, Any]) -> bool:
        return str(config.get("Runtime", "")).startswith("python") and config.get("PackageType") != "Image"

    def run(record: dict[str, Any], event: Any, request_id: str) -> dict[str, Any]:
        config = record.get("config") or record
        if not ours(config) or not record.get("code_zip"):
            return dict(_execute_elsewhere(record, event, request_id))
        function = Function(config, record["code_zip"])
        payload, error, tail = execute(function, json.dumps(event).encode(), request_id)
        return {"body": payload, "error": error is not None, "function_error": error, "log": tail}

    def emit(record: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        if not ours(record.get("config") or record):
            _emit_logs(record, *args, **kwargs)

    _lambda._execute_function_warm = run
    _lambda._emit_lambda_logs = emit


def log_streams(group: str) -> frozenset[str] | None:
    """The names of a log group's streams; None when there is no such group."""
    record = _logs._log_groups.get(group)
    return None if record is None else frozenset(record["streams"])


def create_log_group(group: str) -> None:
    """Creates a log group that keeps its lines for ever, as AWS's own services do."""
    _logs._create_log_group({"logGroupName": group})


def put_log_lines(group: str, stream: str, lines: list[tuple[int, str]]) -> None:
    """Appends (milliseconds since the epoch, text) lines to a log group, if the group exists."""
    record = _logs._log_groups.get(group)
    if record is None:
        return
    now = int(time.time() * 1000)
    events = record["streams"].setdefault(
        stream,
        {
            "events": [],
            "uploadSequenceToken": "1",
            "creationTime": now,
            "firstEventTimestamp": None,
            "lastEventTimestamp": None,
            "lastIngestionTime": None,
        },
    )
    _logs._append_log_events(events, [{"timestamp": at, "message": text, "ingestionTime": now} for at, text in lines])


# --- Metrics and alarms ---------------------------------------------------------------------------------

_cloudwatch = _import("services.cloudwatch")
_evaluate_alarm = _cloudwatch._evaluate_alarm


def _evaluate_alarm_alone(alarm: dict[str, Any]) -> None:
    """MiniStack would judge an alarm by its metric's points of every dimension: here by those of its own."""
    dimensions = {it["Name"]: it["Value"] for it in alarm.get("Dimensions") or []}
    key = (alarm.get("Namespace"), alarm.get("MetricName"), _cloudwatch._dims_key(dimensions))
    everything = _cloudwatch._metrics
    _cloudwatch._metrics = {key: points} if (points := everything.get(key)) else {}
    try:
        _evaluate_alarm(alarm)
    finally:
        _cloudwatch._metrics = everything


_cloudwatch._evaluate_alarm = _evaluate_alarm_alone


def put_metrics(namespace: str, data: list[dict[str, Any]]) -> None:
    """Publishes metrics, each as PutMetricData takes one, for the embedded AWS's own services."""
    _cloudwatch._put_metric_data({}, {"Namespace": namespace, "MetricData": data}, False, True)


def ringing(alarms: Sequence[str]) -> list[str]:
    """Those of the named alarms that are in the state ALARM."""
    known = {name: _cloudwatch._alarms.get(name) or _cloudwatch._composite_alarms.get(name) for name in alarms}
    return [name for name, alarm in known.items() if alarm and alarm["StateValue"] == "ALARM"]


# --- Requests -------------------------------------------------------------------------------------------

# A custom resource's answer comes without a signature; its path holds a token that only it was given.
_CALLBACKS = ("/_ministack/cfn-response/", "/_ministack/cfn-signal/")
_INTERNAL = ("/_ministack/", "/_localstack/", "/_aws/", "/health")
_SCOPES = frozenset(
    {*_app.SERVICE_HANDLERS, *_app.SERVICE_NAME_ALIASES}
    | {
        str(pattern["credential_scope"])
        for pattern in _router.SERVICE_PATTERNS.values()
        if "credential_scope" in pattern
    }
)


def _error_body(message: str, code: str = "UnknownOperationException") -> bytes:
    return json.dumps({"__type": code, "message": message}).encode()


def _refusal(service: str, headers: dict[str, str], code: str, message: str) -> Response:
    """An error in the shape that the service's protocol has for it."""
    request_id = str(uuid.uuid4())
    status, names, body = _actions.access_denied_response(
        service, "", "", request_id, error_code=code, message=message, headers=headers
    )
    return status, dict(names), body


def _unknown_service(service: str, headers: Mapping[str, str]) -> Response:
    message = f"The embedded AWS has no service {service!r}"
    if headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        error = f"<Type>Sender</Type><Code>InvalidAction</Code><Message>{escape(message)}</Message>"
        body = f"<ErrorResponse><Error>{error}</Error></ErrorResponse>"
        return 400, {"content-type": "text/xml"}, body.encode()
    return 400, {"content-type": "application/json"}, _error_body(message)


def _scope_of(headers: Mapping[str, str]) -> list[str]:
    """[access key, date, region, service, "aws4_request"] of a SigV4 header, or nothing."""
    authorization = headers.get("authorization", "")
    if not authorization.startswith("AWS4-HMAC-SHA256 "):
        return []
    credential = authorization.partition("Credential=")[2].partition(",")[0]
    scope = credential.split("/")
    return scope if len(scope) == 5 else []


def _failure(scope: Message, headers: dict[str, str], query: dict[str, list[str]], body: bytes) -> Any:
    """Why the signature of a request does not hold, as MiniStack's AuthError, or None when it does."""
    signed = headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0]
    if not _all_signed(headers, signed):
        return _iam.AuthError("AccessDenied", _NOT_SIGNED)
    raw_path = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
    _pin(scope["method"], raw_path, query, scope["headers"])
    _iam.pin_signed_body(body)
    checked = _iam.authenticate(_scope_of(headers)[0], ACCOUNT)
    if isinstance(checked, _iam.AuthError):
        return checked
    # MiniStack takes S3's digest of the body as it is told.
    told = headers.get("x-amz-content-sha256", "")
    if _DIGEST.fullmatch(told) and told != hashlib.sha256(body).hexdigest():
        return _iam.AuthError("XAmzContentSHA256Mismatch", "The provided 'x-amz-content-sha256' header does not match.")
    return None


def _is_known(access_key: str) -> bool:
    """Whether the key is of this run. Whether its signature holds is another question."""
    account = _responses._account_from_sts_session(access_key) or _iam.find_iam_access_key_account(access_key)
    return account is not None


def _is_short(headers: Mapping[str, str]) -> bool:
    """Whether the body is no longer than a custom resource's answer, of 4,096 bytes at most, can be.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-responses.html
    """
    length = headers.get("content-length", "")
    return length.isdecimal() and len(length) <= 4 and int(length) <= 4096


# S3's words for it: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-auth-using-authorization-header.html
_NOT_SIGNED = "There were headers present in the request which were not signed"
_DIGEST = re.compile(r"[0-9a-f]{64}")


def _all_signed(headers: Mapping[str, str], signed: str) -> bool:
    """Whether the signature covers every header that tells AWS what to do: what is added would count too."""
    names = signed.strip().lower().split(";")
    return all(name in names for name in headers if name.startswith("x-amz-"))


async def _our_own(request: Request, handle: Handle) -> Response:
    _responses.set_request_account_id(request.access_key)
    _responses.set_request_region(request.region)
    status, headers, body = await handle(request)
    request_id = str(uuid.uuid4())
    return status, {"x-amzn-requestid": request_id, **headers}, body


async def app(scope: Message, receive: Receive, send: Send) -> None:
    """The embedded AWS as an ASGI application."""
    if scope["type"] != "http":
        await receive()
        await send({"type": "websocket.close", "code": 1008})
        return
    headers = _headers_of(scope)
    query = parse_qs(scope.get("query_string", b"").decode(), keep_blank_values=True)
    path, signed = scope["path"], _scope_of(headers)
    if scope["method"] == "PUT" and path.startswith(_CALLBACKS) and _is_short(headers):
        await _pass_on("", scope, receive, send)
        return
    credential = query.get("X-Amz-Credential", [""])[0]
    if not signed and credential.endswith("/s3/aws4_request"):
        # S3 checks its presigned URLs itself, when it has read all that is sent.
        if not _is_known(credential.partition("/")[0]):
            unknown = "The AWS Access Key Id you provided does not exist in our records."
            await _reply(send, _refusal("s3", headers, "InvalidAccessKeyId", unknown))
        elif path.startswith(_INTERNAL):
            await _reply(send, _refusal("s3", headers, "AccessDenied", "Access Denied"))
        elif not _all_signed(headers, query.get("X-Amz-SignedHeaders", [""])[0]):
            await _reply(send, _refusal("s3", headers, "AccessDenied", _NOT_SIGNED))
        else:
            await _pass_on("s3", scope, receive, send)
        return
    if not signed:
        missing = "Request is missing Authentication Token"
        await _reply(send, _refusal("sts", headers, "MissingAuthenticationToken", missing))
        return
    # What a stranger sends is not read: it could be without end.
    body = await _body(receive) if _is_known(signed[0]) else b""
    service = signed[3]
    failed = _failure(scope, headers, query, body)
    if failed is not None:
        await _reply(send, _refusal(service, headers, failed.code, failed.message))
        return
    try:
        await _dispatch(scope, headers, query, body, send)
    except RecursionError:
        # Nothing that AWS's APIs take is nested so deep; it was not answered yet, as it could not be read.
        refusal = _error_body("The request is nested too deep", "SerializationException")
        await _reply(send, (400, {"content-type": "application/json"}, refusal))


async def _pass_on(service: str, scope: Message, receive: Receive, send: Send) -> None:
    """Has MiniStack answer a request; IAM is asked anew after it, unless it was for one S3 object."""
    path = scope["path"].strip("/")
    if service == "s3" and "/" in path and not path.startswith("v20180820/"):  # S3 Control: access points' policies
        await _app.app(scope, receive, send)
        return

    async def answer(message: Message) -> None:
        _note_change()  # before the client knows, and makes its next call
        await send(message)

    await _app.app(scope, receive, answer)


async def _dispatch(
    scope: Message, headers: dict[str, str], query: dict[str, list[str]], body: bytes, send: Send
) -> None:
    """Answers a request whose signer is known, or fails as a rule has it (`local.faults`)."""
    if faults.watching() and _scope_of(headers)[3] != "faults":
        access_key, _, region, service, _ = _scope_of(headers)
        place = _account_of(access_key), region
        call = faults.call_of(service, scope["method"], scope["path"], query, headers, body, place)
        serve = partial(_serve, scope, headers, query, body)
        await faults.around_request(call, partial(principal, access_key), serve, send)
    else:
        await _serve(scope, headers, query, body, send)
    if _on_change and _may_change(scope, _scope_of(headers)[3]):
        _on_change[0]()


async def _serve(scope: Message, headers: dict[str, str], query: dict[str, list[str]], body: bytes, send: Send) -> None:
    access_key, _, region, service, _ = _scope_of(headers)
    handle = _services.get(service)
    if handle is not None:
        request = Request(
            scope["method"], scope["path"], headers, body, query, _account_of(access_key), region, access_key
        )
        await _reply(send, await _our_own(request, handle))
    elif service not in _SCOPES or scope["path"].startswith(_INTERNAL):
        await _reply(send, _unknown_service(service, headers))
    else:
        if service == "s3":
            _responses.set_request_account_id(access_key)
            refusal = _key_refusal(access_key, region, scope["method"], scope["path"], query)
            if refusal is not None:
                await _reply(send, _refusal(service, headers, "AccessDenied", refusal))
                return
        _verified.set(access_key)
        await _pass_on(service, scope, _replay(body), send)


def _account_of(access_key: str) -> str:
    return str(_responses._account_from_sts_session(access_key) or ACCOUNT)


def _headers_of(scope: Message) -> dict[str, str]:
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    return headers


async def _body(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            break
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            break
    return b"".join(parts)


def _replay(body: bytes) -> Receive:
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        if messages:
            return messages.pop()
        await asyncio.Event().wait()  # the client is there until it has its answer
        return {"type": "http.disconnect"}

    return receive


async def _reply(send: Send, response: Response) -> None:
    status, headers, body = response
    names = {**{name.lower(): value for name, value in headers.items()}, "content-length": str(len(body))}
    raw = [(name.encode("latin-1"), str(value).encode("utf-8")) for name, value in names.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})


async def send(request: Prepared) -> Response:
    """Answers a request in-process, without a socket: (status, headers with lower-case names, body).

    Its Authorization header names the caller, the region and the service; the signature in it is not checked,
    as whoever can call this is part of the embedded AWS. IAM is asked as for any other request.
    """
    url = urlsplit(request.url)
    content = request.body or b""
    body = content.encode() if isinstance(content, str) else bytes(content)
    headers = {str(name).lower(): _text(value) for name, value in request.headers.items()}
    headers.setdefault("host", url.netloc)
    headers["content-length"] = str(len(body))
    scope: Message = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "http",
        "method": request.method,
        "path": unquote(url.path) or "/",
        "raw_path": (url.path or "/").encode("ascii"),
        "query_string": url.query.encode(),
        "headers": [(name.encode("latin-1"), value.encode("utf-8")) for name, value in headers.items()],
        "client": ("127.0.0.1", 0),
        "server": ("127.0.0.1", 0),
    }
    query = parse_qs(url.query, keep_blank_values=True)
    started: Message = {}
    parts: list[bytes] = []

    async def collect(message: Message) -> None:
        if message["type"] == "http.response.start":
            started.update(message)
        else:
            parts.append(message.get("body", b""))

    # A task of its own: MiniStack notes account and region in context variables, which are not the caller's.
    await asyncio.create_task(_dispatch(scope, headers, query, body, collect))
    names = {name.decode().lower(): value.decode("utf-8") for name, value in started["headers"]}
    return started["status"], names, b"".join(parts)


def _text(value: Any) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)
