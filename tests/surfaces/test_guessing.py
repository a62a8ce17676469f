"""Somebody who tries keys: told "no" each time, then to wait, and in nobody else's way.

In process, from addresses that a loopback socket cannot come from.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message

from gateway.access.keys import Keys
from gateway.access.person_keys import PersonKeys
from gateway.access.programs import Programs
from gateway.audit import AuditLog
from gateway.clock import MovableClock
from gateway.errors import KeyRefusedError
from gateway.key_types import KeyKind
from gateway.store.store import Store
from gateway.surfaces.addresses import Addresses
from gateway.surfaces.application import application
from gateway.surfaces.atp.endpoint import refused
from gateway.surfaces.doors import Doors
from gateway.surfaces.edge import Edge
from gateway.surfaces.guessing import FREE, Guessing
from gateway.surfaces.proxies import Proxies
from gateway.types import Principal

ADMIN = Principal("local", "ada")
BEA = Principal("https://login.example", "bea")
GUESSER, COLLEAGUE, ELSEWHERE = "192.0.2.7", "192.0.2.7", "198.51.100.1"
WRONG = (
    b"Bearer atpg_person_%043d",
    b"Bearer atpg_person_%d\xe4\xff",
    b"Bearer %d",
    b"bearer \xf0\x9f\x94\x91%d",
    b"Bearer atpg_app_%043d",
    b"Bearer a.b.%d",
)


class Timer:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


class House:
    """An edge with people's keys, and a toolkit's route whose address holds the key, as ATP has it."""

    def __init__(self, store: Store) -> None:
        self.clock = MovableClock()
        self.audit = AuditLog(store.audit.append, self.clock)
        self.keys = Keys(store.keys, self.audit, self.clock)
        self.timer = Timer()
        self.asked = 0
        self.edge = self.behind(None)

    def behind(self, proxies: Proxies | None) -> Edge:
        edge = Edge(
            self._app(),
            Programs([PersonKeys(self._find)], self.clock),
            Doors(program=["/mcp"], public=["/api/v1/toolkit/*", "/token", "/healthz"]),
            Addresses.of("http://gateway.test", "0.0.0.0", 8787),
            proxies=proxies,
        )
        edge._guessing = Guessing(knows_proxies=proxies is not None, timer=self.timer)
        return edge

    def _app(self) -> ASGIApp:
        async def good(_: Request) -> Response:
            return JSONResponse({})

        async def toolkit(request: Request) -> Response:
            found = await self._find(request.path_params["key"], KeyKind.TOOLKIT)
            return refused(401, found.code, found.message) if isinstance(found, KeyRefusedError) else JSONResponse({})

        async def token(_: Request) -> Response:
            return refused(401, "invalid_client", "no")

        return application(
            [
                Route("/mcp", good, methods=["POST"]),
                Route("/healthz", good),
                Route("/token", token, methods=["POST"]),
                Route("/api/v1/toolkit/{key}/requests", toolkit),
            ]
        )

    async def _find(self, text: str, kind: KeyKind) -> Any:
        self.asked += 1
        return await self.keys.find(text, kind)

    async def ask(
        self,
        credential: bytes | None = None,
        path: str = "/mcp",
        address: str = GUESSER,
        *,
        more: tuple[tuple[bytes, bytes], ...] = (),
        edge: Edge | None = None,
    ) -> tuple[int, dict[bytes, bytes]]:
        """The answer's status and headers."""
        sent: list[Message] = []
        headers = [(b"host", b"gateway.test"), *more]
        headers += [(b"authorization", credential)] if credential is not None else []
        method = "POST" if path in ("/mcp", "/token") else "GET"
        scope = {"type": "http", "method": method, "path": path, "headers": headers, "client": (address, 1)}
        scope |= {"query_string": b"", "root_path": "", "http_version": "1.1", "scheme": "http"}

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message) -> None:
            sent.append(message)

        await (edge or self.edge)(scope, receive, send)
        return sent[0]["status"], dict(sent[0]["headers"])

    async def close(self) -> None:
        await self.keys.close()
        await self.audit.close()


@pytest.fixture
async def house(sqlite_url: str) -> AsyncIterator[House]:
    store = await Store.open(sqlite_url)
    made = House(store)
    yield made
    await made.close()
    await store.close()


async def test_of_10_000_wrong_keys_none_opens_breaks_or_is_looked_up_for_ever(house: House, full: bool) -> None:
    """They are answered with 401, then with 429; the right one goes in elsewhere meanwhile, and here afterwards."""
    _, text = await house.keys.create(KeyKind.PERSON, "script", by=ADMIN, owner=BEA)
    right = f"Bearer {text.reveal()}".encode()
    guesses = 10_000 if full else 1_000

    answers = [
        (await house.ask(form % number))[0]
        for number, form in zip(range(guesses), itertools.cycle(WRONG), strict=False)
    ]

    assert answers == [401] * FREE + [429] * (guesses - FREE)
    assert house.asked <= FREE
    assert (await house.ask(right, address=ELSEWHERE))[0] == 200
    status, headers = await house.ask(WRONG[0] % 1)
    assert (status, headers[b"retry-after"]) == (429, b"1")
    house.timer.seconds += 1
    assert (await house.ask(WRONG[0] % 1))[0] == 401
    house.timer.seconds += FREE
    assert (await house.ask(right))[0] == 200


async def test_a_guesser_takes_the_place_of_nobody_who_was_let_in_lately(house: House) -> None:
    """Several people may come from one address."""
    _, text = await house.keys.create(KeyKind.PERSON, "script", by=ADMIN, owner=BEA)
    _, worker = await house.keys.create(KeyKind.TOOLKIT, "crm", by=ADMIN)
    right, inbox = f"Bearer {text.reveal()}".encode(), f"/api/v1/toolkit/{worker.reveal()}/requests"
    assert (await house.ask(right))[0] == 200
    assert (await house.ask(path=inbox))[0] == 200

    for number in range(FREE + 5):
        await house.ask(path=f"/api/v1/toolkit/atpg_toolkit_{number:043}/requests")

    assert (await house.ask(path="/api/v1/toolkit/another/requests"))[0] == 429
    assert (await house.ask(right, address=COLLEAGUE))[0] == 200
    assert (await house.ask(path=inbox))[0] == 200
    assert (await house.ask(path="/healthz"))[0] == 200


async def test_a_clients_secret_is_not_guessed_faster(house: House) -> None:
    answers = [(await house.ask(path="/token"))[0] for _ in range(FREE + 2)]

    assert answers == [401] * FREE + [429] * 2


async def test_who_comes_without_a_credential_guesses_nothing(house: House) -> None:
    """Each MCP host's first request is one of these."""
    answers = {(await house.ask())[0] for _ in range(2 * FREE)}

    assert answers == {401}


async def test_an_address_of_version_6_is_a_whole_network(house: House) -> None:
    answers = [(await house.ask(b"Bearer x", address=f"2001:db8:0:1::{number:x}"))[0] for number in range(FREE + 1)]

    assert answers[-2:] == [401, 429]
    assert (await house.ask(b"Bearer x", address="2001:db8:0:2::1"))[0] == 401


async def test_an_address_that_is_many_peoples_is_not_held_against_them(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    """A proxy that nobody told us of: everybody would wait for one guesser."""
    forwarded = ((b"x-forwarded-for", b"192.0.2.7"),)
    for address in ("127.0.0.1", "10.0.0.5", "::1"):
        answers = {(await house.ask(b"Bearer x", address=address, more=forwarded))[0] for _ in range(FREE + 2)}
        assert answers == {401}
    assert caplog.text.count("name it in trusted_proxies") == 1

    known = house.behind(Proxies(["10.0.0.5"]))
    for _ in range(FREE):
        await house.ask(b"Bearer x", address="10.0.0.5", more=forwarded, edge=known)
    assert (await house.ask(b"Bearer x", address="10.0.0.5", more=forwarded, edge=known))[0] == 429
    other = ((b"x-forwarded-for", b"192.0.2.8"),)
    assert (await house.ask(b"Bearer x", address="10.0.0.5", more=other, edge=known))[0] == 401


async def test_what_is_remembered_of_guessers_is_bounded(house: House) -> None:
    house.edge._guessing = Guessing(most=10)
    for number in range(50):
        await house.ask(b"Bearer x", address=f"192.0.2.{number}")

    assert len(house.edge._guessing._wrong) == 10
