"""The sentence a model gets for wrong arguments, and an author for a wrong result or schema."""

from __future__ import annotations

import pytest

from gateway.errors import RegistrationError
from gateway.toolkit.check import argument_check, result_check
from gateway.toolkit.content import Text, ToolResult


def closed(**properties):
    return {"type": "object", "properties": properties, "additionalProperties": False}


SCHEMA = closed(
    name={"type": "string", "minLength": 2, "maxLength": 5},
    limit={"type": "integer", "minimum": 1, "maximum": 100},
    color={"enum": ["red", "green", None]},
    maybe={"anyOf": [{"type": "integer"}, {"type": "null"}]},
    where={
        "anyOf": [{"type": "null"}, {"type": "object", "properties": {"zip": {"type": "string"}}, "required": ["zip"]}]
    },
    tags={"type": "array", "items": {"type": "string"}, "minItems": 1, "uniqueItems": True},
    code={"type": "string", "pattern": "^[a-z]+$"},
    fixed={"const": "yes"},
    never=False,
    step={"multipleOf": 5},
    one={"oneOf": [{"type": "string"}, {"const": "a"}]},
    people={"type": "array", "items": closed(age={"type": "integer"})},
)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"limit": "5"}, "limit has to be an integer, not a string"),
        ({"limit": True}, "limit has to be an integer, not a boolean"),
        ({"limit": None}, "limit has to be an integer, not null"),
        ({"limit": 0}, "limit has to be at least 1"),
        ({"limit": 101}, "limit has to be at most 100"),
        ({"name": "x"}, "name has to be at least 2 characters long"),
        ({"name": "xxxxxx"}, "name has to be at most 5 characters long"),
        ({"color": "blue"}, 'color has to be one of "red", "green", null'),
        ({"maybe": "x"}, "maybe has to be an integer or null, not a string"),
        ({"where": {}}, "where.zip is missing"),
        ({"where": {"zip": 1}}, "where.zip has to be a string, not an integer"),
        ({"where": 5}, "where has to be null or an object, not an integer"),
        ({"tags": ["a", 5]}, "tags[1] has to be a string, not an integer"),
        ({"tags": []}, "tags has to have at least 1 items"),
        ({"tags": ["a", "a"]}, "tags must not have an item twice"),
        ({"code": "A"}, "code has to match the pattern ^[a-z]+$"),
        ({"fixed": "no"}, "fixed has to be yes"),
        ({"never": 1}, "never is not allowed"),
        ({"step": 7}, "step has to be a multiple of 5"),
        ({"one": "a"}, "one fits more than one of the forms that exclude each other"),
        ({"people": [{"age": 1}, {"agee": 2}]}, "there is no people[1].agee"),
    ],
)
def test_the_sentence_names_the_argument_and_what_is_expected(arguments, sentence):
    assert argument_check(SCHEMA)(arguments) == f"Invalid arguments: {sentence}."


def test_arguments_that_fit_pass():
    assert argument_check(SCHEMA)({"name": "Ada", "limit": 5.0, "color": None, "where": {"zip": "1"}}) is None


def test_a_missing_and_an_unknown_argument_are_named_with_those_that_exist():
    check = argument_check(closed(name={}, limit={}) | {"required": ["name"]})

    assert check({"nam": "Ada"}) == "Invalid arguments: there is no nam (there is name, limit); name is missing."


def test_several_problems_are_named_and_many_are_not():
    sentence = argument_check(closed(**{f"n{i}": {"type": "integer"} for i in range(9)}))(
        {f"n{i}": "x" for i in range(9)}
    )

    assert sentence.count("has to be an integer") == 5
    assert sentence.endswith("; and more.")


@pytest.mark.parametrize("value", ["CNRY" * 10_000, ["CNRY"] * 10_000, {"CNRY": "CNRY"}])
def test_what_was_sent_is_never_repeated(value):
    for schema in (
        {"type": "integer"},
        {"enum": ["a"]},
        {"const": 1},
        {"pattern": "^$", "type": "string"},
        {"not": {}},
    ):
        assert "CNRY" not in argument_check(closed(a=schema))({"a": value})


def test_a_sentence_stays_short_however_long_the_names():
    assert len(argument_check(closed())({"x" * 100_000: 1})) < 500
    assert len(argument_check(closed(a={"enum": ["y" * 10_000]}))({"a": 1})) < 500


@pytest.mark.parametrize("arguments", [{1: 2}, {"a": object()}, {"a": b"x"}])
def test_what_is_no_json_is_a_sentence_too(arguments):
    check = argument_check(closed(a={"type": "string"}))

    assert check(arguments).startswith("The arguments are not plain JSON.")


def test_deep_and_odd_arguments_do_not_crash_the_check():
    deep = {}
    for _ in range(5000):
        deep = {"a": deep}

    argument_check(closed(a={"type": "object"}))(deep)
    argument_check(closed(a={"type": "string"}))({"a": "\ud800"})
    argument_check(closed(a={"type": "number"}))({"a": float("nan")})
    argument_check(closed(a={"type": "integer"}))({"a": 10**400})


@pytest.mark.parametrize(
    ("schema", "sentence"),
    [
        ({"type": "objekt"}, "not valid JSON Schema, at type"),
        ({"properties": {"a": {"pattern": "("}}}, r"at properties\.a\.pattern"),
        ({"$ref": "#/$defs/none"}, "not valid JSON Schema"),
        ({"$schema": "https://example.com/mine"}, "not valid JSON Schema"),
    ],
)
def test_a_broken_schema_is_refused(schema, sentence):
    with pytest.raises(RegistrationError, match=sentence):
        argument_check(schema)


@pytest.mark.parametrize("reference", ["https://127.0.0.1:1/schema.json", "file:///etc/passwd", "other.json"])
def test_nothing_is_ever_fetched(reference):
    with pytest.raises(RegistrationError, match=r"schemas are not fetched|No base URI"):
        argument_check({"properties": {"a": {"$ref": reference}}})


def test_an_older_draft_that_is_named_is_kept_to():
    draft7 = {"$schema": "http://json-schema.org/draft-07/schema#", "definitions": {"n": {"type": "integer"}}}
    check = argument_check(draft7 | {"type": "object", "properties": {"a": {"$ref": "#/definitions/n"}}})

    assert check({"a": 1}) is None
    assert check({"a": "x"}) == "Invalid arguments: a has to be an integer, not a string."


def test_a_result_is_held_against_its_schema():
    check = result_check(closed(total={"type": "integer"}) | {"required": ["total"]})

    assert check(ToolResult((), {"total": 3}, has_structured=True)) is None
    assert check(ToolResult((), {"total": "CNRY"}, has_structured=True)) == (
        "The tool's result is not what its output_schema promises: total has to be an integer, not a string."
    )
    assert check(ToolResult((), None, has_structured=True)) == (
        "The tool's result is not what its output_schema promises: the result has to be an object, not null."
    )
    assert "returned content instead" in check(ToolResult((Text("x"),)))


def test_a_result_that_reports_an_error_is_exempt():
    assert result_check(closed())(ToolResult((Text("no"),), is_error=True)) is None
