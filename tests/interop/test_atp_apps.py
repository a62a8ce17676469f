"""Apps at a gateway that serves, as it is wired: the published SDK's client over HTTP and a WebSocket, and ours."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import logging
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from atp_sdk.clients import LLMClient as Published
from looped import LoopedLLMClient

from gateway import LLMClient, app
from gateway.app import Gateway
from gateway.errors import WrongKeyKindError
from gateway.key_types import KeyKind
from gateway.settings import load_settings

KIT = """
from gateway import ToolKitClient

client = ToolKitClient(app_name="kit")

@client.tool
def add(a: int, b: int) -> int:
    "Adds."
    return a + b
"""
ASKED = {
    "openai": {"type": "function_call", "call_id": "c1", "name": "add", "arguments": '{"a": 2, "b": 3}'},
    "anthropic": {"type": "tool_use", "id": "c1", "name": "add", "input": {"a": 2, "b": 3}},
    "mistral": {"id": "c1", "function": {"name": "add", "arguments": '{"a": 2, "b": 3}'}},
}
OUTPUT: dict[str, Callable[[Any], Any]] = {
    "openai": lambda message: message["output"],
    "anthropic": lambda message: message["content"][0]["content"],
    "mistral": lambda message: message["content"],
}


@dataclass
class Place:
    gateway: Gateway
    key: str


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    """A gateway with a toolkit and an app's key. Afterwards nothing that was logged holds the key."""
    (tmp_path / "kit.py").write_text(KIT)
    settings = {
        "ATP_GATEWAY_SERVER_PORT": "0",
        "ATP_GATEWAY_DATABASE_URL": f"sqlite:///{tmp_path}/gateway.db",
        "ATP_GATEWAY_VAULT_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
        "ATP_GATEWAY_LOG_REQUESTS": "true",
        "ATP_GATEWAY_PROVIDERS__HUBSPOT__CLIENT_ID": "ours",
        "ATP_GATEWAY_PROVIDERS__HUBSPOT__CLIENT_SECRET": "ours-0123456789",
    }
    logged = io.StringIO()
    handler = logging.StreamHandler(logged)
    async with app.serving(load_settings(None, settings), [str(tmp_path / "kit.py")]) as gateway:
        keys = (await gateway.accounts.open()).keys
        _, text = await keys.create(KeyKind.APP, "shop", by=gateway.principal)
        loggers = [logging.getLogger(name) for name in ("gateway", "uvicorn", "websockets")]
        for logger in loggers:
            logger.addHandler(handler)
            logger.setLevel(logging.DEBUG)
        yield Place(gateway, text.reveal())
    for logger in loggers:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
    assert "v1/atp/llm-client/*" in logged.getvalue()
    assert text.reveal() not in logged.getvalue()


def _serve_models(client: Any) -> dict[str, tuple[str, Any]]:
    """For each sort of model: the names of the tools it is shown, and the result it gets."""
    served = {}
    for provider, asked in ASKED.items():
        shown = json.dumps(client.get_toolkit_context("kit", "2 + 3", provider)["tools"])
        (answer,) = client.call_tool("kit", [asked], provider)
        served[provider] = (shown.count('"name": "add"'), json.loads(OUTPUT[provider](answer)))
    return served


async def test_every_client_and_protocol_gets_contexts_and_has_tools_called(place: Place) -> None:
    def over_a_socket() -> Any:
        client = Published(place.key, protocol="ws", base_url=place.gateway.base_url)
        try:
            return _serve_models(client)
        finally:
            client.ws.close()

    clients = [kind(place.key, base_url=place.gateway.base_url) for kind in (Published, LLMClient, LoopedLLMClient)]
    served = [await asyncio.to_thread(_serve_models, client) for client in clients]
    served.append(await asyncio.to_thread(over_a_socket))

    assert served == [dict.fromkeys(ASKED, (1, 5))] * 4


@pytest.mark.parametrize("kind", [Published, LLMClient, LoopedLLMClient])
async def test_the_other_methods_are_answered_over_http(place: Place, kind: Any) -> None:
    client = kind(place.key, base_url=place.gateway.base_url)

    def journey() -> None:
        assert client.list_store_toolkits()["results"][0]["toolkit_id"] == "kit"
        assert client.list_my_toolkits()["count"] == 1
        assert client.get_toolkit_details("kit")["tools"][0]["name"] == "add"
        (context,) = client.get_toolkit_context_streaming("kit", "2 + 3")
        (result,) = client.call_tool_streaming("kit", [ASKED["openai"]])
        assert context["payload"]["tools"][0]["name"] == "add"
        assert result["result"]["tool"] == {"name": "add", "result": 5}
        begun = client.initiate_oauth_connection("hubspot", "ada@example.com")
        assert begun["authorization_url"].startswith(place.gateway.base_url)
        with pytest.raises(TimeoutError):
            client.wait_for_connection("hubspot", "ada@example.com", timeout=0.2, poll_interval=0.1)

    await asyncio.to_thread(journey)


async def test_a_key_that_is_revoked_ends_the_sdks_socket(place: Place) -> None:
    client = await asyncio.to_thread(Published, place.key, protocol="ws", base_url=place.gateway.base_url)
    keys = (await place.gateway.accounts.open()).keys
    socket, raw, ended = client.ws, client.ws.sock.sock, asyncio.Event()
    loop, told = asyncio.get_running_loop(), []
    close = socket.on_close

    def closed(*args: Any) -> None:
        told.extend(args[1:])
        close(*args)
        loop.call_soon_threadsafe(ended.set)

    socket.on_close = closed
    await keys.revoke(await keys.called(place.key), by=place.gateway.principal)

    async with asyncio.timeout(6):
        await ended.wait()
    raw.close()  # the SDK's library leaves it open
    assert told == [1008, "The key was revoked."]


async def test_a_toolkits_key_is_told_apart(place: Place) -> None:
    keys = (await place.gateway.accounts.open()).keys
    _, wrong = await keys.create(KeyKind.TOOLKIT, "crm", by=place.gateway.principal)
    client = LLMClient(wrong.reveal(), base_url=place.gateway.base_url)

    with pytest.raises(WrongKeyKindError, match="This is a toolkit's key, and an app's is needed here"):
        await asyncio.to_thread(client.list_store_toolkits)
