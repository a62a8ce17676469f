"""Says to the gateway what tools a toolkit has: all that `declaration` knows of each, so that it is as well typed there
as at home.

In the published SDK's words: the gateway is asked whether it knows the set, by a hash over all of it, then for each
tool, and is told of those that it does not know. Where the SDK sends a function's source and hashes that, ours sends
what the tool says of itself and a digest of its code: the source stays where it is, and a change of either is a change.

Source: AgentToolProtocol 0.2.5, `verify_and_register_tools`, `register_tool`.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import httpx2

from gateway.errors import GatewayError, GatewayUnreachableError, KeyRefusedError
from gateway.toolkit.afar.place import Place, error_of
from gateway.toolkit.answers import unreachable
from gateway.toolkit.place import innermost
from gateway.toolkit.tool import Tool

log = logging.getLogger(__name__)

_SECONDS = 15.0


class Registration:
    """Over `http`, which shows the toolkit's key with every request. `toolkit` is its name, for display."""

    def __init__(self, http: httpx2.AsyncClient, place: Place, toolkit: str) -> None:
        self._http = http
        self._place = place
        self._toolkit = toolkit

    async def tell(self, tools: Sequence[Tool], code_of: Callable[[str], Callable[..., Any] | None]) -> None:
        """Have the gateway know these tools, and no others. `code_of` gives the function behind a tool.

        KeyRefusedError when the key is no good, GatewayUnreachableError when it should be tried again. A tool that the
        gateway does not take is logged with the reason, and the others are served.
        """
        texts = {tool.name: _text(tool, code_of(tool.name)) for tool in sorted(tools, key=lambda tool: tool.name)}
        whole = _digest("".join(texts.values()))
        said = {"app_name": self._toolkit, "toolkit_hash": whole}
        if await self._knows("verify_hash", said):
            return
        for tool in tools:
            text = texts[tool.name]
            if not await self._knows("verify_tool_hash", {"tool_name": tool.name, "tool_hash": _digest(text)}):
                await self._register(tool, text, said)

    async def _knows(self, question: str, said: dict[str, Any]) -> bool:
        return bool((await self._post(f"/api/v1/toolkit/{question}", said)).get("up_to_date"))

    async def _register(self, tool: Tool, text: str, said: dict[str, Any]) -> None:
        metadata = {**described(tool), "sample_response": "", "source_code": text}
        body = {"function_id": tool.name, "programming_language": "Python", "code_hash": _digest(text)}
        try:
            await self._post("/api/v1/register_tool", {**said, **body, "metadata": metadata})
        except (KeyRefusedError, GatewayUnreachableError):
            raise
        except GatewayError as error:
            log.warning("the gateway does not take %s: %s", tool.name, error.message)
        else:
            log.info("registered %s", tool.name)

    async def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        try:
            answer = await self._http.post(self._place.http(path), json=body, timeout=_SECONDS)
        except httpx2.TransportError as error:
            raise unreachable(self._place.base_url, error) from None
        check(answer)
        try:
            said = answer.json()
        except ValueError:
            said = None
        return said if isinstance(said, dict) else {}


def check(answer: httpx2.Response) -> None:
    """Raise what an answer that is no success means: see `error_of`."""
    if not answer.is_success:
        raise error_of(answer.status_code, answer.content)


def described(tool: Tool) -> dict[str, Any]:
    """What a tool says of itself: the published SDK's fields, and ours beside them."""
    need = tool.requirement
    return {
        "params": list(tool.input_schema.get("properties", ())),
        "required_params": list(tool.input_schema.get("required", ())),
        "description": tool.description,
        "auth_provider": need and need.provider,
        "auth_type": need and need.kind.value,
        "auth_with": need and "access_token",
        "scopes": sorted(need.scopes) if need else [],
        "input_schema": tool.input_schema,
        "output_schema": tool.output_schema,
        "annotations": {name: hint for name, hint in asdict(tool.annotations).items() if hint is not None},
        "timeout": tool.timeout,
    }


def _text(tool: Tool, code: Callable[..., Any] | None) -> str:
    """What stands for the tool's source: the same for equal tools, in every process."""
    return json.dumps({"tool": tool.name, **described(tool), "code": _digest(_source(code))}, sort_keys=True)


def _source(code: Callable[..., Any] | None) -> str:
    if code is None:
        return ""
    try:
        return inspect.getsource(innermost(code))
    except (OSError, TypeError):  # made without a file, or in C
        compiled = getattr(innermost(code), "__code__", None)
        return compiled.co_code.hex() if compiled else ""


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
