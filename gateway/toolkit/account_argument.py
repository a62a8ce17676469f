"""The argument by which a caller says which of a person's accounts a tool is to use.

It is no parameter of the tool: surfaces show it to people who have several accounts, and the executor takes it out
again before the tool's own check. It is called `account`, or `<provider>_account` where the tool has an `account` of
its own or takes arguments that nobody listed.

Above: the executor, the surfaces.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from gateway.errors import InvalidArgumentsError
from gateway.toolkit.tool import Tool
from gateway.types import Call, CredentialKind

_PERSONAL = (CredentialKind.OAUTH2, CredentialKind.API_KEY, CredentialKind.BASIC)


def account_argument(tool: Tool) -> str | None:
    """What the argument is called; None for a tool that uses nobody's account, or has both names taken."""
    if tool.requirement is None or tool.requirement.kind not in _PERSONAL:
        return None
    taken = tool.input_schema.get("properties", {})
    open_ended = tool.input_schema.get("additionalProperties") is not False
    candidates = [f"{tool.requirement.provider}_account"]
    if not open_ended:
        candidates.insert(0, "account")
    return next((name for name in candidates if name not in taken), None)


def with_account(tool: Tool, schema: Mapping[str, Any], accounts: Sequence[str]) -> Mapping[str, Any]:
    """The tool's input schema with the choice among these accounts, the default first."""
    name = account_argument(tool)
    if name is None or tool.requirement is None:
        return schema
    described = {
        "type": "string",
        "enum": list(accounts),
        "description": (
            f"Which of the person's {tool.requirement.provider} accounts to use. Leave it out for {accounts[0]}, their "
            "default, unless they say otherwise."
        ),
    }
    properties = {**schema.get("properties", {}), name: described}
    return {**schema, "properties": properties}


def account_taken_out(call: Call, tool: Tool) -> Call | InvalidArgumentsError:
    """The call with its account named apart from the tool's own arguments, or what is wrong with that name.

    An account that the call names already, because its surface chose it, stays.
    """
    name = account_argument(tool)
    if name is None or name not in call.arguments:
        return call
    account = call.arguments[name]
    if not isinstance(account, str) or not account:
        return InvalidArgumentsError(
            f"{name} is the name of one of the person's accounts. Leave it out for the default."
        )
    arguments = {key: value for key, value in call.arguments.items() if key != name}
    return replace(call, arguments=arguments, account=call.account or account)
