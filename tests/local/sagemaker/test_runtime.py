"""InvokeEndpoint: the model's answers, and AWS's words where there is none."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from botocore.exceptions import ClientError

from local.sagemaker import runtime
from local.sagemaker.aws import Place
from local.sagemaker.fleet import Fleet
from model import train
from tests.local.sagemaker.around import ACCOUNT, REGION, Call, Cloud, program, sample_model

PLAYS = program(
    "import os, time\n"
    "class Refused(Exception):\n"
    "    status_code, message = 400, 'unable to evaluate'\n"
    "def model_fn(model_dir): pass\n"
    "def transform_fn(model, data, content_type, accept):\n"
    "    if data == b'refuse': raise Refused\n"
    "    if data == b'fail': raise KeyError('weights')\n"
    "    if data == b'sleep': time.sleep(0.8)\n"
    "    if data == b'end': os._exit(1)\n"
    "    return f'{content_type} {accept}', 'text/plain'\n"
)
GROUP = "/aws/sagemaker/Endpoints/Plays"
SEE = (
    f"See https://{REGION}.console.aws.amazon.com/cloudwatch/home?region={REGION}#logEventViewer:group={GROUP} "
    f"in account {ACCOUNT} for more information."
)


@pytest.fixture(scope="module")
def cloud(shared: Cloud) -> Cloud:
    for name, data in (("Plays", PLAYS), ("sample", sample_model())):
        shared.put_model(name, data)
        shared.put_config(name, {"ModelName": name})
        assert shared.put_endpoint(name, name)["EndpointStatus"] == "InService"
    return shared


@pytest.fixture(autouse=True)
def nothing_forbidden(cloud: Cloud) -> Iterator[None]:
    yield
    cloud.memory.forbidden.clear()


def invoke(cloud: Cloud, body: bytes, **parameters: Any) -> Any:
    given = {"EndpointName": "Plays", **parameters}
    return cloud.client("sagemaker-runtime").invoke_endpoint(Body=body, **given)


def refused(cloud: Cloud, body: bytes, **parameters: Any) -> dict[str, Any]:
    with pytest.raises(ClientError) as caught:
        invoke(cloud, body, **parameters)
    return dict(caught.value.response)


def test_the_sample_model_gives_scikit_learns_probabilities_for_the_held_out_records(cloud: Cloud) -> None:
    data = train.load()
    heldout = data.values[train.split(data)[1]]
    body = json.dumps({"instances": heldout.tolist()}).encode()

    response = invoke(cloud, body, EndpointName="sample", ContentType="application/json")

    given = [p["p_malignant"] for p in json.loads(response["Body"].read())["predictions"]]
    np.testing.assert_allclose(given, train.fit(data).predict_proba(heldout)[:, 1], rtol=0, atol=1e-6)


def test_the_answer_names_its_type_and_its_variant(cloud: Cloud) -> None:
    response = invoke(cloud, b"x", ContentType="image/png", Accept="text/html")

    assert response["Body"].read() == b"image/png text/html"
    assert response["ContentType"] == "text/plain"
    assert response["InvokedProductionVariant"] == "AllTraffic"


def test_what_the_caller_does_not_say_is_not_made_up(cloud: Cloud) -> None:
    assert invoke(cloud, b"x")["Body"].read() == b"None application/json"


def test_the_model_can_refuse_a_request(cloud: Cloud) -> None:
    response = refused(cloud, b"refuse")

    text = response["OriginalMessage"]
    assert text.startswith("unable to evaluate\nTraceback")
    assert response["Error"]["Code"] == "ModelError"
    assert response["Error"]["Message"] == (f'Received client error (400) from primary with message "{text}". {SEE}')
    assert response["OriginalStatusCode"] == 400
    assert response["LogStreamArn"] == f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{GROUP}"
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 424


def test_any_other_exception_of_the_model_is_a_server_error_with_its_text(cloud: Cloud) -> None:
    response = refused(cloud, b"fail")

    assert response["OriginalStatusCode"] == 500
    assert response["OriginalMessage"].startswith("'weights'\nTraceback")
    assert response["Error"]["Message"].startswith("Received server error (500) from primary with message \"'weights'")


def test_bad_input_of_the_sample_model_says_what_was_expected(cloud: Cloud) -> None:
    body = b'{"instances": [[1.0]]}'

    response = refused(cloud, body, EndpointName="sample", ContentType="application/json")

    assert response["OriginalMessage"].startswith("expected 30 numbers an instance")


def test_a_model_that_takes_too_long_times_out(cloud: Cloud) -> None:
    response = refused(cloud, b"sleep")

    assert response["Error"]["Message"].startswith(
        'Received server error (0) from primary with message "Your invocation timed out while waiting'
    )


def test_a_server_that_ends_under_a_request_is_an_error_of_this_request_only(cloud: Cloud) -> None:
    assert refused(cloud, b"end")["OriginalStatusCode"] == 500

    # Until it is replaced there is nobody to answer, which is worth a retry.
    outcomes = set()
    for _ in range(200):
        try:
            outcomes.add(invoke(cloud, b"x")["Body"].read())
            break
        except ClientError as error:
            outcomes.add(error.response["Error"]["Code"])
            cloud.run(_turn(cloud))
    assert b"None application/json" in outcomes
    assert outcomes <= {b"None application/json", "ServiceUnavailable", "ModelError"}


async def _turn(cloud: Cloud) -> None:
    """Lets the replacement of the endpoint's server go on to its end."""
    fleet = cloud.sagemaker.store(Place(ACCOUNT, REGION)).endpoint("Plays").fleet
    assert isinstance(fleet, Fleet)
    await asyncio.gather(*fleet._healing)
    for variant in fleet.variants:
        for instance in variant.instances:
            if not instance.alive:
                await instance.process.wait()
    await asyncio.sleep(0)


def test_an_endpoint_that_is_not_there_is_not_found(cloud: Cloud) -> None:
    error = refused(cloud, b"", EndpointName="Absent")["Error"]

    # Recorded: https://github.com/aws/amazon-sagemaker-examples/issues/293
    assert (error["Code"], error["Message"]) == (
        "ValidationError",
        f"Endpoint Absent of account {ACCOUNT} not found.",
    )


def test_a_caller_without_the_permission_is_denied_on_the_arn_in_lower_case(cloud: Cloud) -> None:
    cloud.memory.forbidden.add(("AKIATEST", "sagemaker:InvokeEndpoint"))

    error = refused(cloud, b"x")["Error"]

    assert error["Code"] == "AccessDeniedException"
    assert error["Message"] == (
        "User: AKIATEST is not authorized to perform: sagemaker:InvokeEndpoint on resource: "
        f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:endpoint/plays"
    )


def test_six_mebibytes_are_taken_and_one_byte_more_is_refused(cloud: Cloud) -> None:
    assert invoke(cloud, b"x" * runtime.MAX_BODY)["Body"].read() == b"None application/json"

    error = refused(cloud, b"x" * (runtime.MAX_BODY + 1))["Error"]

    # Recorded, with an earlier limit: https://github.com/aws/sagemaker-python-sdk/issues/171
    assert (error["Code"], error["Message"]) == ("413", "HTTP content length exceeded 6291456 bytes.")


@pytest.mark.parametrize(
    "parameter",
    [
        {"TargetModel": "m.tar.gz"},
        {"TargetContainerHostname": "c"},
        {"EnableExplanations": "`true`"},
        {"InferenceComponentName": "c"},
        {"SessionId": "NEW_SESSION"},
    ],
)
def test_a_parameter_that_is_not_served_is_refused_by_name(cloud: Cloud, parameter: dict[str, str]) -> None:
    error = refused(cloud, b"x", **parameter)["Error"]

    assert error["Code"] == "ValidationError"
    assert next(iter(parameter)) in error["Message"]


def test_other_ways_to_invoke_are_unknown(cloud: Cloud) -> None:
    path = "/endpoints/Plays/invocations-response-stream"
    _, headers, _ = cloud.run(cloud.sagemaker.handle(Call("POST", path, {}, b"")))

    assert headers["x-amzn-errortype"] == "UnknownOperationException"
