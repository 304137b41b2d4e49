"""Who is answered: only who signs with a key of this run, all of the request, and now."""

import http.client
import json
import socket
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import botocore.auth
import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from local import ministack
from tests.local_aws import LAMBDA_TRUST, LocalAws

Headers = dict[str, str]
BUCKET = "signatures"
STATES = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "AWSStepFunctions.ListStateMachines"}


class Caller:
    """Speaks HTTP as it is told to."""

    def __init__(self, aws: LocalAws, credentials: Credentials | None = None) -> None:
        self._endpoint = aws.ready.endpoint
        self._credentials = credentials or Credentials(aws.ready.access_key, aws.ready.secret_key)
        self.host = aws.ready.endpoint.removeprefix("http://")
        self.s3 = aws.client("s3")
        self.s3.create_bucket(Bucket=BUCKET)
        self.s3.put_object(Bucket=BUCKET, Key="kept", Body=b"kept")

    def keys(self) -> list[str]:
        return [found["Key"] for found in self.s3.list_objects_v2(Bucket=BUCKET)["Contents"]]

    def send(self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> tuple[int, str]:
        connection = http.client.HTTPConnection(self.host, timeout=30)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in {"Host": self.host, "Content-Length": str(len(body)), **headers}.items():
                connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def signed(self, method: str, path: str, body: bytes, service: str = "s3", **headers: str) -> Headers:
        """The headers of a request that is signed as it is given here."""
        request = self._request(method, path, body, {name.replace("_", "-"): it for name, it in headers.items()})
        signer: Any = S3SigV4Auth if service == "s3" else SigV4Auth
        signer(self._credentials, service, "us-east-1").add_auth(request)
        return dict(request.headers.items())

    def presigned(self, method: str, path: str) -> str:
        request = self._request(method, path, b"", {})
        signer: Any = S3SigV4QueryAuth
        signer(self._credentials, "s3", "us-east-1", expires=60).add_auth(request)
        return str(request.url).removeprefix(self._endpoint)

    def _request(self, method: str, path: str, body: bytes, headers: Headers) -> Any:
        make: Any = AWSRequest
        return make(method=method, url=self._endpoint + path, data=body, headers={"Host": self.host, **headers})


@pytest.fixture(scope="module")
def caller(aws: LocalAws) -> Caller:
    return Caller(aws)


def test_what_is_signed_whole_is_answered(caller: Caller) -> None:
    headers = caller.signed("PUT", f"/{BUCKET}/kept", b"kept")
    assert caller.send("PUT", f"/{BUCKET}/kept", headers, b"kept")[0] == 200
    headers = caller.signed("POST", "/", b"{}", "states", **STATES)
    assert caller.send("POST", "/", headers, b"{}")[0] == 200
    assert caller.send("GET", caller.presigned("GET", f"/{BUCKET}/kept"), {}) == (200, "kept")


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "code"),
    [
        ("PUT", "/{bucket}/new", {}, b"other", "XAmzContentSHA256Mismatch"),
        ("PUT", "/{bucket}/other", {}, b"body", "SignatureDoesNotMatch"),
        ("PUT", "/{bucket}/new?acl", {}, b"body", "SignatureDoesNotMatch"),
        ("DELETE", "/{bucket}/new", {}, b"body", "SignatureDoesNotMatch"),
        ("PUT", "/{bucket}/new", {"Host": "elsewhere.example"}, b"body", "SignatureDoesNotMatch"),
        ("PUT", "/{bucket}/new", {"X-Amz-Date": "20260101T000000Z"}, b"body", "RequestTimeTooSkewed"),
        ("PUT", "/{bucket}/new", {"X-Amz-Copy-Source": "/{bucket}/kept"}, b"body", "AccessDenied"),
        ("PUT", "/{bucket}/new", {"x-amz-acl": "public-read"}, b"body", "AccessDenied"),
    ],
    ids=["body", "path", "query", "method", "host", "date", "another header", "an ACL"],
)
def test_what_was_altered_after_it_was_signed_is_refused(
    caller: Caller, method: str, path: str, headers: Headers, body: bytes, code: str
) -> None:
    signed = caller.signed("PUT", f"/{BUCKET}/new", b"body")
    added = {name: value.format(bucket=BUCKET) for name, value in headers.items()}
    status, said = caller.send(method, path.format(bucket=BUCKET), {**signed, **added}, body)
    assert (status, f"<Code>{code}</Code>" in said) == (403, True), said
    assert caller.keys() == ["kept"]


def test_an_operation_is_signed_too(caller: Caller) -> None:
    signed = caller.signed("POST", "/", b"{}", "states", **STATES)
    other = {**signed, "X-Amz-Target": "AWSStepFunctions.ListActivities"}
    assert "InvalidSignatureException" in caller.send("POST", "/", other, b"{}")[1]
    assert "InvalidSignatureException" in caller.send("POST", "/", signed, b'{"maxResults": 1}')[1]
    without = caller.signed("POST", "/", b"{}", "states")
    assert caller.send("POST", "/", {**without, **STATES}, b"{}")[0] == 403


@pytest.mark.parametrize("minutes", [-16, 16, 60 * 24 * 8])
def test_a_stale_signature_is_refused(caller: Caller, monkeypatch: pytest.MonkeyPatch, minutes: int) -> None:
    then = datetime.now(UTC) + timedelta(minutes=minutes)

    def another_time(*, remove_tzinfo: bool = True) -> datetime:
        return then.replace(tzinfo=None) if remove_tzinfo else then

    monkeypatch.setattr(botocore.auth, "get_current_datetime", another_time)
    status, said = caller.send("GET", f"/{BUCKET}/kept", caller.signed("GET", f"/{BUCKET}/kept", b""))
    assert (status, "RequestTimeTooSkewed" in said) == (403, True), said
    said = caller.send("POST", "/", caller.signed("POST", "/", b"{}", "states", **STATES), b"{}")[1]
    assert "InvalidSignatureException" in said


def test_a_presigned_url_is_for_one_request_of_its_signer(caller: Caller) -> None:
    url = caller.presigned("GET", f"/{BUCKET}/kept")
    key = url.partition("X-Amz-Credential=")[2].partition("%2F")[0]
    for method, altered, headers in (
        ("DELETE", url, {}),
        ("GET", url.replace(key, "AKIAIOSFODNN7EXAMPLE"), {}),
        ("GET", f"{url}&acl", {}),
        ("GET", url.replace("Expires=60", "Expires=6000"), {}),
        ("GET", url.replace(f"/{BUCKET}/kept", "/_ministack/health"), {}),
        ("POST", url.replace(f"/{BUCKET}/kept", "/"), STATES),
        ("PUT", caller.presigned("PUT", f"/{BUCKET}/new"), {"x-amz-copy-source": f"/{BUCKET}/kept"}),
    ):
        assert caller.send(method, altered, headers)[0] == 403, (method, altered)
    assert caller.keys() == ["kept"]


@pytest.mark.parametrize("host", ["{host}", "localhost", "attacker.example", f"{BUCKET}.s3.amazonaws.com"])
def test_a_web_page_in_a_browser_can_do_nothing(caller: Caller, host: str) -> None:
    """A browser sends these for any page, without asking, and takes the page's own name for this machine's."""
    page = {"Host": host.format(host=caller.host), "Origin": "http://attacker.example"}
    form = (
        b"--x\r\nContent-Disposition: form-data; name=key\r\n\r\nnew\r\n"
        b"--x\r\nContent-Disposition: form-data; name=file; filename=f\r\n\r\nevil\r\n--x--\r\n"
    )
    action = b"Action=CreateUser&UserName=mallory&Version=2010-05-08"
    for method, path, kind, body in (
        ("POST", f"/{BUCKET}", "multipart/form-data; boundary=x", form),
        ("POST", f"/{BUCKET}?delete", "text/plain", b"<Delete><Object><Key>kept</Key></Object></Delete>"),
        ("POST", "/", "application/x-www-form-urlencoded", action),
        ("POST", "/_ministack/reset", "text/plain", b""),
        ("GET", f"/{BUCKET}/kept", "text/plain", b""),
        ("GET", f"/{BUCKET}/kept?AWSAccessKeyId=test&Signature=x&Expires=9999999999", "text/plain", b""),
        ("OPTIONS", f"/{BUCKET}/kept", "text/plain", b""),
        ("PUT", "/_ministack/cfn-signal/../reset", "text/plain", b"{}"),
    ):
        status, said = caller.send(method, path, {**page, "Content-Type": kind}, body)
        assert status in (403, 404), (method, path, said)
        assert "kept" not in said
    assert caller.keys() == ["kept"]
    assert caller.s3.get_object(Bucket=BUCKET, Key="kept")["Body"].read() == b"kept"


@pytest.mark.parametrize("service", ["states", "sagemaker", "logs"])
def test_a_request_nested_without_end_is_refused(caller: Caller, service: str) -> None:
    body = b"[" * 100_000 + b"]" * 100_000
    targets = {"sagemaker": "SageMaker.ListModels", "logs": "Logs_20140328.DescribeLogGroups"}
    headers = {**STATES, "X-Amz-Target": targets.get(service, STATES["X-Amz-Target"])}
    status, said = caller.send("POST", "/", caller.signed("POST", "/", body, service, **headers), body)
    assert (status, json.loads(said)["__type"]) == (400, "SerializationException")


@pytest.mark.parametrize(
    ("method", "path", "authorization"),
    [
        ("PUT", "/{bucket}/new", "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20260101/us-east-1/s3/aws4_request"),
        ("PUT", "/{bucket}/new?X-Amz-Credential=AKIAIOSFODNN7EXAMPLE/20260101/us-east-1/s3/aws4_request", ""),
        ("PUT", "/_ministack/cfn-response/0", ""),
        ("POST", "/", ""),
    ],
    ids=["signed", "presigned", "a callback", "unsigned"],
)
def test_what_a_stranger_sends_is_not_read(caller: Caller, method: str, path: str, authorization: str) -> None:
    address, _, port = caller.host.partition(":")
    with socket.create_connection((address, int(port)), timeout=30) as connection:
        head = f"{method} {path.format(bucket=BUCKET)} HTTP/1.1\r\nHost: {caller.host}\r\nContent-Length: {10**12}\r\n"
        connection.sendall(f"{head}Authorization: {authorization}\r\n\r\n".encode())
        # The answer is there before any of the body.
        assert connection.recv(12) in (b"HTTP/1.1 400", b"HTTP/1.1 403")


def test_a_url_presigned_by_another_role_is_worth_what_the_role_may_do(caller: Caller, aws: LocalAws) -> None:
    role = aws.role("presigner", LAMBDA_TRUST)
    source = f"arn:aws:lambda:us-east-1:{ministack.ACCOUNT}:function:one"
    session = ministack.role_session(role, "run", service=LAMBDA_TRUST, source_arn=source)
    other = Caller(aws, Credentials(session.access_key, session.secret_key, session.token))
    status, said = caller.send("GET", other.presigned("GET", f"/{BUCKET}/kept"), {})
    assert (status, "AccessDenied" in said) == (403, True), said
