"""JSONata in definitions: what Step Functions adds to it, how it fails, and the fast way for plain paths."""

import hashlib
import json
import uuid
from typing import Any

import jlens
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local.states.expressions import EvaluationFailed, Expression, Scope, compile_template, is_expression, picker
from tests.local.states.fake_aws import evaluate

Json = Any


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("{% 1 %}", True),
        ("{%1%}", True),
        (" {% 1 %}", False),
        ("{% 1 %} ", False),
        ("{ % 1 % }", False),
        ("a {% 1 %}", False),
        (1, False),
        (None, False),
    ],
)
def test_only_a_string_wrapped_to_the_letter_is_an_expression(text: Json, is_one: bool) -> None:
    assert is_expression(text) is is_one


def test_a_template_without_expressions_is_passed_on_as_it_is() -> None:
    template = {"a": [1, {"b": None}]}
    assert compile_template(template, "Output")(Scope({}, {})) is template


@pytest.mark.parametrize(
    ("expression", "value", "found"),
    [
        ("$states.input.a.b", {"a": {"b": [1, {"c": None}]}}, [1, {"c": None}]),
        ("$sum($states.input.n)", {"n": [1, 2, 3.5]}, 6.5),
        ("$states.input.rows[x > 1].y", {"rows": [{"x": 1, "y": "a"}, {"x": 2, "y": "b"}]}, "b"),
        ("[$states.input.rows[x > 1].y]", {"rows": [{"x": 1, "y": "a"}, {"x": 2, "y": "b"}]}, ["b"]),
        ("$map($states.input, function($v) { $v * 2 })", [1, 2], [2, 4]),
        ("$merge([$states.input, {'b': 2}])", {"a": 1}, {"a": 1, "b": 2}),
        ("$states.input.x = null", {"x": None}, True),
        ("$exists($states.input.x)", {}, False),
        ("null", {}, None),
        ("$states.input.name & '!'", {"name": "ünï"}, "ünï!"),
        ("$states.input", {"big": 2**53 + 1}, {"big": 2**53 + 1}),
        ("$states.input", "text", "text"),
        ("$states.input", [], []),
    ],
)
def test_jsonata_over_the_input(expression: str, value: Json, found: Json) -> None:
    assert evaluate(expression, value) == found


# What AWS adds


@pytest.mark.parametrize(
    ("text", "found"), [('{"a": [1, 2.5]}', {"a": [1, 2.5]}), ("3", 3), ('"x"', "x"), ('{"a": null}', {"a": None})]
)
def test_parse_reads_json(text: str, found: Json) -> None:
    assert evaluate("$parse($states.input)", text) == found


@pytest.mark.parametrize("text", ["{", "", "NaN", "undefined", 5])
def test_parse_of_what_is_no_json_fails(text: Json) -> None:
    assert "$parse could not read its argument as JSON" in evaluate("$parse($states.input)", text)


def test_what_was_parsed_can_be_used_at_once() -> None:
    body = json.dumps({"predictions": [{"label": "benign"}, {"label": "malignant"}]})
    assert evaluate("$parse($states.input.Body).predictions.label", {"Body": body}) == ["benign", "malignant"]


def test_partition_cuts_an_array_into_chunks() -> None:
    assert evaluate("$partition([1,2,3,4,5], 2)") == [[1, 2], [3, 4], [5]]
    assert evaluate("$partition([], 2)") == []


@pytest.mark.parametrize("arguments", ["[1], 0", "[1], -1", "[1], 'x'", "{'a': 1}, 1"])
def test_partition_takes_an_array_and_a_size(arguments: str) -> None:
    assert "States.QueryEvaluationError" in evaluate(f"$partition({arguments})")


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ("1, 9, 2", [1, 3, 5, 7, 9]),
        ("0, 4, 3", [0, 3]),
        ("5, 1, -2", [5, 3, 1]),
        ("1, 0, 1", []),
        ("1, 9, 9", 1),
    ],
)
def test_range_counts_from_first_to_last(arguments: str, found: Json) -> None:
    assert evaluate(f"$range({arguments})") == found


def test_range_gives_at_most_a_thousand_elements() -> None:
    assert len(evaluate("$range(1, 1000, 1)")) == 1000
    assert "at most 1,000 elements" in evaluate("$range(1, 1001, 1)")


@pytest.mark.parametrize("arguments", ["1, 2, 0", "'a', 2, 1"])
def test_range_takes_numbers_and_a_step(arguments: str) -> None:
    assert "States.QueryEvaluationError" in evaluate(f"$range({arguments})")


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-1", "SHA-256", "SHA-384", "SHA-512"])
def test_hash_is_the_hexadecimal_digest_of_the_text(algorithm: str) -> None:
    expected = hashlib.new(algorithm.replace("SHA-", "sha").lower(), "ä".encode()).hexdigest()
    assert evaluate(f"$hash('ä', '{algorithm}')") == expected


@pytest.mark.parametrize("arguments", ["'a', 'CRC32'", "5, 'MD5'"])
def test_hash_takes_text_and_a_known_algorithm(arguments: str) -> None:
    assert "$hash takes text and one of MD5" in evaluate(f"$hash({arguments})")


def test_random_is_a_fraction_and_the_same_for_the_same_seed() -> None:
    assert 0 <= evaluate("$random()") < 1
    assert evaluate("$random(7)") == evaluate("$random(7)") != evaluate("$random(8)")


def test_uuid_is_a_version_4_uuid() -> None:
    assert uuid.UUID(evaluate("$uuid()")).version == 4
    assert evaluate("$uuid() = $uuid()") is False


def test_eval_is_not_there_as_in_aws() -> None:
    assert "does not support $eval" in evaluate("$eval('1+1')")


@pytest.mark.parametrize(
    "call", ["$parse()", "$hash('a')", "$hash('a', ['MD5'])", "$uuid(1)", "$random([1])", "$range(0, 1e308, 1e-300)"]
)
def test_a_function_called_wrongly_fails_its_state_and_not_the_engine(call: str) -> None:
    assert "does not take these arguments" in evaluate(call)


def test_the_functions_can_be_passed_on() -> None:
    assert evaluate("$map(['1', '[2]'], $parse)") == [1, [2]]


# Failures


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("$states.input.gone", "returned nothing (undefined)."),
        ("[1][5]", "returned nothing (undefined)."),
        ("1 + 'a'", "threw an error during evaluation. T2002"),
        ("$error('own words')", "own words"),
        ("$sum(['a'])", "threw an error during evaluation."),
        ("1/0", "evaluation"),
    ],
)
def test_a_failed_evaluation_says_which_expression_in_which_field_and_why(expression: str, said: str) -> None:
    failure = evaluate(expression)
    assert failure.startswith("States.QueryEvaluationError: An error occurred while executing the state 'Only'")
    assert f"The JSONata expression '{expression}' specified for the field 'Output'" in failure
    assert said in failure


def test_a_failure_deep_in_a_template_names_its_place() -> None:
    render = compile_template({"a": [1, {"b": "{% $gone %}"}]}, "Output")
    with pytest.raises(EvaluationFailed) as failed:
        render(Scope({}, {}))
    assert failed.value.location == "Output/a[1]/b"


@pytest.mark.parametrize(
    ("expression", "value", "wanted", "text"),
    [
        ("$states.input", "x", "number", '"x"'),
        ("$states.input", None, "array", "null"),
        ("$states.input", {"a": [1]}, "boolean", '{"a":[1]}'),
        ("$states.input", True, "number", "true"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_with_aws_words(
    expression: str, value: Json, wanted: str, text: str
) -> None:
    with pytest.raises(EvaluationFailed, match="returned an unexpected result type") as failed:
        Expression(expression, "Field").evaluate_as(Scope({"input": value}, {}), wanted)
    assert failed.value.reason.endswith(f"for value: {text}")


# The fast way for plain paths gives what the library gives

_NAMES = st.sampled_from(["a", "b", "input", "and", "in", "null", "_x", "A1"])
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


def outcome(expression: Expression, scope: Scope) -> Json:
    """The value, or why there is none. The library writes 1.0 as 1, which is the same JSON number."""
    try:
        return [expression.evaluate(scope)]
    except EvaluationFailed as failed:
        return failed.reason


@settings(max_examples=200, deadline=None, derandomize=True)
@given(root=st.sampled_from(["states", "x", "missing"]), steps=st.lists(_NAMES, max_size=3), value=_VALUES)
def test_a_plain_path_selects_what_the_library_would(root: str, steps: list[str], value: Json) -> None:
    try:
        fast = Expression(".".join([f"${root}", *steps]), "Output")
    except ValueError:
        return  # a path through a keyword is not JSONata
    slow = Expression(fast.source, "Output")
    slow._path = None  # only the library answers
    scope = Scope({"input": value, "a": value}, {"x": value})
    assert outcome(fast, scope) == outcome(slow, scope)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("$states.input.a.b", {"a": [{"b": 1}, {"b": 2}]}),
        ("$states.input.a.b", {"a": [{"b": 1}]}),
        ("$states.input.a", {"a": []}),
        ("$states.input.a", {"a": [[1]]}),
        ("$states.input.a", {"a": None}),
        ("$states.input.a.b", {"a": None}),
        ("$states.input.a", {"a": {}}),
        ("$states.input.a", {"a": 1.0}),
        ("$states.input.a", {"a": 2**60}),
        ("$states.input.length", "text"),
    ],
)
def test_a_path_over_arrays_nulls_and_numbers_gives_what_the_library_gives(path: str, value: Json) -> None:
    fast, slow = Expression(path, "Output"), Expression(path, "Output")
    slow._path = None
    scope = Scope({"input": value}, {})
    assert outcome(fast, scope) == outcome(slow, scope)


def test_the_library_refuses_what_the_parser_reports() -> None:
    with pytest.raises(jlens.JlensError):
        jlens.Expression("$states.")


@pytest.mark.parametrize(
    "source",
    [
        "$count($states.input.items) > 1",
        "$states.input.items[0]",
        "$states.input.items[[0..1]]",
        "$states.input.items.name",
        "[$states.input.items.name]",
        "$merge([$states.input, {'more': $states.context.Name}])",
        "$map($states.input.items, function($item) { $item.name & $states.context.Name })",
        "$states.input.items[name = $states.context.Name]",
        "'$states.input is text' & $states.context.Name",
        "$statesman",
        "($count($states.input.items)) / 2",
        "$states.input.items[$contains($.name, 'a')]",
        "$states",
        "$states.input.nothing",
        "$exists($states.input.nothing)",
    ],
)
def test_states_read_from_the_input_are_what_a_variable_would_give(source: str) -> None:
    states = {"input": {"items": [{"name": "ada"}, {"name": "grace"}]}, "context": {"Name": "ada"}}
    expected = jlens.Expression(source).evaluate(None, {"states": states, "statesman": 1})
    scope = Scope(states, {"statesman": 1})
    if expected is None:
        with pytest.raises(EvaluationFailed):
            Expression(source, "Output").evaluate(scope)
    else:
        assert Expression(source, "Output").evaluate(scope) == expected


INDEX, VALUE = "{% $states.context.Map.Item.Index %}", "{% $states.context.Map.Item.Value %}"
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=3),
)


@given(st.integers(0, 9), VALUES, st.sampled_from([{"index": INDEX, "record": VALUE}, {"a": VALUE, "b": VALUE}]))
def test_what_is_picked_of_an_item_is_what_its_template_renders(index: int, value: Json, template: Json) -> None:
    render = compile_template(template, "ItemSelector")
    pick = picker(render)
    assert pick is not None
    context = {"Map": {"Item": {"Index": index, "Value": value}}}
    assert pick(index, value) == render(Scope({"input": {}, "context": context}, {}))


@pytest.mark.parametrize(
    "template",
    [VALUE, {"a": VALUE, "b": 1}, {"a": VALUE, "b": "{% $states.context.Map.Item.Value.Key %}"}, {"a": {"b": VALUE}}],
)
def test_nothing_else_is_picked_of_an_item(template: Json) -> None:
    assert picker(compile_template(template, "ItemSelector")) is None
