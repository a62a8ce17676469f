"""What callers see of a function: its parameters as a JSON Schema, and arguments back as Python values.

Typed parameters are described and converted by pydantic, so that a tool gets the dates, enums and models its hints
name. Untyped ones, such as the names an ATP toolkit lists in `params`, pass through as they came. Descriptions come
from `Annotated[..., Field(description=…)]`, else from the docstring.

Below: `gateway.toolkit.signature`. Not here: the rules every schema keeps (`schema_rules`), the check (`check`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Optional

from gateway.errors import InvalidArgumentsError, RegistrationError
from gateway.toolkit.signature import ABSENT, Parameter, Signature, Unresolved

if TYPE_CHECKING:
    from pydantic import BaseModel

Convert = Callable[[Mapping[str, Any]], dict[str, Any]]
"""From arguments that fit the schema to the values the function takes. InvalidArgumentsError when a validator of the
author's own says no."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A function's arguments as callers see them, and as the function takes them."""

    schema: dict[str, Any]
    convert: Convert


def names_schema(names: Iterable[str], required: Iterable[str]) -> dict[str, Any]:
    """The schema for parameters of which only the names are known. Closed: nothing else may be sent."""
    return _closed({name: {} for name in names}, [*required])


def derive(signature: Signature, docs: Mapping[str, str]) -> Shape:
    """The shape of a function that says everything itself. Open only where it takes `**kwargs`."""
    for parameter in signature.parameters.values():
        if isinstance(parameter.hint, Unresolved):
            raise RegistrationError(
                f"the type of its parameter {parameter.name}, {parameter.hint.text}, does not exist when the program "
                "runs. Import it outside `if TYPE_CHECKING:` and at the top of the file."
            )
    shape = _shape(list(signature.parameters.values()), docs)
    if signature.takes_more:
        shape.schema["additionalProperties"] = True
    return shape


def derive_named(signature: Signature, names: Sequence[str], required: Sequence[str], docs: Mapping[str, str]) -> Shape:
    """The shape of a function whose author listed its parameters' names. Closed.

    Hints are used where there are some. What the function cannot be called without is required, listed or not.
    """
    wanted = dict.fromkeys([*names, *required])
    wanted |= dict.fromkeys(name for name, own in signature.parameters.items() if own.required)
    chosen = []
    for name in wanted:
        own = signature.parameters.get(name, Parameter(name))
        must = own.required or name in required
        hint = ABSENT if isinstance(own.hint, Unresolved) else own.hint
        chosen.append(Parameter(name, hint, ABSENT if must else own.default, must))
    return _shape(chosen, docs)


def as_sent(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The conversion of a function without types: none."""
    return dict(arguments)


def _shape(parameters: list[Parameter], docs: Mapping[str, str]) -> Shape:
    if any(parameter.hint is not ABSENT for parameter in parameters):
        shape = _typed(parameters)
    else:
        properties = {parameter.name: _untyped(parameter) for parameter in parameters}
        shape = Shape(_closed(properties, [each.name for each in parameters if each.required]), as_sent)
    for name, described in shape.schema.get("properties", {}).items():
        if name in docs:
            described.setdefault("description", docs[name])
    return shape


def _closed(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object"}
    if properties:
        schema["properties"] = properties
    if required:
        schema["required"] = required
    return schema | {"additionalProperties": False}


def _untyped(parameter: Parameter) -> dict[str, Any]:
    if parameter.default is ABSENT:
        return {}
    try:
        return {"default": json.loads(json.dumps(parameter.default, allow_nan=False))}
    except (TypeError, ValueError):  # a default that JSON cannot show stays the function's own affair
        return {}


def _typed(parameters: list[Parameter]) -> Shape:
    from pydantic import PydanticUserError

    try:
        model, always = _model(parameters)
        described = model.model_json_schema(schema_generator=_generator())
    except PydanticUserError as error:
        reason = error.message.splitlines()[0]
        raise RegistrationError(f"its parameters cannot be described as JSON: {reason}") from None
    schema = _closed(described.get("properties", {}), described.get("required", []))
    if "$defs" in described:
        schema["$defs"] = described["$defs"]
    return Shape(schema, _conversion(model, always))


def _model(parameters: list[Parameter]) -> tuple[type[BaseModel], frozenset[str]]:
    """A pydantic model with a field for each parameter, and the fields whose default only pydantic knows.

    Fields are numbered, and carry the parameter's name as an alias: `schema`, `json` or `_id` would not do as fields.
    """
    from pydantic import Field, create_model
    from pydantic.fields import FieldInfo

    fields: dict[str, Any] = {}
    always = set()
    for number, parameter in enumerate(parameters):
        hint, default = parameter.hint, parameter.default
        if isinstance(default, FieldInfo):  # def f(limit: int = Field(10, description="…"))
            hint, field = Annotated[hint, default], Field(alias=parameter.name)
            if not default.is_required():
                always.add(f"p{number}")
        elif parameter.required:
            field = Field(alias=parameter.name)
        elif default is ABSENT:
            field = Field(alias=parameter.name, default_factory=lambda: None)
        else:
            field = Field(default, alias=parameter.name)
        if default is None and hint not in (ABSENT, Any):
            hint = Optional[hint]  # noqa: UP045 - not every hint knows `| None`
        fields[f"p{number}"] = (Any if hint is ABSENT else hint, field)
    return create_model("Arguments", **fields), frozenset(always)


def _conversion(model: type[BaseModel], always: frozenset[str]) -> Convert:
    from pydantic import ValidationError

    names = {field: info.alias or field for field, info in model.model_fields.items()}
    known = frozenset(names.values())

    def convert(arguments: Mapping[str, Any]) -> dict[str, Any]:
        try:
            values = model.model_validate(dict(arguments))
        except ValidationError as error:
            raise InvalidArgumentsError(_refusal(error)) from None
        given = values.model_fields_set | always
        converted = {names[field]: getattr(values, field) for field in given}
        return converted | {name: value for name, value in arguments.items() if name not in known}

    return convert


def _refusal(error: Any) -> str:
    found = error.errors(include_url=False, include_input=False, include_context=False)
    said = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in found[:5]]
    return f"Invalid arguments: {'; '.join(said)}."


def _generator() -> Any:
    from pydantic.json_schema import GenerateJsonSchema

    class Generator(GenerateJsonSchema):
        """Without a title for each property, which would only repeat its name."""

        ignored_warning_kinds = {"non-serializable-default", "skipped-choice"}  # noqa: RUF012 - pydantic's own attribute

        def field_title_should_be_set(self, schema: Any) -> bool:
            return False

    return Generator
