"""The embedded AWS answers only who may, and MiniStack still has every private name that it is changed by."""

import importlib.metadata
import json
import types
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from local import ministack
from local.ministack import policies
from local.ministack.privates import check_version, imported
from tests.local_aws import LAMBDA_TRUST, LocalAws

FUNCTION = f"arn:aws:lambda:us-east-1:{ministack.ACCOUNT}:function:one"

# Where each private name that local/ministack uses is. When an upgrade moves one, this says which.
PRIVATE_NAMES = {
    "app": (
        "SERVICE_HANDLERS",
        "SERVICE_NAME_ALIASES",
        "_MAIN_LOOP",
        "app",
        "pin_request_origin",
        "pin_signed_request",
    ),
    "core.iam_actions": ("access_denied_response", "identity_denial_message"),
    "core.iam_evaluator": (
        "AuthError",
        "EvalContext",
        "_action_matches",
        "_anonymous",
        "_conditions_met",
        "_fnmatch_compile",
        "_request_origin",
        "_resolve_condition_key",
        "_service_principal_matches",
        "_signed_request",
        "_verified_key",
        "authenticate",
        "enforce",
        "evaluate_resource_policy",
        "find_iam_access_key_account",
        "is_root_access_key",
        "parse_policy_document",
        "pin_signed_body",
        "resolve_principal",
    ),
    "core.responses": (
        "_account_from_sts_session",
        "get_account_id",
        "get_region",
        "request_scope",
        "set_request_account_id",
        "set_request_region",
    ),
    "core.router": ("SERVICE_PATTERNS",),
    "services.cloudformation.provisioners": ("_NAME_SEED", "_RESOURCE_HANDLERS", "_physical_name"),
    "services.cloudformation.stacks": ("_runs_on_worker_thread",),
    "services.cloudwatch_logs": ("_append_log_events", "_log_groups"),
    "services.iam": ("_roles",),
    "services.lambda_svc": (
        "_emit_lambda_logs",
        "_execute_function_warm",
        "_execution_record_for_config",
        "_functions",
        "_get_func_record_for_ref",
        "_resolve_name_and_qualifier",
        "function_policy_for_arn",
        "invoke_async_with_retry",
    ),
    "services.ec2": ("_create_flow_logs", "_delete_flow_logs", "_flow_logs"),
    "services.eventbridge": (
        "_dispatch_event",
        "_dispatch_to_lambda",
        "_invoke_target",
        "_now_ts",
        "_rules",
        "_tick_scheduled_rules",
    ),
    "services.kms": ("key_policy_for_arn",),
    "services.s3": (
        "S3_NS",
        "_bucket_encryption",
        "_bucket_has_versions",
        "_bucket_versioning",
        "_buckets",
        "_fire_s3_event",
        "_get_object_data",
        "_list_object_versions",
        "_qp",
        "_url_encode",
        "_xml_body",
    ),
    "services.sts": ("is_root_access_key", "register_session"),
}


@pytest.mark.parametrize(
    ("module", "name"), [(module, name) for module, names in PRIVATE_NAMES.items() for name in names]
)
def test_ministack_still_has_the_private_name(module: str, name: str) -> None:
    assert hasattr(imported(module), name)


def test_another_version_of_ministack_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def another(_name: str) -> str:
        return "1.6.0"

    monkeypatch.setattr(importlib.metadata, "version", another)
    with pytest.raises(ImportError, match=r"^local/ministack is written for ministack 1\.5\.33, but 1\.6\.0 is"):
        check_version()


LOOKS: dict[str, Callable[[Any], Any]] = {
    "s3": lambda client: client.list_buckets(),
    "sts": lambda client: client.get_caller_identity(),
    "lambda": lambda client: client.list_functions(),
    "cloudformation": lambda client: client.list_stacks(),
}


@pytest.mark.parametrize("service", LOOKS)
def test_the_runs_own_key_is_the_accounts_root(aws: LocalAws, service: str) -> None:
    assert LOOKS[service](aws.client(service))["ResponseMetadata"]["HTTPStatusCode"] == 200


@pytest.mark.parametrize("service", LOOKS)
def test_the_runs_key_with_a_wrong_secret_is_refused(aws: LocalAws, service: str) -> None:
    with pytest.raises(ClientError, match=r"SignatureDoesNotMatch|InvalidSignatureException"):
        LOOKS[service](aws.client(service, secret="wrong"))


@pytest.mark.parametrize("key", ["test", ministack.ACCOUNT, "123456789012", "AKIAIOSFODNN7EXAMPLE"])
@pytest.mark.parametrize("service", LOOKS)
def test_a_key_that_is_not_of_this_run_is_refused(aws: LocalAws, service: str, key: str) -> None:
    with pytest.raises(ClientError, match=r"InvalidAccessKeyId|InvalidClientTokenId|UnrecognizedClient"):
        LOOKS[service](aws.client(service, key=key, secret="test"))


@pytest.mark.parametrize("path", ["/", "/bucket/key", "/_ministack/health", "/_ministack/reset", "/health"])
def test_a_request_without_a_signature_is_refused(aws: LocalAws, path: str) -> None:
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(aws.ready.endpoint + path)


def test_a_presigned_url_holds_for_its_object_alone(aws: LocalAws) -> None:
    s3 = aws.client("s3")
    s3.create_bucket(Bucket="presigned")
    s3.put_object(Bucket="presigned", Key="one", Body=b"1")
    s3.put_object(Bucket="presigned", Key="two", Body=b"2")
    # For an endpoint that it does not know, boto3 would sign as S3 did before 2014.
    signer = boto3.client(
        "s3",
        endpoint_url=aws.ready.endpoint,
        region_name="us-east-1",
        aws_access_key_id=aws.ready.access_key,
        aws_secret_access_key=aws.ready.secret_key,
        config=Config(signature_version="s3v4"),
    )
    url = signer.generate_presigned_url("get_object", Params={"Bucket": "presigned", "Key": "one"})
    with urllib.request.urlopen(url) as answer:
        assert answer.read() == b"1"
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(url.replace("/one", "/two"))


def test_a_service_that_is_not_there_says_so(aws: LocalAws) -> None:
    with pytest.raises(ClientError, match="The embedded AWS has no service 'redshift'"):
        aws.client("redshift").describe_clusters()
    with pytest.raises(ClientError, match="The embedded AWS has no service 'forecast'"):
        aws.client("forecast").list_datasets()


def test_a_resource_type_that_is_not_there_is_refused_by_name(aws: LocalAws) -> None:
    template = {"Resources": {"Odd": {"Type": "AWS::Braket::Nothing", "Properties": {}}}}
    with pytest.raises(ClientError, match=r"Unrecognized resource types: \[AWS::Braket::Nothing\]"):
        aws.client("cloudformation").create_stack(StackName="odd", TemplateBody=json.dumps(template))


def test_a_role_is_for_the_service_that_it_trusts(aws: LocalAws) -> None:
    arn = aws.role("trusting", LAMBDA_TRUST)
    assert ministack.role_session(arn, "run", service=LAMBDA_TRUST, source_arn=FUNCTION).token
    with pytest.raises(ministack.RoleError, match=r"service principal states\.amazonaws\.com"):
        ministack.role_session(arn, "run", service="states.amazonaws.com", source_arn=FUNCTION)
    with pytest.raises(ministack.RoleError, match="role/nobody"):
        ministack.role_session(arn.replace("trusting", "nobody"), "run", service=LAMBDA_TRUST, source_arn=FUNCTION)


def test_a_role_may_do_what_its_policy_allows_and_no_more(aws: LocalAws) -> None:
    allowed = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::allowed/*"}
    arn = aws.role("reader", LAMBDA_TRUST, allowed)
    session = ministack.role_session(arn, "run", service=LAMBDA_TRUST, source_arn=FUNCTION)
    s3 = aws.client("s3")
    s3.create_bucket(Bucket="allowed")
    s3.put_object(Bucket="allowed", Key="key", Body=b"content")
    reader = aws.client("s3", key=session.access_key, secret=session.secret_key, token=session.token)
    assert reader.get_object(Bucket="allowed", Key="key")["Body"].read() == b"content"
    with pytest.raises(ClientError, match=r"AccessDenied.*s3:PutObject"):
        reader.put_object(Bucket="allowed", Key="key", Body=b"other")
    stolen = aws.client("s3", key=session.access_key, secret=session.secret_key, token="wrong")
    with pytest.raises(ClientError, match="InvalidToken"):
        stolen.get_object(Bucket="allowed", Key="key")


def test_authorize_gives_the_message_of_aws(aws: LocalAws) -> None:
    endpoint = "arn:aws:sagemaker:us-east-1:000000000000:endpoint/one"
    allowed = {"Effect": "Allow", "Action": "sagemaker:InvokeEndpoint", "Resource": endpoint}
    key = ministack.role_session(
        aws.role("caller", LAMBDA_TRUST, allowed), "run", service=LAMBDA_TRUST, source_arn=FUNCTION
    ).access_key
    assert ministack.authorize(key, "sagemaker:InvokeEndpoint", endpoint, region="us-east-1") is None
    assert ministack.authorize(key, "sagemaker:InvokeEndpoint", endpoint + "2", region="us-east-1") == (
        "User: arn:aws:sts::000000000000:assumed-role/caller/run is not authorized to perform: "
        f"sagemaker:InvokeEndpoint on resource: {endpoint}2 because no identity-based policy allows the "
        "sagemaker:InvokeEndpoint action"
    )


@pytest.mark.parametrize(
    ("key", "allowed"),
    [
        ("own/a", True),
        ("own/a\nb", True),
        ("own/\x01\u2028", True),
        ("own/no/a\nb", False),
        ("one", True),
        ("one\n", False),
    ],
)
def test_a_line_end_in_a_key_neither_slips_past_a_deny_nor_into_an_allow(
    aws: LocalAws, key: str, allowed: bool
) -> None:
    arn = "arn:aws:s3:::lines"
    allow = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": [f"{arn}/own/*", f"{arn}/one"]}
    deny = {"Effect": "Deny", "Action": "s3:GetObject", "Resource": f"{arn}/own/no/*"}
    role = aws.role(f"lines-{key.encode().hex()}", LAMBDA_TRUST, allow, deny)
    session = ministack.role_session(role, "run", service=LAMBDA_TRUST, source_arn=FUNCTION)
    told = ministack.authorize(session.access_key, "s3:GetObject", f"{arn}/{key}", region="us-east-1")
    assert (told is None) is allowed


def test_a_changed_policy_takes_effect_at_the_next_call(aws: LocalAws) -> None:
    arn = aws.role("changing-policy", LAMBDA_TRUST)
    key = ministack.role_session(arn, "run", service=LAMBDA_TRUST, source_arn=FUNCTION).access_key
    assert ministack.authorize(key, "s3:GetObject", "arn:aws:s3:::a/b", region="us-east-1") is not None
    statement = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    aws.client("iam").put_role_policy(RoleName="changing-policy", PolicyName="new", PolicyDocument=policy)
    assert ministack.authorize(key, "s3:GetObject", "arn:aws:s3:::a/b", region="us-east-1") is None
    aws.client("iam").delete_role_policy(RoleName="changing-policy", PolicyName="new")
    assert ministack.authorize(key, "s3:GetObject", "arn:aws:s3:::a/b", region="us-east-1") is not None


def test_what_a_stack_changes_takes_effect_at_the_next_call(aws: LocalAws) -> None:
    arn = aws.role("stacks", LAMBDA_TRUST)
    key = ministack.role_session(arn, "run", service=LAMBDA_TRUST, source_arn=FUNCTION).access_key
    statement = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "*"}
    policy = {"PolicyName": "p", "Roles": ["stacks"], "PolicyDocument": {"Statement": [statement]}}

    def refused() -> bool:
        return ministack.authorize(key, "sqs:SendMessage", "arn:aws:sqs:::q", region="us-east-1") is not None

    assert refused()
    # As CloudFormation calls it: no request tells of it.
    handler = imported("services.cloudformation.provisioners")._RESOURCE_HANDLERS["AWS::IAM::Policy"]
    with ministack.scope(ministack.ACCOUNT, ministack.REGION):
        physical_id, _ = handler["create"]("Policy", policy, "stack")
        assert not refused()
        handler["delete"](physical_id, policy)
        assert refused()


def test_a_bucket_policy_takes_effect_at_the_next_call(aws: LocalAws) -> None:
    s3 = aws.client("s3")
    s3.create_bucket(Bucket="closing")
    allowed = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    arn = aws.role("closed-out", LAMBDA_TRUST, allowed)
    key = ministack.role_session(arn, "run", service=LAMBDA_TRUST, source_arn=FUNCTION).access_key
    assert ministack.authorize(key, "s3:GetObject", "arn:aws:s3:::closing/b", region="us-east-1") is None
    denied = {"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::closing/*"}
    policy = {"Version": "2012-10-17", "Statement": [denied]}
    s3.put_bucket_policy(Bucket="closing", Policy=json.dumps(policy))
    assert ministack.authorize(key, "s3:GetObject", "arn:aws:s3:::closing/b", region="us-east-1") is not None


def test_all_versions_of_keys_with_control_characters_are_listed_page_by_page(aws: LocalAws) -> None:
    s3 = aws.client("s3")
    s3.create_bucket(Bucket="strange-keys")
    s3.put_bucket_versioning(Bucket="strange-keys", VersioningConfiguration={"Status": "Enabled"})
    keys = ["\x01bell\x07", "\x1b[31mred", "a b+c%20d", "folder/\x02", "plain"]
    for key in keys:
        s3.put_object(Bucket="strange-keys", Key=key, Body=b"1")
        s3.delete_object(Bucket="strange-keys", Key=key)
    pages = list(
        s3.get_paginator("list_object_versions").paginate(Bucket="strange-keys", PaginationConfig={"PageSize": 3})
    )
    assert len(pages) == 4
    for kind in ("Versions", "DeleteMarkers"):
        assert [it["Key"] for page in pages for it in page.get(kind, [])] == keys


def test_iam_is_asked_once_for_what_nothing_has_changed(aws: LocalAws, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(policies, "_decision", lambda *question: asked.append(question[2]))
    for resource in ("arn:aws:s3:::a/1", "arn:aws:s3:::a/1", "arn:aws:s3:::a/2"):
        ministack.authorize(aws.ready.access_key, "s3:GetObject", resource, region="us-east-1")
    assert asked == ["arn:aws:s3:::a/1", "arn:aws:s3:::a/2"]


def test_a_decision_holds_for_its_seconds_alone(aws: LocalAws, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(policies, "_decision", lambda *question: asked.append(question[2]))
    monkeypatch.setattr(policies, "_DECISION_SECONDS", -1.0)
    for resource in ("arn:aws:s3:::a/3", "arn:aws:s3:::a/3"):
        ministack.authorize(aws.ready.access_key, "s3:GetObject", resource, region="us-east-1")
    assert len(asked) == 2


def test_an_added_service_gets_the_requests_signed_for_it(aws: LocalAws) -> None:
    seen: list[ministack.Request] = []

    async def answer(request: ministack.Request) -> ministack.Response:
        seen.append(request)
        return 200, {"content-type": "application/x-amz-json-1.1"}, b'{"Datasets": []}'

    ministack.add_service("frauddetector", answer)
    client = aws.client("frauddetector")
    client.get_detectors()
    assert seen[0].headers["x-amz-target"].endswith("GetDetectors")
    assert (seen[0].account, seen[0].region) == (ministack.ACCOUNT, "us-east-1")
    assert seen[0].access_key == aws.ready.access_key


def test_an_added_resource_type_lives_through_a_stack(aws: LocalAws) -> None:
    done: list[tuple[str, ...]] = []

    def create(logical_id: str, properties: dict[str, Any], stack: str) -> tuple[str, dict[str, str]]:
        name = ministack.physical_name(stack, logical_id, max_length=63)
        done.append(("create", ministack.here()[1], properties["Size"]))
        return name, {"Arn": f"arn:{name}"}

    def update(
        physical_id: str, old: dict[str, Any], new: dict[str, Any], stack: str, logical_id: str
    ) -> tuple[str, dict[str, str]]:
        if new["Size"] == "replace":
            physical_id = ministack.physical_name(stack, logical_id, max_length=63, replacing=True)
        if new["Size"] == "bad":
            raise ValueError("Size must not be bad")
        done.append(("update", old["Size"], new["Size"]))
        return physical_id, {"Arn": f"arn:{physical_id}"}

    def delete(physical_id: str, properties: dict[str, Any]) -> None:
        done.append(("delete", properties["Size"]))

    ministack.add_resource_type("AWS::Test::Thing", ministack.ResourceType(create, update, delete))
    cloudformation = aws.client("cloudformation")

    def template(size: str) -> str:
        thing = {"Type": "AWS::Test::Thing", "Properties": {"Size": size}}
        outputs = {"Name": {"Value": {"Ref": "Thing"}}, "Arn": {"Value": {"Fn::GetAtt": ["Thing", "Arn"]}}}
        return json.dumps({"Resources": {"Thing": thing}, "Outputs": outputs})

    def outputs() -> dict[str, str]:
        stack = cloudformation.describe_stacks(StackName="thing")["Stacks"][0]
        return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    cloudformation.create_stack(StackName="thing", TemplateBody=template("1"))
    cloudformation.get_waiter("stack_create_complete").wait(StackName="thing", WaiterConfig={"Delay": 1})
    first = outputs()
    assert first["Arn"] == f"arn:{first['Name']}"
    assert first["Name"].startswith("thing-Thing-")
    for size, waiter in (
        ("2", "stack_update_complete"),
        ("bad", "stack_rollback_complete"),
        ("replace", "stack_update_complete"),
    ):
        cloudformation.update_stack(StackName="thing", TemplateBody=template(size))
        cloudformation.get_waiter(waiter).wait(StackName="thing", WaiterConfig={"Delay": 1})
    assert outputs()["Name"] != first["Name"]
    cloudformation.delete_stack(StackName="thing")
    cloudformation.get_waiter("stack_delete_complete").wait(StackName="thing", WaiterConfig={"Delay": 1})
    assert ("create", "us-east-1", "1") in done
    assert ("update", "1", "2") in done
    assert ("update", "2", "replace") in done
    assert [step for step in done if step[0] == "delete"][-1] == ("delete", "replace")


def _named(aws: LocalAws, service: str, method: str, path: str, body: bytes = b"") -> Any:
    scope = f"{aws.ready.access_key}/20260101/us-east-1/{service}/aws4_request"
    headers = {"Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"}
    return types.SimpleNamespace(method=method, url=f"http://aws{path}", headers=headers, body=body)


def test_a_request_sent_in_process_is_answered_without_a_socket(aws: LocalAws) -> None:
    async def calls() -> tuple[ministack.Response, ministack.Response, tuple[str, str]]:
        with ministack.scope("111111111111", "eu-west-1"):
            await ministack.send(_named(aws, "s3", "PUT", "/in-process"))
            put = await ministack.send(_named(aws, "s3", "PUT", "/in-process/a%20key", b"text"))
            got = await ministack.send(_named(aws, "s3", "GET", "/in-process/a%20key"))
            return put, got, ministack.here()

    put, got, here = ministack.run_on_loop(calls())
    assert put[0] == 200
    assert (got[0], got[2]) == (200, b"text")
    assert got[1]["content-type"]
    assert here == ("111111111111", "eu-west-1")
    assert ministack.read_object("in-process", "a key") == b"text"
    with pytest.raises(KeyError):
        ministack.read_object("in-process", "another")


@pytest.mark.parametrize(
    ("operator", "key", "value", "refused"),
    [
        ("Bool", "aws:SecureTransport", "false", False),
        ("NumericLessThan", "s3:TlsVersion", "1.2", False),
        ("NumericLessThan", "s3:TlsVersion", "1.4", True),
    ],
)
def test_a_request_counts_as_encrypted_with_tls_1_3(
    aws: LocalAws, operator: str, key: str, value: str, refused: bool
) -> None:
    name = f"encrypted-{'ab'[refused]}-{operator.lower()}"
    s3 = aws.client("s3")
    s3.create_bucket(Bucket=name)
    arn = f"arn:aws:s3:::{name}"
    allowed = {"Effect": "Allow", "Action": "s3:PutObject", "Resource": f"{arn}/*"}
    role = aws.role(name, LAMBDA_TRUST, allowed)
    session = ministack.role_session(role, "run", service=LAMBDA_TRUST, source_arn=FUNCTION)
    denied = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [arn, f"{arn}/*"],
        "Condition": {operator: {key: value}},
    }
    policy = {"Version": "2012-10-17", "Statement": [denied]}
    s3.put_bucket_policy(Bucket=name, Policy=json.dumps(policy))
    writer = aws.client("s3", key=session.access_key, secret=session.secret_key, token=session.token)
    with pytest.raises(ClientError, match="explicit deny") if refused else nullcontext():
        writer.put_object(Bucket=name, Key="key", Body=b"x")


def test_an_object_under_a_key_is_for_those_only_who_may_use_the_key_for_its_bucket(aws: LocalAws) -> None:
    key = aws.client("kms").create_key()["KeyMetadata"]["Arn"]
    template = {
        "Resources": {
            "Data": {
                "Type": "AWS::S3::Bucket",
                "Properties": {
                    "BucketEncryption": {
                        "ServerSideEncryptionConfiguration": [
                            {
                                "BucketKeyEnabled": True,
                                "ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key},
                            }
                        ]
                    }
                },
            }
        },
        "Outputs": {"Data": {"Value": {"Ref": "Data"}}},
    }
    bucket = deployed(aws, "encrypted", template)["Data"]
    through_s3 = {
        "kms:ViaService": "s3.us-east-1.amazonaws.com",
        "kms:EncryptionContext:aws:s3:arn": f"arn:aws:s3:::{bucket}",
    }
    objects = allow(f"arn:aws:s3:::{bucket}/*", "s3:GetObject", "s3:PutObject")
    s3_alone = as_role(aws, "s3-alone", objects)
    elsewhere = {"StringEquals": {**through_s3, "kms:EncryptionContext:aws:s3:arn": "arn:aws:s3:::other"}}
    another = as_role(aws, "another", objects, {**allow(key, "kms:GenerateDataKey"), "Condition": elsewhere})
    writer = as_role(
        aws, "key-writer", objects, {**allow(key, "kms:GenerateDataKey"), "Condition": {"StringEquals": through_s3}}
    )
    reader = as_role(
        aws, "key-reader", objects, {**allow(key, "kms:Decrypt"), "Condition": {"StringEquals": through_s3}}
    )
    for role in (s3_alone, another, reader):
        with pytest.raises(ClientError, match=f"perform: kms:GenerateDataKey on resource: {key}"):
            role.put_object(Bucket=bucket, Key="key", Body=b"x")
    writer.put_object(Bucket=bucket, Key="key", Body=b"x")
    for role in (s3_alone, another, writer):
        with pytest.raises(ClientError, match=f"perform: kms:Decrypt on resource: {key}"):
            role.get_object(Bucket=bucket, Key="key")
    assert reader.get_object(Bucket=bucket, Key="key")["Body"].read() == b"x"
    # Its parts are read again to be joined.
    upload = writer.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]
    with pytest.raises(ClientError, match="perform: kms:Decrypt"):
        writer.upload_part(Bucket=bucket, Key="parts", UploadId=upload, PartNumber=1, Body=b"x")


@pytest.mark.parametrize("group", ["log-keys-*", "another-*"])
def test_a_log_group_takes_only_a_key_that_cloudwatch_may_use_for_it(aws: LocalAws, group: str) -> None:
    groups = f"arn:aws:logs:us-east-1:{ministack.ACCOUNT}:log-group:{group}"
    uses = ("Encrypt", "Decrypt", "ReEncryptFrom", "ReEncryptTo", "GenerateDataKey", "DescribeKey")
    statement = {
        **allow("*", *(f"kms:{use}" for use in uses)),
        "Principal": {"Service": "logs.us-east-1.amazonaws.com"},
        "Condition": {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": groups}},
    }
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    template = {
        "Resources": {
            "Key": {"Type": "AWS::KMS::Key", "Properties": {"KeyPolicy": policy}},
            "Log": {"Type": "AWS::Logs::LogGroup", "Properties": {"KmsKeyId": {"Fn::GetAtt": ["Key", "Arn"]}}},
        },
        "Outputs": {"Log": {"Value": {"Ref": "Log"}}},
    }
    if group == "log-keys-*":
        assert deployed(aws, "log-keys", template)["Log"].startswith("log-keys-Log-")
    else:
        with pytest.raises(AssertionError, match=r"is not allowed to be used with Arn \W+arn:aws:logs:"):
            deployed(aws, "other-keys", template)


def allow(resource: str, *actions: str) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": resource}


def as_role(aws: LocalAws, name: str, *statements: dict[str, Any]) -> Any:
    """S3 as a new role of a function."""
    role = aws.role(name, LAMBDA_TRUST, *statements)
    session = ministack.role_session(role, "run", service=LAMBDA_TRUST, source_arn=FUNCTION)
    return aws.client("s3", key=session.access_key, secret=session.secret_key, token=session.token)


def deployed(aws: LocalAws, name: str, template: dict[str, Any]) -> dict[str, str]:
    """A new stack's outputs. Raises `AssertionError` with the reasons of one that fails."""
    stacks = aws.client("cloudformation")
    stacks.create_stack(StackName=name, TemplateBody=json.dumps(template))
    while (stack := stacks.describe_stacks(StackName=name)["Stacks"][0])["StackStatus"].endswith("_IN_PROGRESS"):
        pass
    events = stacks.describe_stack_events(StackName=name)["StackEvents"]
    reasons = [it.get("ResourceStatusReason", "") for it in events if "FAILED" in it["ResourceStatus"]]
    assert stack["StackStatus"] == "CREATE_COMPLETE", reasons
    return {it["OutputKey"]: it["OutputValue"] for it in stack["Outputs"]}


def test_a_role_that_trusts_a_service_for_some_resources_alone_is_for_no_others(aws: LocalAws) -> None:
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "states.amazonaws.com"},
        "Action": "sts:AssumeRole",
        "Condition": {"ArnLike": {"aws:SourceArn": "arn:aws:states:*:*:stateMachine:mine-*"}},
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    created = aws.client("iam").create_role(RoleName="sourced", AssumeRolePolicyDocument=document)
    arn, states = created["Role"]["Arn"], f"arn:aws:states:us-east-1:{ministack.ACCOUNT}:stateMachine"
    service = "states.amazonaws.com"
    assert ministack.role_session(arn, "run", service=service, source_arn=f"{states}:mine-1").token
    with pytest.raises(ministack.RoleError):
        ministack.role_session(arn, "run", service=service, source_arn=f"{states}:other")
