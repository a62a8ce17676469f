"""Who may do what at the app's half of ATP: each route for each sort of caller, at a gateway as it is wired.

The callers are keys out of a real database. What nobody but an app may enter is tried on every route that is served,
those of later too; what an app may do stands in a table, a line for each sort of app.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.routing import Route
from websockets.asyncio.client import connect

from gateway import app
from gateway.access.key_rules import Rights
from gateway.key_types import KeyKind
from gateway.secret import Secret
from gateway.settings import load_settings
from gateway.surfaces.atp.app_routes import PREFIX, SOCKET
from gateway.types import CredentialKind, Principal, Requirement
from gateway.web_app import _atp_routes

KIT = """
from gateway import ToolKitClient

client = ToolKitClient(app_name="kit")

@client.tool
def add(a: int, b: int) -> int:
    "Adds."
    return a + b
"""
TOKEN = "a-key-that-ada-typed-in"
NOTES_ADA = Principal("app:Notes", "ada")
NOT_APPS = {
    "no key": (None, 401, "unknown_key"),
    "another scheme": ("Bearer {app}", 401, "unknown_key"),
    "an unknown key": ("ApiKey {unknown}", 401, "unknown_key"),
    "no key at all": ("ApiKey nonsense", 401, "unknown_key"),
    "a revoked app": ("ApiKey {revoked}", 401, "unknown_key"),
    "a toolkit": ("ApiKey {toolkit}", 403, "wrong_kind_of_key"),
    "an administrator": ("ApiKey {admin}", 403, "wrong_kind_of_key"),
}


@dataclass
class Place:
    http: httpx2.AsyncClient
    url: str
    keys: dict[str, str]
    routes: list[tuple[str, str]]

    async def ask(self, name: str, method: str, path: str, body: Any = None) -> httpx2.Response:
        headers = {"Authorization": f"ApiKey {self.keys[name]}"}
        return await self.http.request(method, PREFIX + path, json=body, headers=headers)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    """A gateway with a toolkit, keys of every sort, and a user of the app Notes who has typed a key in."""
    folder: Path = tmp_path_factory.mktemp("authorization")
    (folder / "kit.py").write_text(KIT)
    settings = {
        "ATP_GATEWAY_SERVER_PORT": "0",
        "ATP_GATEWAY_DATABASE_URL": f"sqlite:///{folder}/gateway.db",
        "ATP_GATEWAY_VAULT_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
        "ATP_GATEWAY_PROVIDERS__HUBSPOT__CLIENT_ID": "ours",
        "ATP_GATEWAY_PROVIDERS__HUBSPOT__CLIENT_SECRET": "ours-0123456789",
    }
    async with app.serving(load_settings(None, settings), [str(folder / "kit.py")]) as gateway:
        accounts = await gateway.accounts.open()
        me, made = gateway.principal, {"unknown": f"atpg_app_{'0' * 43}"}

        async def key(called: str, kind: KeyKind, name: str, may: str = "", **more: Any) -> None:
            rights = Rights(may=tuple(may.split()), toolkits=more.pop("toolkits", ()))
            found, text = await accounts.keys.create(kind, name, by=me, rights=rights, **more)
            made[called] = text.reveal()
            if called == "revoked":
                await accounts.keys.revoke(found, by=me)

        await key("app", KeyKind.APP, "Notes", "call connect")
        await key("reader", KeyKind.APP, "Notes", "call connect tokens")
        await key("caller", KeyKind.APP, "Notes", "call")
        await key("connector", KeyKind.APP, "Notes", "connect")
        await key("blind", KeyKind.APP, "Notes", "call connect", toolkits=("other",))
        await key("other app", KeyKind.APP, "Other", "call connect tokens")
        await key("other tenant", KeyKind.APP, "Notes", "call connect tokens", tenant="acme")
        await key("revoked", KeyKind.APP, "Notes", "call connect tokens")
        await key("toolkit", KeyKind.TOOLKIT, "kit")
        await key("admin", KeyKind.ADMIN, "ops")
        flow = await accounts.flows.begin(NOTES_ADA, "Notes", Requirement("mailer", CredentialKind.API_KEY), None)
        await accounts.flows.submit_key(flow.id, NOTES_ADA, Secret(TOKEN), browser_token="her browser")
        served = [route for route in _atp_routes(gateway, accounts) if isinstance(route, Route)]
        routes = [(method, route.path) for route in served for method in (route.methods or ())]
        async with httpx2.AsyncClient(base_url=gateway.base_url, trust_env=False) as http:
            yield Place(http, gateway.base_url, made, [each for each in routes if each[1].startswith(PREFIX)])


@pytest.mark.parametrize("caller", NOT_APPS)
async def test_nobody_but_an_app_enters_any_route(place: Place, caller: str) -> None:
    shown, status, code = NOT_APPS[caller]
    headers = {"Authorization": shown.format(**place.keys)} if shown else {}
    assert len(place.routes) >= 9

    for method, path in place.routes:
        filled = re.sub(r"\{[^}]*\}", "x", path)
        answer = await place.http.request(method, filled, headers=headers, json={} if method == "POST" else None)

        assert answer.status_code == status, (method, path)
        if method != "HEAD":
            assert answer.json()["code"] == code
            assert not any(key in answer.text for key in place.keys.values())


CONTEXT = {"type": "get_toolkit_context", "toolkit_id": "kit", "request_id": "r1"}
TASK = {
    "type": "task_request",
    "toolkit_id": "kit",
    "request_id": "r1",
    "payload": {"function": "add", "parameters": {"a": 2, "b": 3}},
}
ASKED: dict[str, tuple[str, str, Any]] = {
    "connect": ("POST", "/oauth/confirmation/hubspot/", {"external_user_id": "ada"}),
    "connection": ("GET", "/oauth/tokens/mailer/ada/", None),
    "context": ("POST", "/process/", CONTEXT),
    "task": ("POST", "/process/", TASK),
    "toolkits": ("GET", "/store/toolkits/list/", None),
    "own toolkits": ("GET", "/developers/toolkits/", None),
    "toolkit": ("GET", "/store/toolkits/kit/", None),
    "no such": ("GET", "/no/such/path/", None),
}
MAY = """
              connect  connection  context  task         toolkits  own_toolkits  toolkit  no_such
app           200      200         200      success      200       200           200      404
reader        200      200+token   200      success      200       200           200      404
caller        403      200         200      success      200       200           200      404
connector     200      200         200      not_allowed  200       200           200      404
blind         200      200         404      unknown      200       200           404      404
other_app     200      404         200      success      200       200           200      404
other_tenant  200      404         200      success      200       200           200      404
"""
HEAD, *LINES = [line.split() for line in MAY.strip().splitlines()]
TABLE = [(line[0], column, cell) for line in LINES for column, cell in zip(HEAD, line[1:], strict=True)]


def outcome(answer: httpx2.Response) -> str:
    """What the table calls an answer."""
    body = answer.json()
    if body.get("type") == "task_response":
        assert answer.status_code == 200
        return "success" if body["status"] == "success" else body["code"].removesuffix("_toolkit")
    return f"{answer.status_code}{'+token' if TOKEN in answer.text else ''}"


@pytest.mark.parametrize(("caller", "asked", "expected"), TABLE)
async def test_an_app_does_what_its_key_allows_and_nothing_else(
    place: Place, caller: str, asked: str, expected: str
) -> None:
    answer = await place.ask(caller.replace("_", " "), *ASKED[asked.replace("_", " ")])

    assert outcome(answer) == expected


async def test_an_app_sees_no_toolkit_that_it_may_not(place: Place) -> None:
    for path in ("/store/toolkits/list/", "/developers/toolkits/"):
        seen = [(await place.ask(name, "GET", path)).json()["count"] for name in ("app", "blind")]
        assert seen == [1, 0]


@pytest.mark.parametrize(
    ("caller", "opens"),
    [("app", True), ("unknown", False), ("revoked", False), ("toolkit", False), ("admin", False)],
)
async def test_a_socket_opens_for_apps_alone(place: Place, caller: str, *, opens: bool) -> None:
    key = place.keys[caller]
    async with connect(f"{place.url.replace('http', 'ws', 1)}{SOCKET}/{key}/") as socket:
        await socket.send(json.dumps({"type": "auth", "api_key": key}))
        said = json.loads(await socket.recv())

    assert said["success"] is opens
    assert key not in json.dumps(said)
