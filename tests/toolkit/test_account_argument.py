"""The argument by which a caller chooses an account: when there is one, what it is called, and where it goes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gateway.errors import InvalidArgumentsError
from gateway.toolkit.account_argument import account_argument, account_taken_out, with_account
from gateway.toolkit.context import NullChannel
from gateway.toolkit.tool import Tool
from gateway.types import Call, Client, CredentialKind, Principal, Requirement

CLOSED: dict[str, Any] = {"type": "object", "properties": {"name": {}}, "additionalProperties": False}
OPEN: dict[str, Any] = {"type": "object", "properties": {"name": {}}}


async def run(arguments: Any, credential: Any, context: Any) -> None: ...


def tool(schema: dict[str, Any] = CLOSED, kind: CredentialKind = CredentialKind.OAUTH2) -> Tool:
    return Tool("find", "crm", "", schema, run, lambda _: None, Requirement("hubspot", kind))


def having(schema: dict[str, Any], *names: str) -> dict[str, Any]:
    return schema | {"properties": {name: {} for name in names}}


def call(**arguments: Any) -> Call:
    return Call(Principal("i", "anna"), Client(), "find", arguments, "1", NullChannel())


@pytest.mark.parametrize(
    ("made", "name"),
    [
        (tool(), "account"),
        (tool(having(CLOSED, "account")), "hubspot_account"),
        (tool(having(CLOSED, "account", "hubspot_account")), None),
        (tool(OPEN), "hubspot_account"),
        (tool(having(OPEN, "hubspot_account")), None),
        (tool(kind=CredentialKind.BASIC), "account"),
        (tool(kind=CredentialKind.CLIENT_CREDENTIALS), None),
        (tool(kind=CredentialKind.SERVICE_ACCOUNT), None),
        (replace(tool(), requirement=None), None),
    ],
)
def test_the_argument_has_a_name_that_the_tool_does_not_use(made: Tool, name: str | None) -> None:
    assert account_argument(made) == name


def test_the_schema_with_a_choice_lists_the_accounts_and_leaves_the_tools_own_alone() -> None:
    shown = with_account(tool(), CLOSED, ("anna", "work"))

    assert shown["properties"]["account"]["enum"] == ["anna", "work"]
    assert "anna" in shown["properties"]["account"]["description"]
    assert shown["properties"]["name"] == {}
    assert "required" not in shown
    assert CLOSED["properties"] == {"name": {}}


def test_the_account_is_taken_out_of_the_arguments_and_put_on_the_call() -> None:
    taken = account_taken_out(call(name="x", account="work"), tool())

    assert isinstance(taken, Call)
    assert (taken.arguments, taken.account) == ({"name": "x"}, "work")


def test_an_account_that_the_call_names_already_stays() -> None:
    taken = account_taken_out(replace(call(name="x", account="work"), account="anna"), tool())

    assert isinstance(taken, Call)
    assert (taken.arguments, taken.account) == ({"name": "x"}, "anna")


def test_an_argument_of_the_tools_own_that_is_called_account_is_left_to_the_tool() -> None:
    own = call(account="4711")

    assert account_taken_out(own, tool(having(CLOSED, "account"))) is own
    assert account_taken_out(own, tool(OPEN)) is own


@pytest.mark.parametrize("wrong", [None, "", 7, ["anna"]])
def test_an_account_that_is_no_name_is_an_error_that_says_so(wrong: object) -> None:
    refused = account_taken_out(call(account=wrong), tool())

    assert isinstance(refused, InvalidArgumentsError)
    assert "account is the name of one of the person's accounts" in refused.message
