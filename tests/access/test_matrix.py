"""Who gets through which door, for every door that there is: generated from the list, so that no new one is forgotten.

What is behind the doors may refuse more, by its own rules; nothing may be entered that this table does not allow.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import httpx2
import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway import app
from gateway.access.keys import Keys
from gateway.entry import entry_of
from gateway.key_types import KeyKind
from gateway.settings import load_settings
from gateway.surfaces.doors import Door, Entrance
from gateway.surfaces.edge import Edge
from gateway.types import Principal
from gateway.web_app import team_app

ADMIN = Principal("local", "ada")
URL = "http://127.0.0.1:8787"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
CALLERS = ("anonymous", "member", "other tenant", "app key", "toolkit key", "admin key", "revoked", "forged", "cookie")
LET_IN = {"member", "other tenant"}

PUBLIC = {
    "/healthz",
    "/readyz",
    "/static/*",
    "/openapi.json",  # here, on loopback; elsewhere it asks for a key
    "/api/v1/execute_function",  # says that it ignores what it is told, and does
    "/.well-known/oauth-protected-resource",
    "/.well-known/oauth-protected-resource/mcp",
    "/.well-known/oauth-protected-resource/sse",
    "/.well-known/oauth-authorization-server",
    "/.well-known/openid-configuration",
    "/authorize",  # asks by itself who sits at the browser
    "/jwks.json",
    "/register",
    "/revoke",
    "/token",
}
"""Entered by everybody. A new one is added here on purpose, or not at all."""

BY_THEIR_OWN_KEYS = {
    "/api/v1/atp/llm-client/*",
    "/api/v1/register_tool",
    "/api/v1/toolkit/*",
    "/api/v1/toolkit/verify_hash",
    "/api/v1/toolkit/verify_tool_hash",
    "/ws/v1/atp/llm-client/*",
    "/ws/v1/atp/toolkit-client/",
    "/ws/v1/atp/toolkit-client/*",
}
"""The ATP surface: its protocol puts the key into the path, so it looks at it itself."""


class House(NamedTuple):
    edge: Edge
    inside: ASGIApp
    credentials: dict[str, dict[str, str]]
    entered: list[str]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    environ = {
        "ATP_GATEWAY_DATABASE_URL": f"sqlite:///{tmp_path}/gateway.db",
        "ATP_GATEWAY_VAULT_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
        "ATP_GATEWAY_ACCESS_KEYS": "true",
        "ATP_GATEWAY_ACCESS_BUILTIN": "true",
        "ATP_GATEWAY_ACCESS_ISSUER": "http://127.0.0.1:9",
    }
    gateway = app.build(load_settings(None, environ))
    gateway.base_url = URL
    async with app.listening(gateway):
        accounts = await gateway.accounts.open()
        entry = entry_of(gateway.settings.access, accounts, gateway.audit, URL, local=gateway.principal)
        edge = team_app(gateway, accounts, entry, "127.0.0.1", 8787)
        assert isinstance(edge, Edge)
        inside = edge._app
        yield House(edge, inside, await _credentials(accounts.keys), _watched(edge))


async def _credentials(keys: Keys) -> dict[str, dict[str, str]]:
    """What each caller sends."""
    bea, other = Principal("https://login.example", "bea"), Principal("https://login.example", "bea", "acme")
    member = await keys.create(KeyKind.PERSON, "script", by=ADMIN, owner=bea)
    elsewhere = await keys.create(KeyKind.PERSON, "script", by=ADMIN, owner=other)
    revoked = await keys.create(KeyKind.PERSON, "script", by=ADMIN, owner=bea)
    await keys.revoke(revoked[0], by=ADMIN)
    texts = {"member": member[1], "other tenant": elsewhere[1], "revoked": revoked[1]}
    for kind in (KeyKind.APP, KeyKind.TOOLKIT, KeyKind.ADMIN):
        texts[f"{kind} key"] = (await keys.create(kind, "crm", by=ADMIN))[1]
    sent = {name: {"authorization": f"Bearer {text.reveal()}"} for name, text in texts.items()}
    forged = {"authorization": "Bearer atpg_person_" + "x" * 43}
    cookie = {"cookie": f"token={member[1].reveal()}; session={member[1].reveal()}"}
    return {**sent, "forged": forged, "cookie": cookie, "anonymous": {}}


def _watched(edge: Edge) -> list[str]:
    """The paths whose routes are entered, which is as far as a request gets."""
    entered: list[str] = []

    async def route(scope: Scope, receive: Receive, send: Send) -> None:
        entered.append(scope["path"])
        start: Message = {"type": "http.response.start", "status": 204, "headers": []}
        await send(start)
        await send({"type": "http.response.body", "body": b""})

    edge._app = route
    return entered


def _may_enter(door: Door, caller: str) -> bool:
    match door.entrance:
        case Entrance.PROGRAM:
            return caller in LET_IN
        case Entrance.BROWSER:
            return False  # nobody is signed in at a browser here, whatever a program may show
        case _:
            return True


async def test_nobody_gets_through_a_door_that_is_not_theirs(house: House) -> None:
    wrong: list[tuple[str, str, str, int]] = []
    async with httpx2.AsyncClient(base_url=URL, transport=httpx2.ASGITransport(house.edge)) as client:
        for door in house.edge._doors:
            path = door.path.replace("/*", "/x")
            for caller in CALLERS:
                for method in METHODS:
                    house.entered.clear()
                    answer = await client.request(method, path, headers=house.credentials[caller])
                    may = _may_enter(door, caller)
                    if (house.entered == [path]) is not may or (not may and answer.status_code != 401):
                        wrong.append((method, door.path, caller, answer.status_code))
    assert wrong == []


async def test_what_is_public_is_so_on_purpose(house: House) -> None:
    everybody = (Entrance.PUBLIC, Entrance.OPEN, Entrance.VISITOR)
    visitors = {"/connect/*", "/oauth/callback/*"}  # whose pages ask whose a flow is
    listed = {door.path for door in house.edge._doors if door.entrance in everybody}
    assert listed == PUBLIC | BY_THEIR_OWN_KEYS | visitors


async def test_what_looks_at_keys_itself_opens_to_none_that_are_for_something_else(house: House) -> None:
    """And breaks under none. The right kinds of key have tests of their own, with the protocol."""
    house.edge._app = house.inside
    opened: list[tuple[str, str, str, int]] = []
    callers = set(CALLERS) - {"app key", "toolkit key"}
    async with httpx2.AsyncClient(base_url=URL, transport=httpx2.ASGITransport(house.edge)) as client:
        for door in sorted(BY_THEIR_OWN_KEYS):
            for caller in callers:
                key = house.credentials[caller].get("authorization", "Bearer x").removeprefix("Bearer ")
                for path in {door.replace("*", "x/y"), door.replace("*", f"{key}/inbox")}:
                    for method in ("GET", "POST"):
                        answer = await client.request(method, path, headers=house.credentials[caller], json={})
                        if not 400 <= answer.status_code < 500:
                            opened.append((method, door, caller, answer.status_code))
    assert opened == []


@pytest.mark.parametrize(
    "trick",
    [
        {"x-forwarded-user": "bea"},
        {"x_forwarded_user": "bea"},
        {"x-forwarded-uri": "/healthz"},
        {"x-original-url": "/healthz"},
        {"x-forwarded-host": "gateway.example.com"},
        {"x-forwarded-for": "127.0.0.1"},
        {"forwarded": "for=127.0.0.1;host=gateway.example.com;proto=https"},
        {"x-http-method-override": "GET"},
        {"x-remote-user": "bea"},
        {"authorization": "Basic YmVhOnBhc3N3b3Jk"},
    ],
)
async def test_no_header_opens_a_door(house: House, trick: dict[str, str]) -> None:
    """T4: the answer is the same as without it."""
    async with httpx2.AsyncClient(base_url=URL, transport=httpx2.ASGITransport(house.edge)) as client:
        for door in house.edge._doors:
            if door.entrance in (Entrance.PROGRAM, Entrance.BROWSER):
                path = door.path.replace("/*", "/x")
                plain, tricked = await client.get(path), await client.get(path, headers=trick)
                assert (tricked.status_code, tricked.content) == (plain.status_code, plain.content)
                assert "gateway.example.com" not in str(tricked.headers)
    assert house.entered == []
