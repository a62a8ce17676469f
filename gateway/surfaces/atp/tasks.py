"""What an app asks while its model works: a toolkit's tools, and calls to them. A message in, its answer out.

How messages travel is not known here. A task that fails has an answer that says so; a context that cannot be given is a
RefusalError, because its answer has no place for one.

Whose account a call uses: the `external_user_id` in the message (our own client's extension), else the `auth_token` in
it, else that of the app's one connected user. Of a person's several accounts the `account` in the message, where there
is one: then the model is not asked to choose. Below: the executor. Above: `process` (HTTP), `app_socket`.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

from gateway.errors import GatewayError
from gateway.executor import Executor
from gateway.key_types import Permission
from gateway.secret import Secret
from gateway.surfaces.atp import shapes
from gateway.surfaces.atp.app import App
from gateway.surfaces.atp.calls import AppCall
from gateway.surfaces.atp.requests import RefusalError, external_user_id, optional_text, text
from gateway.surfaces.atp.toolkits import Toolkits
from gateway.surfaces.atp.users import AppUsers
from gateway.toolkit.account_argument import with_account
from gateway.toolkit.context import Channel, NullChannel
from gateway.toolkit.tool import Tool
from gateway.types import Client, CredentialKind, Principal

Message = dict[str, Any]

_NOBODY = NullChannel()

Offered = Mapping[tuple[str, CredentialKind], tuple[str, ...]]


class AccountChoices(Protocol):
    """Where a person has several accounts to choose from."""

    async def offered(self, principal: Principal) -> Offered:
        """By provider and kind of credential the names of the accounts, where there are several."""
        ...


class Tasks:
    """`executor` must have `AppCredentials` before its broker: that is how an app's own token reaches the tool."""

    def __init__(self, executor: Executor, toolkits: Toolkits, users: AppUsers, accounts: AccountChoices) -> None:
        self._executor = executor
        self._toolkits = toolkits
        self._users = users
        self._accounts = accounts

    async def answer(self, app: App, message: Message, channel: Channel = _NOBODY) -> shapes.Json:
        """The answer to one of the app's messages. `channel` hears of a task's progress meanwhile.

        RefusalError for a message of no known type, and for a context that cannot be given.
        """
        match message.get("type"):
            case "get_toolkit_context":
                return await self._context(app, message)
            case "task_request":
                return await self._task(app, message, channel)
            case _:
                raise RefusalError(400, "invalid_request", "type must be get_toolkit_context or task_request.")

    async def _context(self, app: App, message: Message) -> shapes.Json:
        provider = (optional_text(message, "provider") or "openai").lower()
        if provider not in shapes.TOOL_SHAPES:
            names = ", ".join(shapes.TOOL_SHAPES)
            raise RefusalError(400, "unknown_model_provider", f"There is no provider {provider!r}. There are: {names}.")
        toolkit = text(message, "toolkit_id")
        tools = self._toolkits.get(app, toolkit)
        user = message.get("external_user_id")
        if user is not None and not optional_text(message, "account"):
            tools = await self._with_accounts(self._users.user(app, external_user_id(user)), tools)
        prompt = optional_text(message, "user_prompt") or ""
        return shapes.toolkit_context(message.get("request_id"), toolkit, provider, tools, prompt)

    async def _with_accounts(self, person: Principal, tools: list[Tool]) -> list[Tool]:
        """The tools as this person may call them: with a choice of account where they have several."""
        offered = await self._accounts.offered(person)
        return [_with_choice(tool, offered) for tool in tools]

    async def _task(self, app: App, message: Message, channel: Channel) -> shapes.Json:
        request_id = message.get("request_id")
        try:
            call = await self._call(app, message, channel)
        except (RefusalError, GatewayError) as error:
            return shapes.failed_task(request_id, error.code, str(error))
        return shapes.task_response(request_id, call.tool, await self._executor.call(call))

    async def _call(self, app: App, message: Message, channel: Channel) -> AppCall:
        app.check(Permission.CALL)
        payload = message.get("payload")
        if not isinstance(payload, dict):
            raise RefusalError(
                400, "invalid_request", "payload is missing. Send an object with function and parameters."
            )
        arguments = payload.get("parameters") or {}
        if not isinstance(arguments, dict):
            raise RefusalError(422, "invalid_arguments", "parameters must be a JSON object of the tool's arguments.")
        tool = self._tool(app, text(message, "toolkit_id"), text(payload, "function"))
        token = optional_text(payload, "auth_token") or optional_text(message, "auth_token")
        return AppCall(
            principal=await self._whose(app, tool, message.get("external_user_id"), token),
            client=Client(app.name, id=app.name),
            tool=tool.name,
            arguments=arguments,
            id=secrets.token_hex(8),
            channel=channel,
            account=optional_text(message, "account"),
            auth_token=Secret(token) if token else None,
        )

    def _tool(self, app: App, toolkit: str, name: str) -> Tool:
        tools = {tool.name: tool for tool in self._toolkits.get(app, toolkit)}
        if name not in tools:
            raise RefusalError(
                404, "unknown_tool", f"The toolkit {toolkit} has no tool {name!r}. It has: {', '.join(tools)}."
            )
        return tools[name]

    async def _whose(self, app: App, tool: Tool, user: Any, token: str | None) -> Principal:
        if user is not None:
            return self._users.user(app, external_user_id(user))
        if token or tool.requirement is None:
            return self._users.app(app)
        connected = await self._users.list_connected(app)
        if len(connected) == 1:
            return connected[0]
        raise RefusalError(
            422,
            "person_not_named",
            f"The call does not say whose {tool.requirement.provider} account to use, and this app has "
            f"{'several connected users' if connected else 'no connected user'}. Do one of three: send "
            "external_user_id with the request (call_tool of gateway.LLMClient takes it); send the person's own token "
            "as auth_token; or use an app key that exactly one user has connected under.",
        )


def _with_choice(tool: Tool, offered: Offered) -> Tool:
    need = tool.requirement
    accounts = offered.get((need.provider, need.kind)) if need else None
    return replace(tool, input_schema=with_account(tool, tool.input_schema, accounts)) if accounts else tool
