"""A yes to a tool is for one call, at one of the gateways of a database."""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gateway import app
from gateway.access.spent_approvals import KEPT_FOR, SpentApprovals
from gateway.approval import KEY
from gateway.clock import MovableClock
from gateway.key_types import KeyKind
from gateway.settings import load_settings
from gateway.store.store import Store
from gateway.types import Principal
from tests.access.conftest import TOOLKIT
from tests.audit.troubles import unwritable

ADA = Principal("https://login.example", "ada")
RULES = """
[access]
keys = true

[[access.rules]]
annotations = ["destructive"]
approve = true

[[access.rules]]
"""
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}},
}
HEADERS = {
    "mcp-protocol-version": "2026-07-28",
    "mcp-method": "tools/call",
    "mcp-name": "wipe",
    "accept": "application/json, text/event-stream",
}
AGREED = {KEY: {"action": "accept", "content": {"approve": True}}}

Post = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


@asynccontextmanager
async def two_gateways(folder: Path, database: str) -> AsyncIterator[tuple[Post, Post]]:
    """Of a team, on one database: each as what sends it a call of `wipe` and gives the result."""
    (folder / "fixture.py").write_text(TOOLKIT)
    (folder / "gateway.toml").write_text(RULES)
    (folder / "gateway.toml").chmod(0o600)
    environ = {
        "ATP_GATEWAY_DATABASE_URL": database,
        "ATP_GATEWAY_VAULT_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
        "ATP_GATEWAY_SERVER_PORT": "0",
    }
    settings, toolkits = load_settings(folder / "gateway.toml", environ), [str(folder / "fixture.py")]
    async with (
        app.serving(settings, toolkits) as one,
        app.serving(settings, toolkits) as other,
        httpx2.AsyncClient(headers=HEADERS, trust_env=False, timeout=20) as http,
    ):
        keys = (await one.accounts.open()).keys
        _, text = await keys.create(KeyKind.PERSON, "script", owner=ADA, by=ADA)
        http.headers["authorization"] = f"Bearer {text.reveal()}"

        def posting(url: str) -> Post:
            async def post(more: dict[str, Any]) -> dict[str, Any]:
                params = {"name": "wipe", "_meta": META, "arguments": {}, **more}
                body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
                answer: dict[str, Any] = (await http.post(f"{url}/mcp", json=body)).json()
                return answer["result"]

            return post

        yield posting(one.base_url), posting(other.base_url)


async def test_a_yes_is_used_at_one_gateway_alone(tmp_path: Path, database_url: str) -> None:
    async with two_gateways(tmp_path, database_url) as (one, other):
        asked = await one({})
        agreed = {"requestState": asked["requestState"], "inputResponses": AGREED}
        answers = await asyncio.gather(*(post(agreed) for post in (one, other) * 5))
        ran = [answer for answer in answers if answer["resultType"] == "complete"]
        assert [answer["content"][0]["text"] for answer in ran] == ["wiped"]

        late = await other(agreed)
        assert list(late["inputRequests"]) == [KEY]
        again = await one({"requestState": late["requestState"], "inputResponses": AGREED})
        assert again["content"][0]["text"] == "wiped"


async def test_nothing_runs_while_the_database_cannot_note_that_the_yes_is_used(
    tmp_path: Path, database_url: str
) -> None:
    async with two_gateways(tmp_path, database_url) as (one, other):
        asked = await one({})
        agreed = {"requestState": asked["requestState"], "inputResponses": AGREED}
        with unwritable(database_url, "spent"):
            for post in (one, other):
                refused = await post(agreed)
                assert refused["isError"]
                assert "wipe was not run" in refused["content"][0]["text"]
        assert (await other(agreed))["content"][0]["text"] == "wiped"


async def test_what_was_used_is_forgotten_once_it_can_come_no_more(store: Store) -> None:
    clock = MovableClock()
    here, there = (SpentApprovals(store.spent, clock) for _ in range(2))
    assert await here.claim("one")
    assert not await there.claim("one")
    await there.release("one")
    assert await there.claim("one")

    clock.advance(KEPT_FOR)
    assert await store.spent.prune(clock.now()) == 0
    assert not await here.claim("one")
    clock.advance(timedelta(seconds=1))
    assert await store.spent.prune(clock.now()) == 1
    assert await here.claim("one")


@pytest.mark.parametrize("at_once", [2, 50])
async def test_of_many_at_once_one_has_it(store: Store, at_once: int) -> None:
    approvals = SpentApprovals(store.spent, MovableClock())
    claims = await asyncio.gather(*(approvals.claim("one") for _ in range(at_once)))

    assert sum(claims) == 1
