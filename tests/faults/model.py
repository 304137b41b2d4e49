"""Rows: a model that is busy, broken, silent, gone, or answers what nobody can use."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from lambda_src import preprocess
from stacks.settings.modes import ASYNC, SERVERLESS
from tests.e2e.deployment import until
from tests.faults.fault import ENDPOINT, Case, Expect, Fault, Over, Rule
from tests.faults.given import good
from tests.faults.place import Place
from tests.faults.steps import TOLERANCE, TRIES, arn, asking, check_waits, failing, one_batch, running

RECORDS = 4
FUNCTION = (Over.REQUEST_ML, Over.JOB_ML)
"""The runs that have the model inside a function."""

ALONE = "The batch is halved, and each half is predicted."
REFUSED = (
    "The batch is halved until each record stands alone, and is rejected as `ModelRefused` with what the model said."
)


def at(times: int | None, make: Callable[..., Rule], **rule: Any) -> Callable[[Place], Sequence[Rule]]:
    """A rule for the first so many calls, or for all."""
    most = {} if times is None else {"at_most": times}
    return lambda place: [make(place, **rule, **most)]


def container(place: Place, **rule: Any) -> Rule:
    """A rule for what happens inside the model's container."""
    return {"service": "model", "resource": f"*/{endpoint(place).lower()}", **rule}


def inside(place: Place, **rule: Any) -> Rule:
    """A rule for what happens inside the function that holds the model."""
    return running(place, "Predict", **rule)


def endpoint(place: Place) -> str:
    """The endpoint's name."""
    return str(place.deployment.outputs["InferenceStack"]["EndpointName"])


def busy(name: str, what: str, **rule: Any) -> Fault:
    """Five calls of the endpoint fail with an error that passes, and the sixth is answered."""

    def then(place: Place) -> None:
        assert place.seen.fired == [5]
        assert place.seen.calls("model") == 1
        check_waits(place, 5)

    case = Case(ENDPOINT, one_batch(RECORDS), Expect(calls=6), at(5, asking, **rule), then=then)
    happens = "Tried again, each wait drawn between nothing and its cap; predicted at the sixth call."
    return Fault(name, "model", f"{what}, five times", happens, [case])


def for_ever(name: str, what: str, ends: str, tries: int, **rule: Any) -> Fault:
    """Every call of the endpoint fails."""

    def then(place: Place) -> None:
        assert place.seen.fired == [tries]
        check_waits(place, tries - 1)

    sent, rules = one_batch(RECORDS), at(None, asking, **rule)
    return Fault(
        name,
        "model",
        what,
        f"Called {'once' if tries == 1 else 'seven times'}. {failing(ends)}",
        [
            Case([Over.REQUEST], sent, Expect("FAILED", ends, calls=tries), rules, then=then),
            Case([Over.JOB], sent, Expect("FAILED", TOLERANCE, failed={ends: RECORDS}, calls=tries), rules, then=then),
        ],
    )


def halved(name: str, what: str, make: Callable[..., Rule] = container, **rule: Any) -> Fault:
    """The first call comes to nothing that can be used, the next ones are answered."""
    over = ENDPOINT if make is container else FUNCTION
    case = Case(over, one_batch(RECORDS), Expect(calls=3 + (make is inside)), at(1, make, **rule))
    return Fault(name, "model", f"{what}, once", ALONE, [case])


def refused(
    name: str,
    what: str,
    said: str,
    make: Callable[..., Rule] = container,
    count: int = RECORDS,
    happens: str = REFUSED,
    **rule: Any,
) -> Fault:
    """No call comes to anything that can be used, for a batch of so many records."""
    over = ENDPOINT if make is container else FUNCTION
    halvings = 2 * count - 1
    expect = Expect(rejected={"ModelRefused": count}, said={"ModelRefused": said}, calls=halvings + (make is inside))
    case = Case(over, one_batch(count), expect, at(halvings, make, **rule))
    return Fault(name, "model", f"{what}, each time", happens, [case])


def miscounted() -> Fault:
    """An answer with one prediction too few."""
    error, sent = "PredictionCountMismatch", one_batch(RECORDS)
    answer = '{"predictions": [{}, {}, {}]}'
    return Fault(
        "one-prediction-too-few",
        "model",
        "One prediction too few",
        f"Never a shift. {failing(error)}",
        [
            Case([Over.REQUEST], sent, Expect("FAILED", error, "received 3"), at(None, container, answer=answer)),
            Case([Over.REQUEST_ML], sent, Expect("FAILED", error, "received 3"), lambda place: [shorter(place)]),
            Case([Over.JOB], sent, Expect("FAILED", TOLERANCE, failed={error: 4}), at(None, container, answer=answer)),
            Case([Over.JOB_ML], sent, Expect("FAILED", TOLERANCE, failed={error: 4}), at(1, inside, answer=answer)),
        ],
    )


def shorter(place: Place) -> Rule:
    """The model inside the function is checked by the function itself, which says so."""
    message = "expected 4 predictions from the model, one an instance, received 3"
    return inside(place, error="PredictionCountMismatch", message=message)


def killed() -> Fault:
    """The endpoint's only server dies with a batch, and comes back while the others wait."""

    def rules(place: Place) -> Sequence[Rule]:
        return [container(place, nth=1, kill=True), asking(place, **{"from": 2}, hold=True)]

    def play(place: Place) -> None:
        place.start()
        runtime = place.deployment.client("sagemaker-runtime")

        body = json.dumps({"instances": [preprocess.instance_of(good(1)[0])]})

        def answers() -> bool:
            try:
                runtime.invoke_endpoint(EndpointName=endpoint(place), ContentType="application/json", Body=body)
            except runtime.exceptions.ClientError:
                return False
            return True

        until(lambda: place.seen.fired[0], bool)
        until(answers, bool)
        place.seen.release()
        place.wait()

    happens = "SageMaker starts it again. The batch that died with it is halved and predicted, as are the others."
    sent = one_batch(RECORDS)
    return Fault(
        "server-killed",
        "model",
        "The model's server is killed in mid-call, and started again",
        happens,
        [Case(ENDPOINT, sent, Expect(calls=100), rules, play)],
    )


def deleted() -> Fault:
    """The endpoint is deleted while a batch is on its way to it."""

    def play(place: Place) -> None:
        sagemaker, name = place.deployment.client("sagemaker"), endpoint(place)
        config = sagemaker.describe_endpoint(EndpointName=name)["EndpointConfigName"]
        place.start()
        until(lambda: place.seen.matched[0], bool)
        sagemaker.delete_endpoint(EndpointName=name)
        sagemaker.get_waiter("endpoint_deleted").wait(EndpointName=name, WaiterConfig={"Delay": 1})
        place.seen.release()
        place.wait()
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config)
        until(lambda: sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"], lambda it: it == "InService")

    ends = "SageMakerRuntime.ValidationErrorException"
    sent, rules = one_batch(RECORDS), at(1, asking, hold=True)
    return Fault(
        "endpoint-deleted",
        "model",
        "The endpoint is deleted in mid-job",
        f"Called once. {failing(ends)}",
        [
            Case([Over.REQUEST], sent, Expect("FAILED", ends, "not found"), rules, play),
            Case([Over.JOB], sent, Expect("FAILED", TOLERANCE, failed={ends: RECORDS}), rules, play),
        ],
    )


def updated() -> Fault:
    """The endpoint gets another configuration while a batch is on its way to it."""

    def play(place: Place) -> None:
        sagemaker, name = place.deployment.client("sagemaker"), endpoint(place)
        old = sagemaker.describe_endpoint(EndpointName=name)["EndpointConfigName"]
        variants = sagemaker.describe_endpoint_config(EndpointConfigName=old)["ProductionVariants"]

        def update(config: str) -> None:
            sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=config)
            until(
                lambda: sagemaker.describe_endpoint(EndpointName=name),
                lambda it: it["EndpointStatus"] == "InService" and it["EndpointConfigName"] == config,
            )

        place.start()
        until(lambda: place.seen.matched[0], bool)
        sagemaker.create_endpoint_config(EndpointConfigName=place.name, ProductionVariants=variants)
        update(place.name)
        place.seen.release()
        place.wait()
        update(old)
        sagemaker.delete_endpoint_config(EndpointConfigName=place.name)

    return Fault(
        "endpoint-updated",
        "model",
        "The endpoint is updated to another configuration in mid-job",
        "Nothing is to be seen of it: requests go to the new servers once they stand.",
        [Case([Over.JOB], one_batch(RECORDS), Expect(), at(1, asking, hold=True), play)],
    )


def function_down() -> Fault:
    """Lambda cannot call the function that holds the model."""

    def rules(place: Place) -> Sequence[Rule]:
        return [{"service": "lambda", "resource": arn(place, "Predict"), "error": "ServiceException"}]

    sent, ends = one_batch(RECORDS), "Lambda.ServiceException"
    return Fault(
        "predict-for-ever",
        "model",
        "The function that holds the model cannot be called, each time",
        f"Called seven times. {failing(ends)}",
        [
            Case([Over.REQUEST_ML], sent, Expect("FAILED", ends, calls=TRIES), rules),
            Case([Over.JOB_ML], sent, Expect("FAILED", TOLERANCE, failed={ends: RECORDS}, calls=TRIES), rules),
        ],
    )


def outvoted() -> Fault:
    """A model that refuses more than may be tried for one batch."""
    error = "SplitLimitReached"
    sent = one_batch(50)
    return Fault(
        "model-error-large-batch",
        "model",
        "The model fails on every part of a batch of 50",
        f"The batch is given up after 64 calls with `{error}`: a broken model costs a bounded number of calls.",
        [
            Case([Over.REQUEST], sent, Expect("FAILED", error, calls=64), at(None, container, status=500)),
            Case(
                [Over.JOB],
                sent,
                Expect("FAILED", TOLERANCE, failed={error: 50}, calls=64),
                at(None, container, status=500),
            ),
        ],
    )


def also(fault: Fault, *modes: str) -> Fault:
    """The row in other modes of the endpoint too."""
    return replace(fault, also=modes)


MODEL_ERROR: dict[str, Any] = {"error": "ModelRefused", "message": "the model said no"}
EMPTY_400 = {"error": "", "status": 400, "message": ""}

FAULTS: tuple[Fault, ...] = (
    also(busy("throttled", "Throttled", error="ThrottlingException"), SERVERLESS),
    busy("throttled-without-a-name", "Throttled, as HTTP 400 with an empty message", **EMPTY_400),
    busy("model-not-ready", "The model is not ready", error="ModelNotReadyException"),
    busy("endpoint-503", "HTTP 503", error="ServiceUnavailable"),
    busy("endpoint-500", "HTTP 500", error="InternalFailure"),
    busy("dependency-failure", "A dependency of SageMaker fails", error="InternalDependencyException"),
    busy("endpoint-connection-reset", "The connection is reset", cut=True),
    busy("endpoint-slow", "No answer within the state's time limit", timeout=True),
    also(
        for_ever(
            "endpoint-503-for-ever",
            "HTTP 503, each time",
            "SageMakerRuntime.ServiceUnavailableException",
            TRIES,
            error="ServiceUnavailable",
        ),
        SERVERLESS,
    ),
    for_ever(
        "throttled-for-ever",
        "Throttled, each time",
        "SageMakerRuntime.SageMakerRuntimeException",
        TRIES,
        error="ThrottlingException",
    ),
    also(
        halved("model-4xx", "The model's own error, HTTP 400", status=400, answer="no such feature"), SERVERLESS, ASYNC
    ),
    also(halved("model-5xx", "The model's own error, HTTP 500", status=500, answer="out of luck"), SERVERLESS, ASYNC),
    halved("model-silent", "60 s of silence", timeout=True),
    also(halved("container-connection-reset", "The container's connection is reset", cut=True), SERVERLESS, ASYNC),
    halved("empty-answer", "An empty answer", answer=""),
    halved("answer-not-json", "An answer that is not JSON", answer="<html>oops</html>"),
    also(halved("answer-nan", "An answer with `NaN`", answer='{"predictions": [NaN, 1, 2, 3]}'), SERVERLESS, ASYNC),
    halved("model-raises", "The model inside the function raises", make=inside, **MODEL_ERROR),
    refused(
        "model-4xx-for-ever", "The model's own error, HTTP 400", "no such feature", status=400, answer="no such feature"
    ),
    also(
        refused(
            "model-5xx-for-ever", "The model's own error, HTTP 500", "out of luck", status=500, answer="out of luck"
        ),
        SERVERLESS,
        ASYNC,
    ),
    refused(
        "model-silent-for-ever",
        "60 s of silence for a batch of two",
        "timed out while waiting",
        count=2,
        happens=f"{REFUSED} A larger batch fails when its execution's five minutes are over.",
        timeout=True,
    ),
    refused("empty-answer-for-ever", "An empty answer", "something else than JSON", answer=""),
    refused("model-raises-for-ever", "The model inside the function raises", "said no", make=inside, **MODEL_ERROR),
    outvoted(),
    also(miscounted(), SERVERLESS, ASYNC),
    Fault(
        "answer-too-large",
        "model",
        "An answer over 256 KiB",
        f"Called once. {failing('States.DataLimitExceeded')}",
        [
            Case(
                [Over.REQUEST],
                one_batch(RECORDS),
                Expect("FAILED", "States.DataLimitExceeded"),
                at(None, container, answer_bytes=300_000),
            ),
            Case(
                [Over.JOB],
                one_batch(RECORDS),
                Expect("FAILED", TOLERANCE, failed={"States.DataLimitExceeded": RECORDS}),
                at(None, container, answer_bytes=300_000),
            ),
        ],
    ),
    function_down(),
    deleted(),
    updated(),
    also(killed(), SERVERLESS),
)
