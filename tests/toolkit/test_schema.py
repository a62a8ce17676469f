"""Signature, hints and docstring as JSON Schema, and arguments back as Python values."""

from __future__ import annotations

import datetime as dt
import enum
import functools
from typing import Annotated, Any, Literal, Optional

import pytest
from pydantic import AfterValidator, BaseModel, Field

from gateway import Context, Credential, ToolKitClient
from gateway.errors import InvalidArgumentsError, RegistrationError
from gateway.toolkit.schema import names_schema


class Stage(enum.Enum):
    LEAD = "lead"
    CUSTOMER = "customer"


class Address(BaseModel):
    street: str
    zip: str | None = None


@pytest.fixture
def client(shelf):
    return ToolKitClient(app_name="crm")


@pytest.fixture
def schema(client, registry):
    """The schema of a function, as callers see it."""

    def schema(function, **options):
        client.tool(function_name="t", **options)(function)
        found = registry.find("t").input_schema
        registry.drop("t")
        return found

    return schema


def test_a_function_without_parameters_takes_nothing(schema):
    assert schema(lambda: None) == {"type": "object", "additionalProperties": False}


def test_hints_become_types(schema):
    def tool(  # noqa: PLR0917 - one parameter for each kind
        text: str,
        count: int,
        ratio: float,
        flag: bool,
        tags: list[str],
        extra: dict[str, int],
        level: Literal["low", "high"],
        stage: Stage,
        maybe: int | None,
        anything,
        untyped: Any = None,
    ):
        pass

    found = schema(tool)

    properties = found["properties"]
    assert properties["text"] == {"type": "string"}
    assert properties["count"] == {"type": "integer"}
    assert properties["ratio"] == {"type": "number"}
    assert properties["flag"] == {"type": "boolean"}
    assert properties["tags"] == {"type": "array", "items": {"type": "string"}}
    assert properties["extra"] == {"type": "object", "additionalProperties": {"type": "integer"}}
    assert properties["level"] == {"type": "string", "enum": ["low", "high"]}
    assert properties["stage"] == {"$ref": "#/$defs/Stage"}
    assert found["$defs"]["Stage"]["enum"] == ["lead", "customer"]
    assert properties["maybe"] == {"anyOf": [{"type": "integer"}, {"type": "null"}]}
    assert properties["anything"] == {}
    assert found["required"] == [
        *("text", "count", "ratio", "flag", "tags", "extra", "level", "stage", "maybe", "anything")
    ]
    assert found["additionalProperties"] is False


def test_a_default_is_shown_and_none_may_be_sent_where_it_is_the_default(schema):
    def tool(limit: int = 10, after: str = None, stage: Stage = Stage.LEAD):  # noqa: RUF013 - as people write it
        pass

    found = schema(tool)

    assert found["properties"]["limit"] == {"type": "integer", "default": 10}
    assert found["properties"]["after"] == {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None}
    assert found["properties"]["stage"]["default"] == "lead"
    assert "required" not in found


def test_a_default_that_json_cannot_show_is_left_out(schema):
    def typed(at: dt.date = dt.date(2026, 1, 2), what: Any = object()):  # noqa: B008 - a default that JSON cannot show
        pass

    assert schema(typed)["properties"]["what"] == {}
    assert schema(lambda what=object(), n=3: what)["properties"] == {"what": {}, "n": {"default": 3}}  # noqa: B008 - a default that JSON cannot show


@pytest.mark.parametrize("hint", [Annotated[int, Field(description="How many", ge=1)], int])
def test_field_describes_a_parameter_as_annotation_or_as_default(client, registry, hint):
    if hint is int:

        def tool(limit: hint = Field(10, description="How many", ge=1)):  # noqa: B008 - as people write it
            return limit
    else:

        def tool(limit: hint = 10):
            return limit

    tool.__annotations__["limit"] = hint
    client.tool(tool)

    assert registry.find("tool").input_schema["properties"]["limit"] == {
        "type": "integer",
        "description": "How many",
        "minimum": 1,
        "default": 10,
    }


async def test_a_default_inside_field_reaches_the_function(client, run):
    @client.tool
    def tool(limit: int = Field(10, ge=1)):
        return limit

    assert await run("tool") == 10
    assert await run("tool", limit=3) == 3


@pytest.mark.parametrize(
    "docstring",
    [
        "Finds.\n\nArgs:\n    name: Whose it is.",
        "Finds.\n\nParameters\n----------\nname : str\n    Whose it is.",
        "Finds.\n\n:param name: Whose it is.",
    ],
)
def test_docstrings_of_three_styles_describe_parameters(client, registry, docstring):
    def find(name: str):
        return name

    find.__doc__ = docstring
    client.tool(find)

    assert registry.find("find").description == "Finds."
    assert registry.find("find").input_schema["properties"]["name"]["description"] == "Whose it is."


def test_an_annotation_s_description_wins_over_the_docstring_s(schema):
    def tool(name: Annotated[str, Field(description="annotated")]):
        """Finds.

        Args:
            name: documented
        """

    assert schema(tool)["properties"]["name"]["description"] == "annotated"


def test_awkward_parameter_names_do(schema):
    def tool(schema: str, json: int, _id: str, model_config: bool, copy: list[int]):
        pass

    assert list(schema(tool)["properties"]) == ["schema", "json", "_id", "model_config", "copy"]


def test_kwargs_beside_parameters_leave_the_schema_open(schema):
    def tool(name: str, **more):
        pass

    assert schema(tool)["additionalProperties"] is True
    assert schema(lambda **kwargs: kwargs) == {"type": "object", "additionalProperties": True}


def test_listed_params_of_a_kwargs_function_are_untyped_and_closed(schema):
    def tool(**kwargs):
        """Finds.

        Args:
            name: Whose it is.
        """

    assert schema(tool, params=["name", "limit"], required_params=["name"]) == {
        "type": "object",
        "properties": {"name": {"description": "Whose it is."}, "limit": {}},
        "required": ["name"],
        "additionalProperties": False,
    }


def test_listed_params_take_their_types_from_the_hints(schema):
    def tool(name: str, limit: int = 5, hidden: bool = False):
        pass

    assert schema(tool, params=["name", "limit"], required_params=["limit"]) == {
        "type": "object",
        "properties": {"name": {"type": "string"}, "limit": {"type": "integer"}},
        "required": ["name", "limit"],
        "additionalProperties": False,
    }


def test_what_a_function_cannot_be_called_without_is_required_listed_or_not(schema):
    assert schema(lambda name, auth_token: None, params=[], required_params=[])["required"] == ["name"]


def test_required_params_are_params_too(schema):
    assert schema(lambda **kwargs: None, params=[], required_params=["name"])["properties"] == {"name": {}}


def test_without_params_required_params_says_which_of_the_function_s_are_required(schema):
    found = schema(lambda name="", limit=1: None, required_params=["name"])

    assert list(found["properties"]) == ["name", "limit"]
    assert found["required"] == ["name"]


def test_injected_parameters_are_found_in_every_spelling(schema):
    def tool(  # noqa: PLR0917 - one parameter for each kind
        plain: Context,
        optional: Context | None,
        older: Optional[Credential],  # noqa: UP045 - as people write it
        annotated: Annotated[Credential, "mine"],
        quoted: "Context",  # noqa: UP037 - the quotes are what is tested
        auth_token,
        name: str = "",
    ):
        pass

    assert list(schema(tool, auth_provider="hubspot")["properties"]) == ["name"]


def test_a_type_that_exists_only_for_the_type_checker_is_named(schema):
    def tool(name: "Missing"):  # noqa: F821, UP037 - that is the point
        pass

    with pytest.raises(
        RegistrationError, match=r"the type of its parameter name, .*Missing.*outside `if TYPE_CHECKING"
    ):
        schema(tool)
    assert schema(tool, params=["name"])["properties"] == {"name": {}}


def test_a_type_that_json_cannot_describe_is_named(schema):
    class Thing:
        pass

    def tool(thing):
        pass

    tool.__annotations__["thing"] = Thing
    with pytest.raises(RegistrationError, match=r"cannot be described as JSON: .*Thing"):
        schema(tool)


def test_decorated_and_partial_functions_keep_their_signature(schema):
    def wrapped(name: str, limit: int = 3):
        pass

    @functools.wraps(wrapped)
    def wrapper(*args, **kwargs):
        return wrapped(*args, **kwargs)

    assert list(schema(wrapper)["properties"]) == ["name", "limit"]
    assert list(schema(functools.partial(wrapped, limit=1))["properties"]) == ["name", "limit"]


def test_a_partial_is_described_by_its_function(client, registry):
    def find(name: str, limit: int):
        """Finds."""

    client.tool(function_name="find_one")(functools.partial(find, limit=1))

    assert registry.find("find_one").description == "Finds."


def test_an_x_mcp_header_is_kept(schema):
    def tool(region: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})]):
        pass

    assert schema(tool)["properties"]["region"]["x-mcp-header"] == "Region"


async def test_arguments_arrive_as_the_hinted_types(client, run):
    seen = {}

    @client.tool
    def tool(stage: Stage, when: dt.date, where: Address, many: list[Address], count: int, tags: set[str]):  # noqa: PLR0917 - one parameter for each kind
        seen.update(locals())

    await run(
        "tool",
        stage="customer",
        when="2026-03-04",
        where={"street": "Long Lane"},
        many=[{"street": "a"}],
        count=2.0,
        tags=["x"],
    )

    assert seen["stage"] is Stage.CUSTOMER
    assert seen["when"] == dt.date(2026, 3, 4)
    assert seen["where"] == Address(street="Long Lane")
    assert seen["many"] == [Address(street="a")]
    assert type(seen["count"]) is int
    assert seen["tags"] == {"x"}


async def test_what_was_not_sent_is_left_to_the_function(client, run):
    @client.register_tool("tool", ["a", "b"], [], "d", None, None, None)
    def tool(a: int = 1, **kwargs):
        return a, kwargs

    assert await run("tool") == (1, {})
    assert await run("tool", b=None) == (1, {"b": None})


async def test_a_validator_of_the_author_s_own_says_no_without_the_value(client, run):
    def even(number: int) -> int:
        if number % 2:
            raise ValueError("has to be even")
        return number

    def tool(number):
        return number

    tool.__annotations__["number"] = Annotated[int, AfterValidator(even)]
    client.tool(tool)

    with pytest.raises(InvalidArgumentsError, match=r"^Invalid arguments: number: Value error, has to be even.$"):
        await run("tool", number=77_777)


async def test_an_open_schema_of_the_author_s_own_does_not_crash_the_function(client, run):
    client.tool(function_name="t", input_schema={"type": "object", "properties": {"a": {}}})(lambda a=1: a)

    with pytest.raises(InvalidArgumentsError, match="there is no surprise"):
        await run("t", surprise=1)


def test_names_alone_make_a_schema():
    assert names_schema(["a"], ["a"]) == {
        "type": "object",
        "properties": {"a": {}},
        "required": ["a"],
        "additionalProperties": False,
    }
