"""The gate: each request's signature, then the service that answers it."""

from __future__ import annotations

import asyncio
import uuid
from functools import partial
from urllib.parse import parse_qs

from local import faults
from local.ministack.additions import services
from local.ministack.answers import error_body, refusal, reply, unknown_service
from local.ministack.buckets import key_refusal
from local.ministack.callers import verified
from local.ministack.keeping import may_change, on_change
from local.ministack.policies import note_change, principal
from local.ministack.privates import application, responses, router
from local.ministack.shapes import Handle, Message, Receive, Request, Response, Send
from local.ministack.signatures import NOT_SIGNED, account_of, all_signed, failure, is_known, is_short, scope_of

# A custom resource's answer comes without a signature; its path holds a token that only it was given.
_CALLBACKS = ("/_ministack/cfn-response/", "/_ministack/cfn-signal/")
_INTERNAL = ("/_ministack/", "/_localstack/", "/_aws/", "/health")
_SCOPES = frozenset(
    {*application.SERVICE_HANDLERS, *application.SERVICE_NAME_ALIASES}
    | {
        str(pattern["credential_scope"])
        for pattern in router.SERVICE_PATTERNS.values()
        if "credential_scope" in pattern
    }
)


async def _our_own(request: Request, handle: Handle) -> Response:
    responses.set_request_account_id(request.access_key)
    responses.set_request_region(request.region)
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
    path, signed = scope["path"], scope_of(headers)
    if scope["method"] == "PUT" and path.startswith(_CALLBACKS) and is_short(headers):
        await _pass_on("", scope, receive, send)
        return
    credential = query.get("X-Amz-Credential", [""])[0]
    if not signed and credential.endswith("/s3/aws4_request"):
        # S3 checks its presigned URLs itself, when it has read all that is sent.
        if not is_known(credential.partition("/")[0]):
            unknown = "The AWS Access Key Id you provided does not exist in our records."
            await reply(send, refusal("s3", headers, "InvalidAccessKeyId", unknown))
        elif path.startswith(_INTERNAL):
            await reply(send, refusal("s3", headers, "AccessDenied", "Access Denied"))
        elif not all_signed(headers, query.get("X-Amz-SignedHeaders", [""])[0]):
            await reply(send, refusal("s3", headers, "AccessDenied", NOT_SIGNED))
        else:
            await _pass_on("s3", scope, receive, send)
        return
    if not signed:
        missing = "Request is missing Authentication Token"
        await reply(send, refusal("sts", headers, "MissingAuthenticationToken", missing))
        return
    # What a stranger sends is not read: it could be without end.
    body = await _body(receive) if is_known(signed[0]) else b""
    service = signed[3]
    failed = failure(scope, headers, query, body)
    if failed is not None:
        await reply(send, refusal(service, headers, failed.code, failed.message))
        return
    try:
        await dispatch(scope, headers, query, body, send)
    except RecursionError:
        # Nothing that AWS's APIs take is nested so deep; it was not answered yet, as it could not be read.
        unreadable = error_body("The request is nested too deep", "SerializationException")
        await reply(send, (400, {"content-type": "application/json"}, unreadable))


async def _pass_on(service: str, scope: Message, receive: Receive, send: Send) -> None:
    """Has MiniStack answer a request; IAM is asked anew after it, unless it was for one S3 object."""
    path = scope["path"].strip("/")
    if service == "s3" and "/" in path and not path.startswith("v20180820/"):  # S3 Control: access points' policies
        await application.app(scope, receive, send)
        return

    async def answer(message: Message) -> None:
        note_change()  # before the client knows, and makes its next call
        await send(message)

    await application.app(scope, receive, answer)


async def dispatch(
    scope: Message, headers: dict[str, str], query: dict[str, list[str]], body: bytes, send: Send
) -> None:
    """Answers a request whose signer is known, or fails as a rule has it (`local.faults`)."""
    if faults.watching() and scope_of(headers)[3] != "faults":
        access_key, _, region, service, _ = scope_of(headers)
        place = account_of(access_key), region
        call = faults.call_of(service, scope["method"], scope["path"], query, headers, body, place)
        serve = partial(_serve, scope, headers, query, body)
        await faults.around_request(call, partial(principal, access_key), serve, send)
    else:
        await _serve(scope, headers, query, body, send)
    if on_change and may_change(scope, scope_of(headers)[3]):
        on_change[0]()


async def _serve(scope: Message, headers: dict[str, str], query: dict[str, list[str]], body: bytes, send: Send) -> None:
    access_key, _, region, service, _ = scope_of(headers)
    handle = services.get(service)
    if handle is not None:
        request = Request(
            scope["method"], scope["path"], headers, body, query, account_of(access_key), region, access_key
        )
        await reply(send, await _our_own(request, handle))
    elif service not in _SCOPES or scope["path"].startswith(_INTERNAL):
        await reply(send, unknown_service(service, headers))
    else:
        if service == "s3":
            responses.set_request_account_id(access_key)
            denied = key_refusal(access_key, region, scope["method"], scope["path"], query)
            if denied is not None:
                await reply(send, refusal(service, headers, "AccessDenied", denied))
                return
        verified.set(access_key)
        await _pass_on(service, scope, _replay(body), send)


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
