"""Who gets through which door, for every door that there is: generated from the list, so that no new one is forgotten.

What is behind the doors may refuse more, by its own rules; nothing may be entered that this table does not allow.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import httpx2
import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.access.keys import Keys
from gateway.authorization_types import AccessGrant
from gateway.entry import Entry
from gateway.key_types import KeyKind
from gateway.people_types import Person
from gateway.secret import Secret
from gateway.store.store import Store
from gateway.surfaces.doors import Door, Entrance
from gateway.surfaces.edge import Edge
from gateway.types import Principal
from tests.access.composed import REPLICA_URL, URL, composed

ADMIN = Principal("local", "ada")
BEA, ELSEWHERE = Principal("https://login.example", "bea"), Principal("https://login.example", "bea", "acme")
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
PROGRAMS = {"member", "other tenant", "token", "other tenant's token"}
"""Whom a program's door lets in: by a key, and by a token of the gateway's own."""
BROWSERS = {"session", "other tenant's session"}
STRANGERS = {
    "anonymous",
    "forged",
    "revoked",
    "cookie",
    "app key",
    "toolkit key",
    "admin key",
    "token of a revoked grant",
    "token of a disabled person",
    "token for no tools",
    "refresh token",
    "session that has ended",
    "session of a disabled person",
    "session as a token",
    "token as a session",
}
CALLERS = sorted(PROGRAMS | BROWSERS | STRANGERS)

PUBLIC = {
    "/healthz",
    "/readyz",
    "/static/*",
    "/openapi.json",  # here, on loopback; elsewhere it asks for a key
    "/metrics",  # likewise
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


BETWEEN_GATEWAYS = {"/internal/v1/call"}
"""Entered by nobody but other gateways of the same database, at an address of their own."""


class House(NamedTuple):
    edge: Edge
    inside: ASGIApp
    credentials: dict[str, dict[str, str]]
    entered: list[str]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    folder = tmp_path_factory.mktemp("house")
    async with composed(folder, keys="true", issuer="http://127.0.0.1:9") as (edge, accounts, entry):
        inside = edge._app
        credentials = {**await _keys(accounts.keys), **await _own(entry, accounts.store), "anonymous": {}}
        assert credentials.keys() == {*CALLERS}
        yield House(edge, inside, credentials, _watched(edge))


async def _keys(keys: Keys) -> dict[str, dict[str, str]]:
    """What each caller sends that has a key, or would have one."""
    bea, other = BEA, ELSEWHERE
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
    return {**sent, "forged": forged, "cookie": cookie}


async def _own(entry: Entry, store: Store) -> dict[str, dict[str, str]]:
    """What those send whom the gateway itself has given a token, or a session."""
    assert entry.own
    assert entry.sign_in
    now, own, sessions = datetime.now(UTC), entry.own, entry.sign_in.sessions
    gone = Principal(BEA.issuer, "gone")
    for number, principal in enumerate((BEA, ELSEWHERE, gone)):
        await store.people.put(Person(f"p{number}", principal, None, None, frozenset(), now))
    people = {person.principal: person for person in await store.people.list_all()}

    async def token(principal: Principal, scope: str = "tools") -> tuple[str, str]:
        """And the id of its grant."""
        name, until = secrets.token_hex(16), now + timedelta(days=1)
        scopes = frozenset({scope})
        grant = AccessGrant(name, principal, "c", "A program", own.offer.resource, scopes, frozenset(), now, now, until)
        await store.grants.insert(grant)
        return (await own.tokens.make(grant, scopes)).reveal(), name

    texts = {"token": (await token(BEA))[0], "other tenant's token": (await token(ELSEWHERE))[0]}
    texts["token of a revoked grant"], revoked = await token(BEA)
    await store.grants.revoke(revoked, now)
    texts["token of a disabled person"], _ = await token(gone)
    texts["token for no tools"], _ = await token(BEA, "offline_access")
    texts["refresh token"] = "atpg_refresh_" + "x" * 43
    bea, other, gones, ended = [
        (await sessions.begin(people[principal])).reveal() for principal in (BEA, ELSEWHERE, gone, BEA)
    ]
    await sessions.end(Secret(ended))
    await store.people.disable(people[gone], now)
    texts["session as a token"] = bea
    cookies = {
        "session": bea,
        "other tenant's session": other,
        "session of a disabled person": gones,
        "session that has ended": ended,
        "token as a session": texts["token"],
    }
    sent = {name: {"authorization": f"Bearer {text}"} for name, text in texts.items()}
    return sent | {name: {"cookie": f"atp-session={text}"} for name, text in cookies.items()}


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
            return caller in PROGRAMS
        case Entrance.BROWSER:
            return caller in BROWSERS
        case Entrance.REPLICA:
            return False
        case _:
            return True


def _status_of_no(door: Door, caller: str) -> int:
    if door.entrance is Entrance.REPLICA:
        return 404
    return 403 if _falls_short(door, caller) else 401


def _falls_short(door: Door, caller: str) -> bool:
    """Whether it is known who calls, and that they may not do this."""
    return door.entrance is Entrance.PROGRAM and caller == "token for no tools"


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
                    refused = answer.status_code == _status_of_no(door, caller)
                    if (house.entered == [path]) is not may or (not may and not refused):
                        wrong.append((method, door.path, caller, answer.status_code))
    assert wrong == []


async def test_what_is_public_is_so_on_purpose(house: House) -> None:
    everybody = (Entrance.PUBLIC, Entrance.OPEN, Entrance.VISITOR)
    visitors = {"/connect/*", "/oauth/callback/*"}  # whose pages ask whose a flow is
    visitors |= {"/login", "/login/*", "/logout", "/invitation/*"}  # where one signs in
    listed = {door.path for door in house.edge._doors if door.entrance in everybody}
    assert listed == PUBLIC | BY_THEIR_OWN_KEYS | visitors


async def test_what_looks_at_keys_itself_opens_to_none_that_are_for_something_else(house: House) -> None:
    """And breaks under none. The right kinds of key have tests of their own, with the protocol."""
    watched, house.edge._app = house.edge._app, house.inside
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
    house.edge._app = watched
    assert opened == []


async def test_what_is_between_gateways_is_so_on_purpose(house: House) -> None:
    assert {door.path for door in house.edge._doors if door.entrance is Entrance.REPLICA} == BETWEEN_GATEWAYS


async def test_other_gateways_come_by_their_own_address_and_to_nothing_else(house: House) -> None:
    async with httpx2.AsyncClient(base_url=REPLICA_URL, transport=httpx2.ASGITransport(house.edge)) as client:
        for door in house.edge._doors:
            path = door.path.replace("/*", "/x")
            house.entered.clear()
            answer = await client.post(path, headers=house.credentials["member"])
            is_theirs = door.path in BETWEEN_GATEWAYS
            assert (house.entered == [path], answer.status_code == 421) == (is_theirs, not is_theirs), path


async def test_no_credential_opens_what_is_between_gateways(house: House) -> None:
    """To whoever has not sealed what they send it looks like a path that does not exist, by whatever method."""
    watched, house.edge._app = house.edge._app, house.inside
    opened: list[tuple[str, str, str, int]] = []
    for url in (URL, REPLICA_URL):
        async with httpx2.AsyncClient(base_url=url, transport=httpx2.ASGITransport(house.edge)) as client:
            for path in BETWEEN_GATEWAYS:
                for caller in CALLERS:
                    for method in METHODS:
                        answer = await client.request(
                            method, path, headers=house.credentials[caller], content=b"\x01" * 99
                        )
                        nothing = await client.request(method, "/nowhere", headers={"host": URL.partition("//")[2]})
                        if (answer.status_code, answer.content) != (404, nothing.content):
                            opened.append((method, url, caller, answer.status_code))
    house.edge._app = watched
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
    house.entered.clear()
    async with httpx2.AsyncClient(base_url=URL, transport=httpx2.ASGITransport(house.edge)) as client:
        for door in house.edge._doors:
            if door.entrance in (Entrance.PROGRAM, Entrance.BROWSER):
                path = door.path.replace("/*", "/x")
                plain, tricked = await client.get(path), await client.get(path, headers=trick)
                assert (tricked.status_code, tricked.content) == (plain.status_code, plain.content)
                assert "gateway.example.com" not in str(tricked.headers)
    assert house.entered == []


@pytest.mark.parametrize(
    ("foreign", "status"),
    [
        ({"host": "evil.example"}, 421),
        ({"host": "evil.example:8787"}, 421),
        ({"host": "127.0.0.1.evil.example:8787"}, 421),
        ({"host": "[::1"}, 421),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "http://127.0.0.1:8788"}, 403),
        ({"origin": "null"}, 403),
    ],
)
async def test_a_page_of_another_site_enters_no_door(house: House, foreign: dict[str, str], status: int) -> None:
    """T1: DNS rebinding, and plain cross-site requests, with every credential that opens the door."""
    house.entered.clear()
    wrong: list[tuple[str, str, int]] = []
    async with httpx2.AsyncClient(base_url=URL, transport=httpx2.ASGITransport(house.edge)) as client:
        for door in house.edge._doors:
            if "origin" in foreign and door.entrance is Entrance.OPEN:
                continue  # pages of every site may read those
            for caller in ("anonymous", "member", "session"):
                headers = {**house.credentials[caller], **foreign}
                answer = await client.post(door.path.replace("/*", "/x"), headers=headers)
                if answer.status_code != status:
                    wrong.append((door.path, caller, answer.status_code))
    assert (wrong, house.entered) == ([], [])
