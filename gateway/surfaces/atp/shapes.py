"""The wire's JSON, made from our own values. Pure.

Sources: AgentToolProtocol 0.2.5 for the messages; for the tools, each LLM provider's own: OpenAI Responses API,
Anthropic Messages API, Mistral chat completions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from gateway.surfaces.atp.requests import Page
from gateway.toolkit.plain_result import result_value
from gateway.toolkit.tool import Tool
from gateway.types import Connection, Done, Failed, Flow, NeedsConnection, NeedsInput, Outcome, TokenSet

Json = dict[str, Any]

_OWN = "gateway"  # who runs the toolkits that are loaded here


def _openai(tool: Tool) -> Json:
    return {
        "type": "function",
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.input_schema,
    }


def _anthropic(tool: Tool) -> Json:
    return {"name": tool.name, "description": tool.description, "input_schema": tool.input_schema}


def _mistral(tool: Tool) -> Json:
    function = {"name": tool.name, "description": tool.description, "parameters": tool.input_schema}
    return {"type": "function", "function": function}


TOOL_SHAPES: Mapping[str, Callable[[Tool], Json]] = {
    "openai": _openai,
    "anthropic": _anthropic,
    "mistral": _mistral,
    "mistralai": _mistral,
}


def confirmation(app: str, flow: Flow, provider_name: str, url: str) -> Json:
    """A consent that was begun. `authorization_url` is our own page: the provider's comes after the person said yes."""
    return {
        "authorization_url": url,
        "auth_url": url,
        "confirmation_url": url,
        "provider_name": provider_name,
        "provider_logo": None,
        "developer_app_name": app,
        "scopes": sorted(flow.scopes),
        "auth_mode": flow.kind.value,
        "powered_by": "atp-gateway",
        "expires_at": _instant(flow.expires_at),
    }


def connection(user: str, found: Connection, tokens: TokenSet | None) -> Json:
    """A person's connection, with its tokens or without."""
    label = found.account_label
    refresh = tokens.refresh_token if tokens else None
    return {
        "integration_id": found.id,
        "external_user_id": user,
        "external_user_email": label if label and "@" in label else None,
        "access_token": tokens.access_token.reveal() if tokens else None,
        "refresh_token": refresh.reveal() if refresh else None,
        "expires_at": _instant(tokens.expires_at if tokens else found.expires_at),
        "scope": " ".join(sorted(tokens.scopes if tokens else found.scopes)),
    }


def toolkit_context(request_id: Any, toolkit: str, provider: str, tools: Sequence[Tool], user_prompt: str) -> Json:
    shape = TOOL_SHAPES[provider]
    payload = {
        "toolkit_id": toolkit,
        "toolkit_name": toolkit,
        "caption": f"{len(tools)} tool{'s' * (len(tools) != 1)}",
        "provider": provider,
        "tools": [shape(tool) for tool in tools],
        "user_prompt": user_prompt,
    }
    return {"type": "toolkit_context", "request_id": request_id, "payload": payload}


def task_response(request_id: Any, tool: str, outcome: Outcome) -> Json:
    """How a call ended. What the tool itself reported as its failure is its result: the model is to read it."""
    match outcome:
        case Done(result):
            value = {"tool": {"name": tool, "result": result_value(result)}}
            return {"type": "task_response", "request_id": request_id, "status": "success", "result": value}
        case Failed(error):
            return failed_task(request_id, error.code, error.message)
        case NeedsConnection(url=url, message=message):
            sentence = message if url in message else f"{message} {url}"
            return failed_task(request_id, "needs_connection", sentence) | {"authorization_url": url}
        case NeedsInput():
            return failed_task(
                request_id, "needs_input", "This tool asks the person something. Use it from an MCP host."
            )


def failed_task(request_id: Any, code: str, message: str) -> Json:
    return {"type": "task_response", "request_id": request_id, "status": "error", "code": code, "message": message}


def task_progress(request_id: Any, done: float, total: float | None, message: str | None) -> Json:
    """How far a running task is. Ours: only an app that asks for it is told."""
    return {"type": "task_progress", "request_id": request_id, "progress": done, "total": total, "message": message}


def refused_context(request_id: Any, code: str, message: str) -> Json:
    """A context that cannot be given, over a socket. The SDK waits for an answer of this type and gives its payload."""
    what = {"status": "error", "code": code, "message": message, "payload": {"error": message}}
    return {"type": "toolkit_context", "request_id": request_id, **what}


def refused_message(request_id: Any, code: str, message: str) -> Json:
    """A message over a socket that is no question."""
    return {"type": "error", "request_id": request_id, "status": "error", "code": code, "message": message}


def toolkit_page(toolkits: Sequence[Json], count: int, page: Page | None) -> Json:
    """Some of `count` toolkits. `next` and `previous` are the queries that give the pages beside this one."""
    following = page and page.number * page.size < count and Page(page.number + 1, page.size)
    former = page and page.number > 1 and Page(page.number - 1, page.size)
    return {"count": count, "next": _query(following), "previous": _query(former), "results": list(toolkits)}


def _query(page: Page | bool | None) -> str | None:
    return f"?page={page.number}&page_size={page.size}" if isinstance(page, Page) else None


def developer_of(tools: Sequence[Tool]) -> str:
    """Who runs a toolkit: the tenant whose key it shows, or whoever runs the gateway and has it in there."""
    return tools[0].tenant or _OWN


def developer(name: str, toolkits: Sequence[Json]) -> Json:
    return {"display_name": name, "toolkits": list(toolkits)}


def toolkit_details(name: str, tools: Sequence[Tool]) -> Json:
    return {
        "toolkit_id": name,
        "name": name,
        "developer": developer_of(tools),
        "tools": [
            {
                "name": tool.name,
                "description": tool.description,
                "parameters": tool.input_schema,
                "auth_provider": tool.requirement.provider if tool.requirement else None,
                "auth_type": tool.requirement.kind.value if tool.requirement else None,
            }
            for tool in tools
        ],
    }


def _instant(at: datetime | None) -> str | None:
    """RFC 3339, in UTC."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z") if at else None
