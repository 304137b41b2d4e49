"""What CreateStateMachine accepts, and what it refuses, and how it says so."""

import json
from typing import Any

import pytest

from local.states.parser import FIELDS, parse
from local.states.problems import InvalidDefinition, Problem
from tests.local.states.fake_aws import INVOKE, machine, task

Json = Any
END = {"Type": "Pass", "End": True}


def problems(definition: str, kind: str = "STANDARD") -> list[Problem]:
    try:
        parse(definition, kind)
    except InvalidDefinition as refused:
        return refused.problems
    return []


def only(states: dict[str, Json], **more: Json) -> Problem:
    """The one problem of these states."""
    found = problems(machine(states, **more))
    assert len(found) == 1, found
    return found[0]


def state(**fields: Json) -> Problem:
    """The one problem of a machine with this state alone."""
    return only({"Only": fields})


ACCEPTED: dict[str, dict[str, Json]] = {
    "Task": task("f")
    | {
        "Comment": "c",
        "QueryLanguage": "JSONata",
        "TimeoutSeconds": 5,
        "Assign": {"x": 1},
        "Retry": [
            {
                "ErrorEquals": ["A", "B"],
                "IntervalSeconds": 2,
                "MaxAttempts": 0,
                "BackoffRate": 1.5,
                "MaxDelaySeconds": 3,
                "JitterStrategy": "FULL",
                "Comment": "c",
            },
            {"ErrorEquals": ["States.ALL"], "JitterStrategy": "NONE"},
        ],
        "Catch": [
            {
                "ErrorEquals": ["States.ALL"],
                "Next": "Other",
                "Output": "{% $states.errorOutput %}",
                "Assign": {"y": 2},
                "Comment": "c",
            }
        ],
    },
    "Pass": {"Type": "Pass", "Comment": "c", "Output": {"a": [1, "{% 2 %}"]}, "Assign": {"x": 1}, "Next": "Other"},
    "Wait": {"Type": "Wait", "Timestamp": "2020-01-01T00:00:00Z", "Output": 1, "Assign": {}, "End": True},
    "Choice": {
        "Type": "Choice",
        "Choices": [
            {"Condition": "{% true %}", "Next": "Other", "Output": 1, "Assign": {"x": 1}, "Comment": "c"},
            {"Condition": False, "Next": "Other"},
        ],
        "Default": "Other",
        "Output": 1,
        "Assign": {"x": 1},
    },
    "Succeed": {"Type": "Succeed", "Output": "{% 1 %}", "Comment": "c"},
    "Fail": {"Type": "Fail", "Error": "{% 'E' %}", "Cause": "because", "Comment": "c"},
    "Parallel": {
        "Type": "Parallel",
        "Arguments": {"a": 1},
        "Branches": [{"StartAt": "In", "States": {"In": END}, "Comment": "c", "QueryLanguage": "JSONata"}],
        "Retry": [],
        "Catch": [],
        "Output": 1,
        "Assign": {},
        "End": True,
    },
    "Map": {
        "Type": "Map",
        "Items": [1, 2],
        "ItemSelector": {"v": "{% $states.context.Map.Item.Value %}"},
        "MaxConcurrency": "{% 2 %}",
        "ItemProcessor": {
            "ProcessorConfig": {"Mode": "INLINE"},
            "StartAt": "In",
            "States": {"In": END},
            "Comment": "c",
            "QueryLanguage": "JSONata",
        },
        "Retry": [],
        "Catch": [],
        "Output": 1,
        "Assign": {},
        "End": True,
    },
}


@pytest.mark.parametrize("kind", sorted(ACCEPTED))
def test_every_type_of_state_takes_its_own_fields(kind: str) -> None:
    text = json.dumps(ACCEPTED[kind])
    states = {"Only": ACCEPTED[kind]} | ({"Other": END} if '"Other"' in text else {})
    assert problems(machine(states, Comment="c", Version="1.0", TimeoutSeconds=60)) == []


def test_the_table_of_accepted_fields_covers_every_type() -> None:
    assert sorted(ACCEPTED) == sorted(FIELDS)


@pytest.mark.parametrize("kind", sorted(ACCEPTED))
def test_a_field_that_a_state_does_not_have_is_refused(kind: str) -> None:
    states = {"Only": ACCEPTED[kind] | {"Colour": "red"}, "Other": END}
    found = [problem for problem in problems(machine(states)) if "not reachable" not in problem.message]
    assert found == [
        Problem("SCHEMA_VALIDATION_FAILED", "The field 'Colour' is not supported here", "/States/Only/Colour")
    ]


@pytest.mark.parametrize(
    "field",
    ["InputPath", "OutputPath", "ResultPath", "Parameters", "ResultSelector", "Result", "SecondsPath", "ItemsPath"],
)
def test_the_fields_of_jsonpath_are_refused(field: str) -> None:
    problem = state(**END, **{field: "$"})
    assert "is of JSONPath" in problem.message
    assert problem.location == f"/States/Only/{field}"


def test_a_machine_without_a_query_language_is_jsonpath_and_is_refused() -> None:
    [problem] = problems(json.dumps({"StartAt": "A", "States": {"A": END}}))
    assert "does not run the QueryLanguage 'JSONPath'" in problem.message
    assert problem.location == "/QueryLanguage"


def test_a_state_in_jsonpath_is_refused() -> None:
    assert "QueryLanguage can not be 'JSONPath'" in state(**END, QueryLanguage="JSONPath").message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "Expecting property name"),
        ("[]", "must be a valid JSON object"),
        ('{"QueryLanguage": "JSONata", "QueryLanguage": "JSONata"}', "Duplicate field 'QueryLanguage'"),
        ('{"TimeoutSeconds": NaN}', "NaN is not JSON"),
        ('{"QueryLanguage": "JSONata"}', "These fields are required: [States, StartAt]"),
        ('{"QueryLanguage": "JSONata", "StartAt": "A", "States": {}}', "Value cannot be empty"),
        (
            '{"QueryLanguage": "JSONata", "StartAt": 1, "States": {"A": {"Type": "Pass", "End": true}}}',
            "must be a string",
        ),
        ('{"QueryLanguage": "JSONata", "StartAt": "A", "States": {"A": 1}}', "Expected a JSON object"),
    ],
)
def test_what_is_no_machine_is_refused(text: str, said: str) -> None:
    assert said in problems(text)[0].message


def test_an_unknown_field_of_the_machine_is_refused() -> None:
    assert only({"A": END}, Colour="red").location == "/Colour"


@pytest.mark.parametrize("seconds", [0, -1, 1.5, True, "60", 100_000_000])
def test_a_machines_timeout_is_a_whole_number_of_seconds(seconds: Json) -> None:
    assert only({"A": END}, TimeoutSeconds=seconds).location == "/TimeoutSeconds"


def test_a_type_that_does_not_exist_is_refused() -> None:
    problem = state(Type="Loop")
    assert problem.location == "/States/Only/Type"
    assert "[Task, Wait, Pass, Succeed, Fail, Choice, Parallel, Map]" in problem.message


# Transitions


@pytest.mark.parametrize(
    ("states", "location"),
    [
        ({"A": {"Type": "Pass", "Next": "Gone"}}, "/States/A/Next"),
        ({"A": task("f", Catch=[{"ErrorEquals": ["E"], "Next": "Gone"}])}, "/States/A/Catch[0]/Next"),
        ({"A": {"Type": "Choice", "Choices": [{"Condition": True, "Next": "Gone"}]}}, "/States/A/Choices[0]/Next"),
        (
            {"A": {"Type": "Choice", "Choices": [{"Condition": True, "Next": "B"}], "Default": "Gone"}, "B": END},
            "/States/A/Default",
        ),
    ],
)
def test_a_transition_to_nowhere_is_refused(states: dict[str, Json], location: str) -> None:
    problem = only(states)
    assert (problem.code, problem.location) == ("MISSING_TRANSITION_TARGET", location)
    assert problem.message.endswith("target: Gone")


def test_a_start_that_does_not_exist_is_refused() -> None:
    assert only({"A": END}, StartAt="Gone").location == "/StartAt"


def test_a_state_that_nothing_leads_to_is_refused() -> None:
    assert only({"A": END, "Island": END}).message == 'State "Island" is not reachable.'


def test_a_transition_out_of_a_branch_is_refused() -> None:
    inner = {"StartAt": "In", "States": {"In": {"Type": "Pass", "Next": "B"}}}
    problem = only({"A": {"Type": "Parallel", "Branches": [inner], "Next": "B"}, "B": END})
    assert problem.location == "/States/A/Branches[0]/States/In/Next"


@pytest.mark.parametrize("fields", [{}, {"Next": "Only", "End": True}, {"End": False}])
def test_a_state_has_either_next_or_end(fields: dict[str, Json]) -> None:
    assert state(Type="Pass", **fields).message == "Exactly one of [Next, End] is required"


@pytest.mark.parametrize("fields", [{"Next": 5}, {"End": "true"}, {"End": 1, "Next": "Only"}])
def test_next_is_a_name_and_end_is_a_boolean(fields: dict[str, Json]) -> None:
    found = problems(machine({"Only": {"Type": "Pass", **fields}}))
    assert any("must be a" in problem.message for problem in found)


def test_two_states_of_one_name_are_refused_wherever_they_are() -> None:
    branch = {"StartAt": "Same", "States": {"Same": END}}
    problem = state(Type="Parallel", Branches=[branch, branch], End=True)
    assert problem.code == "DUPLICATE_STATE_NAME"
    assert problem.location == "/States/Only/Branches[1]/States/Same"


def test_a_name_has_at_most_80_characters() -> None:
    assert problems(machine({"x" * 80: END})) == []
    assert "at most 80 characters, not 81" in only({"x" * 81: END}).message


# Tasks


@pytest.mark.parametrize(
    "resource",
    [
        "arn:aws:states:::sagemaker:invokeEndpoint.sync",
        "arn:aws:states:::sagemaker:invokeEndpoint",
        "arn:aws:states:::lambda:invoke.sync",
        "arn:aws:states:::aws-sdk:s3:noSuchAction.waitForTaskToken",
        "arn:aws:states:::aws-sdk:sagemakerruntime:invokeEndpoint.sync",
        "arn:aws:states:::aws-sdk:s3:noSuchAction",
        "arn:aws:states:::aws-sdk:s3:PutObject",
        "arn:aws:states:::aws-sdk:nosuchservice:get",
        "arn:aws:states:us-east-1:000000000000:activity:a",
        "not an arn",
    ],
)
def test_an_integration_that_does_not_exist_or_is_not_run_is_refused(resource: str) -> None:
    problem = state(Type="Task", Resource=resource, End=True)
    assert problem.location == "/States/Only/Resource"
    assert resource in problem.message


@pytest.mark.parametrize("partition", ["aws", "aws-cn", "aws-us-gov"])
def test_an_integration_is_known_in_every_partition(partition: str) -> None:
    resource = f"arn:{partition}:states:::lambda:invoke"
    assert problems(machine({"A": task("f") | {"Resource": resource}})) == []


def test_an_express_machine_has_no_callbacks() -> None:
    definition = machine({"A": task("f") | {"Resource": f"{INVOKE}.waitForTaskToken"}})
    [problem] = problems(definition, "EXPRESS")
    assert problem.message == "Express state machine does not support '.waitForTaskToken' service integration"


def test_a_task_without_a_resource_is_refused() -> None:
    assert state(Type="Task", End=True).message == "These fields are required: [Resource]"


def test_heartbeats_without_a_token_are_refused_because_nothing_would_send_them() -> None:
    problem = only({"A": task("f", HeartbeatSeconds=10)})
    assert problem.location == "/States/A/HeartbeatSeconds"
    assert "without .waitForTaskToken" in problem.message


def test_a_heartbeat_must_be_shorter_than_the_timeout() -> None:
    waiting = task("f", HeartbeatSeconds=10, TimeoutSeconds=10) | {"Resource": f"{INVOKE}.waitForTaskToken"}
    assert only({"A": waiting}).message == "'HeartbeatSeconds' must be smaller than 'TimeoutSeconds'"


def test_credentials_are_refused_because_the_machines_role_makes_every_call() -> None:
    problem = only({"A": task("f", Credentials={"RoleArn": "arn:aws:iam::1:role/x"})})
    assert problem.location == "/States/A/Credentials"
    assert "own role" in problem.message


@pytest.mark.parametrize(
    ("arguments", "location"),
    [
        ({"Payload": 1}, ""),
        ({"FunctionName": "f", "Colour": 1}, "/Colour"),
        ({"FunctionName": "f", "InvocationType": "Event"}, "/InvocationType"),
        ({"FunctionName": "f", "ClientContext": "e30="}, "/ClientContext"),
        ({"FunctionName": "f", "LogType": "Tail"}, "/LogType"),
    ],
)
def test_arguments_that_lambda_invoke_does_not_have_are_refused(arguments: Json, location: str) -> None:
    assert only({"A": task("f") | {"Arguments": arguments}}).location == f"/States/A/Arguments{location}"


def test_arguments_of_an_sdk_call_are_checked_against_the_services_model() -> None:
    found = problems(
        machine(
            {
                "A": {
                    "Type": "Task",
                    "Resource": "arn:aws:states:::aws-sdk:s3:putObject",
                    "Arguments": {"Bucket": "b", "Colour": "red"},
                    "End": True,
                }
            }
        )
    )
    assert [problem.message for problem in found] == [
        "The field 'Colour' is not supported by Step Functions",
        "The field 'Key' is required but was missing",
    ]


@pytest.mark.parametrize("seconds", [0, -5, 1.5, "5", True])
def test_a_tasks_timeout_is_a_whole_number_of_seconds(seconds: Json) -> None:
    assert only({"A": task("f", TimeoutSeconds=seconds)}).location == "/States/A/TimeoutSeconds"


# Retry and Catch


@pytest.mark.parametrize("field", ["Retry", "Catch"])
def test_all_errors_are_named_alone_and_last(field: str) -> None:
    def entry(*errors: str) -> dict[str, Json]:
        return {"ErrorEquals": list(errors)} | ({"Next": "B"} if field == "Catch" else {})

    for entries, place in (
        ([entry("States.ALL", "E")], 0),
        ([entry("States.ALL"), entry("E")], 0),
        ([entry("E"), entry("E", "States.ALL")], 1),
    ):
        states = {"A": task("f", Next="B", **{field: entries}), "B": END}
        problem = only(states)
        assert problem.location == f"/States/A/{field}[{place}]/ErrorEquals"
        assert "must appear alone in the last" in problem.message


@pytest.mark.parametrize("errors", [None, [], "States.ALL", [1]])
def test_a_list_of_errors_is_a_list_of_names(errors: Json) -> None:
    assert only({"A": task("f", Retry=[{"ErrorEquals": errors}])}).location == "/States/A/Retry[0]/ErrorEquals"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("IntervalSeconds", 0),
        ("IntervalSeconds", 1.5),
        ("IntervalSeconds", 100_000_000),
        ("MaxAttempts", -1),
        ("MaxAttempts", "3"),
        ("MaxAttempts", 100_000_000),
        ("BackoffRate", 0.9),
        ("BackoffRate", "2"),
        ("MaxDelaySeconds", 0),
        ("MaxDelaySeconds", 1),
        ("JitterStrategy", "HALF"),
        ("Colour", "red"),
        ("Next", "A"),
    ],
)
def test_a_retrier_with_a_value_that_aws_does_not_take_is_refused(field: str, value: Json) -> None:
    retrier = {"ErrorEquals": ["E"], field: value}
    assert only({"A": task("f", Retry=[retrier])}).location == f"/States/A/Retry[0]/{field}"


@pytest.mark.parametrize("field", ["Retry", "Catch"])
@pytest.mark.parametrize("value", [{}, ["E"]])
def test_retry_and_catch_are_lists_of_objects(field: str, value: Json) -> None:
    assert only({"A": task("f", **{field: value})}).message in ("Expected a JSON array", "Expected a JSON object")


def test_a_catcher_says_where_to_go_on() -> None:
    assert only({"A": task("f", Catch=[{"ErrorEquals": ["E"]}])}).message == "These fields are required: [Next]"


def test_a_catcher_has_no_result_path() -> None:
    catcher = {"ErrorEquals": ["E"], "Next": "B", "ResultPath": "$.e"}
    assert only({"A": task("f", Next="B", Catch=[catcher]), "B": END}).location == "/States/A/Catch[0]/ResultPath"


# The other states


@pytest.mark.parametrize("fields", [{}, {"Seconds": 1, "Timestamp": "2020-01-01T00:00:00Z"}])
def test_a_wait_has_either_seconds_or_a_timestamp(fields: dict[str, Json]) -> None:
    assert state(Type="Wait", End=True, **fields).message == "Exactly one of [Seconds, Timestamp] is required"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("Seconds", -1),
        ("Seconds", 100_000_000),
        ("Seconds", "5"),
        ("Timestamp", "tomorrow"),
        ("Timestamp", "2020-01-01"),
        ("Timestamp", 5),
    ],
)
def test_a_wait_takes_whole_seconds_or_an_rfc_3339_timestamp(field: str, value: Json) -> None:
    assert state(Type="Wait", End=True, **{field: value}).location == f"/States/Only/{field}"


@pytest.mark.parametrize("choices", [[], None, {}])
def test_a_choice_has_choices(choices: Json) -> None:
    assert state(Type="Choice", Choices=choices).location == "/States/Only/Choices"


@pytest.mark.parametrize(
    "choice",
    [
        {"Next": "B"},
        {"Condition": "true", "Next": "B"},
        {"Condition": True, "Variable": "$.x", "Next": "B"},
        "B",
    ],
)
def test_a_choice_rule_is_a_jsonata_condition(choice: Json) -> None:
    found = only({"A": {"Type": "Choice", "Choices": [choice], "Default": "B"}, "B": END})
    assert found.location.startswith("/States/A/Choices[0]")


def test_a_choice_rule_says_where_to_go_on() -> None:
    assert only({"A": {"Type": "Choice", "Choices": [{"Condition": True}], "Default": "B"}, "B": END}).message == (
        "These fields are required: [Next]"
    )


def test_a_choices_default_is_the_name_of_a_state() -> None:
    choices = [{"Condition": True, "Next": "B"}]
    assert only({"A": {"Type": "Choice", "Choices": choices, "Default": 1}, "B": END}).location == "/States/A/Default"


@pytest.mark.parametrize(("kind", "field"), [("Succeed", "Next"), ("Fail", "End"), ("Choice", "Next")])
def test_a_state_that_cannot_go_on_has_no_transition(kind: str, field: str) -> None:
    states = {"Only": ACCEPTED[kind] | {field: "Other"}, "Other": END}
    assert any(problem.location == f"/States/Only/{field}" for problem in problems(machine(states)))


@pytest.mark.parametrize("field", ["Error", "Cause"])
def test_a_failures_error_and_cause_are_text(field: str) -> None:
    assert state(Type="Fail", **{field: {"a": 1}}).message == f"The field '{field}' must be a string"


@pytest.mark.parametrize("branches", [[], None, {}])
def test_a_parallel_has_branches(branches: Json) -> None:
    assert state(Type="Parallel", Branches=branches, End=True).location == "/States/Only/Branches"


def test_a_branch_is_a_machine_without_a_timeout() -> None:
    branch = {"StartAt": "In", "States": {"In": END}, "TimeoutSeconds": 5}
    assert state(Type="Parallel", Branches=[branch], End=True).location == "/States/Only/Branches[0]/TimeoutSeconds"


def test_a_map_has_a_processor() -> None:
    assert "ItemProcessor" in state(Type="Map", Items=[], End=True).message


@pytest.mark.parametrize("items", ["text", {"a": 1}, 5])
def test_a_maps_items_are_an_array_or_an_expression(items: Json) -> None:
    problem = only({"Only": ACCEPTED["Map"] | {"Items": items}})
    assert problem.location == "/States/Only/Items"


def test_an_inline_map_tolerates_no_failures() -> None:
    found = problems(machine({"Only": ACCEPTED["Map"] | {"ToleratedFailureCount": 1}}))
    assert len(found) == 1


# Expressions


@pytest.mark.parametrize("assign", [{"states": 1}, ["x"], "{% {'x': 1} %}"])
def test_assign_is_an_object_that_leaves_states_alone(assign: Json) -> None:
    assert state(**END, Assign=assign).location == "/States/Only/Assign"


@pytest.mark.parametrize(
    ("fields", "location"),
    [
        ({"Output": "{% $states. %}"}, "/States/Only/Output"),
        ({"Output": {"deep": ["{% 1 + %}"]}}, "/States/Only/Output"),
        ({"Assign": {"x": "{% ( %}"}}, "/States/Only/Assign"),
    ],
)
def test_an_expression_that_is_not_jsonata_is_refused(fields: dict[str, Json], location: str) -> None:
    problem = state(**END, **fields)
    assert (problem.code, problem.location) == ("INVALID_QUERY_EXPRESSION", location)


def test_a_condition_that_is_not_jsonata_is_refused() -> None:
    choices = [{"Condition": "{% = %}", "Next": "B"}]
    found = problems(machine({"A": {"Type": "Choice", "Choices": choices}, "B": END}))
    assert [problem.location for problem in found] == ["/States/A/Choices[0]/Condition"]


def test_the_message_lists_every_problem_with_its_place() -> None:
    with pytest.raises(InvalidDefinition) as refused:
        parse(machine({"A": {"Type": "Pass", "Next": "Gone", "Colour": 1}}))
    assert str(refused.value) == (
        "Invalid State Machine Definition: "
        "'SCHEMA_VALIDATION_FAILED: The field 'Colour' is not supported here at /States/A/Colour', "
        "'MISSING_TRANSITION_TARGET: Missing 'Next' target: Gone at /States/A/Next'"
    )
