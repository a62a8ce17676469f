"""Holds a value against a JSON Schema and says in one sentence what is wrong with it.

The schema is compiled once, when a tool is registered; a check that passes then costs about a microsecond. The
sentence names the argument by its path and says what is expected; values the caller sent are not repeated in it.
Nothing is ever fetched: a `$ref` that leaves the schema is refused.

Above: `gateway.toolkit.declaration` for Python functions, the surfaces for tools that live elsewhere.
Source: JSON Schema 2020-12 (other drafts where `$schema` names them).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, NoReturn

from gateway.errors import RegistrationError
from gateway.toolkit.content import ToolResult

if TYPE_CHECKING:
    from jsonschema_rs import ValidationError, Validator

_MOST_PROBLEMS = 5  # more would tell the model no more
_LONGEST = 120  # characters of a name or an expectation

_TYPES = {
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "boolean": "a boolean",
    "array": "an array",
    "object": "an object",
    "null": "null",
}
_JSON_TYPES: list[tuple[type, str]] = [
    (bool, "boolean"),
    (int, "integer"),
    (float, "number"),
    (str, "string"),
    (list, "array"),
    (dict, "object"),
    (type(None), "null"),
]
_EXPECTED = {
    "const": "has to be {}",
    "contains": "lacks an item that is asked for",
    "enum": "has to be one of {}",
    "exclusiveMaximum": "has to be less than {}",
    "exclusiveMinimum": "has to be more than {}",
    "falseSchema": "is not allowed",
    "format": "has to be a valid {}",
    "maxItems": "has to have at most {} items",
    "maxLength": "has to be at most {} characters long",
    "maxProperties": "has to have at most {} entries",
    "maximum": "has to be at most {}",
    "minItems": "has to have at least {} items",
    "minLength": "has to be at least {} characters long",
    "minProperties": "has to have at least {} entries",
    "minimum": "has to be at least {}",
    "multipleOf": "has to be a multiple of {}",
    "oneOf": "fits more than one of the forms that exclude each other",
    "pattern": "has to match the pattern {}",
    "propertyNames": "has an entry whose name is not allowed",
    "uniqueItems": "must not have an item twice",
}


def argument_check(schema: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], str | None]:
    """A function that gives None for arguments that fit, or the sentence. RegistrationError for a broken schema."""
    validator = _compile(schema)
    known = ", ".join(schema.get("properties", ()))

    def check(arguments: Mapping[str, Any]) -> str | None:
        try:
            if validator.is_valid(arguments):
                return None
            problems = _sentences(validator.iter_errors(arguments), "arguments", known)
        except ValueError:  # what JSON cannot hold: a key that is no string, an object that is no JSON value
            return "The arguments are not plain JSON. Send an object of strings, numbers, booleans, arrays and objects."
        return f"Invalid arguments: {problems}."

    return check


def result_check(schema: Mapping[str, Any]) -> Callable[[ToolResult], str | None]:
    """The same for a tool's finished result, whose JSON value has to fit. A result that reports an error is exempt."""
    validator = _compile(schema)

    def check(result: ToolResult) -> str | None:
        if result.is_error:
            return None
        if not result.has_structured:
            return "The tool promises a result of a certain shape (output_schema) and returned content instead."
        if validator.is_valid(result.structured):
            return None
        problems = _sentences(validator.iter_errors(result.structured), "the result", "")
        return f"The tool's result is not what its output_schema promises: {problems}."

    return check


def _compile(schema: Mapping[str, Any]) -> Validator:
    from jsonschema_rs import ReferencingError, ValidationError, validator_for

    try:
        # Without any `properties`, an error would not say which property was one too many.
        return validator_for({"properties": {}, **schema}, retriever=_refuse)
    except ValidationError as error:
        where = _path(error.instance_path, "its root")
        raise RegistrationError(f"the schema is not valid JSON Schema, at {where}: {error.message}") from None
    except (ReferencingError, ValueError) as error:
        raise RegistrationError(f"the schema is not valid JSON Schema: {error}") from None


def _refuse(_uri: str) -> NoReturn:
    raise ValueError("schemas are not fetched; write it under $defs")


def _sentences(errors: Iterable[ValidationError], root: str, known: str) -> str:
    found = list(islice(errors, _MOST_PROBLEMS + 1))
    said = list(dict.fromkeys(_sentence(error, root, known) for error in found[:_MOST_PROBLEMS]))
    return "; ".join(said) + ("; and more" if len(found) > _MOST_PROBLEMS else "")


def _sentence(error: ValidationError, root: str, known: str) -> str:
    keyword, details, at = error.kind.name, error.kind.as_dict(), error.instance_path
    if keyword == "required":
        return f"{_path([*at, details['property']], root)} is missing"
    if "unexpected" in details:
        names = ", ".join(_path([*at, name], root) for name in details["unexpected"][:_MOST_PROBLEMS])
        return f"there is no {names}" + (f" (there is {_short(known)})" if known and not at else "")
    if keyword == "type":
        return _of_types(error, details["types"], root)
    if any(details.get("context", ())):
        return _of_branches(error, [branch for branch in details["context"] if branch], root)
    expected = next(iter(details.values()), "")
    if keyword == "enum":
        expected = ", ".join(json.dumps(option, ensure_ascii=False) for option in expected)
    return f"{_path(at, root)} {_EXPECTED.get(keyword, f'does not keep to {keyword}').format(_short(str(expected)))}"


def _of_branches(error: ValidationError, branches: list[list[ValidationError]], root: str) -> str:
    """For a choice of schemas: what is wrong inside the one whose type is right, else all the types there are."""
    types: list[str] = []
    for first, *_ in branches:
        if first.kind.name != "type" or first.instance_path != error.instance_path:
            return _sentence(first, root, "")
        types += first.kind.as_dict()["types"]
    return _of_types(error, types, root)


def _of_types(error: ValidationError, types: list[str], root: str) -> str:
    expected = " or ".join(_TYPES[name] for name in types)
    found = next(_TYPES[name] for kind, name in _JSON_TYPES if isinstance(error.instance, kind))
    return f"{_path(error.instance_path, root)} has to be {expected}, not {found}"


def _path(path: Iterable[str | int], root: str) -> str:
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in path]
    return _short("".join(parts).removeprefix(".") or root)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
