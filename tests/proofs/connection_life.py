"""A connection's life as a state machine: what people, providers and clocks may do to it, in any order.

Each rule is one thing that happens; after each of them the invariants must hold. The provider is in the same process,
without a socket; its memory and its log are the oracle, and what the machine itself remembers is little: which
consents are under way, and what has been taken back.

    I1  a call never gets a token of another person or account
    I2  at most one refresh is under way for a connection
    I3  a refresh token is replaced only by the answer to a request that sent it: a good client replays none
    I4  an active connection's tokens open
    I5  what was disconnected is never used again
    I6  each change of state is on record, once
    I7  there is a way out of every state
    I8  a consent is used at most once
    I9  a version only grows

Source: what must hold of RFC 6749, RFC 9700 section 4.14, and of any store of other people's tokens.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections import Counter
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.app import Gateway
from gateway.deferred import Outside
from gateway.errors import FlowNotFoundError, GatewayError, WrongBrowserError
from gateway.oauth.flows import Started
from gateway.oauth.http import ProviderTransport
from gateway.store.store import Store
from gateway.testing.authorization_server import AuthorizationServer
from gateway.toolkit.context import NullChannel
from gateway.types import (
    Call,
    Client,
    Connection,
    ConnectionStatus,
    Credential,
    Flow,
    FlowStatus,
    Principal,
    Requirement,
)
from tests.proofs.standing_clock import StandingClock
from tests.proofs.world import LIFE, Place, World, agree, place_in, registered, tokens_of

ISSUER = "http://127.0.0.1:1"
IN_MEMORY = Path("/dev/shm")  # a commit there waits for no disk, and there are thousands of them
PATIENCE = 20.0  # seconds
ACCOUNTS = ("alice@example.com", "bob@example.com")
AN_HOUR = timedelta(hours=1)
STRANGER = Principal("local", "a stranger")
FAULTS = ("refused", "http_503", "html", "empty", "not_json", "timeout_after", "reset_after", "reset_before")


class InProcess(ProviderTransport):
    """The way to a provider in the same process. `fault` is what befalls the next token request, if anything."""

    def __init__(self, server: AuthorizationServer) -> None:
        super().__init__()
        self._app = httpx2.ASGITransport(app=server)
        self.fault: str | None = None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        fault, self.fault = (self.fault, None) if request.url.path == "/token" else (None, self.fault)
        match fault:
            case "refused":
                return httpx2.Response(400, json={"error": "invalid_grant"}, request=request)
            case "http_503":
                return httpx2.Response(503, text="busy", request=request)
            case "reset_before":
                raise httpx2.ConnectError("reset")
        response = await self._app.handle_async_request(request)
        body = await response.aread()
        match fault:
            case "timeout_after":
                raise httpx2.ReadTimeout("no answer")
            case "reset_after":
                raise httpx2.ReadError("reset")
            case "html" | "empty" | "not_json":
                garbage = {"html": "<html>sorry</html>", "empty": "", "not_json": "{"}[fault]
                return httpx2.Response(200, text=garbage, request=request)
        return httpx2.Response(response.status_code, headers=response.headers, content=body, request=request)


@dataclass
class Consent:
    """One under way in a browser: where it was sent, and what it must bring back."""

    started: Started
    query: dict[str, str] | None = None


class ConnectionLife(RuleBasedStateMachine):
    """One person, one provider with two people's accounts, and a gateway that is started again now and then."""

    template: Path
    """A folder with an empty database of the present schema."""

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._folder = Path(tempfile.mkdtemp(prefix="connection-life-", dir=IN_MEMORY if IN_MEMORY.is_dir() else None))
        shutil.copytree(self.template, self._folder, dirs_exist_ok=True)
        self.clock = StandingClock(self._folder / "clock")
        self.server = AuthorizationServer(registered(), clock=self.clock)
        self.server.behaviour.access_lifetime = LIFE
        self.server.behaviour.rotates = True
        self.server.behaviour.reuse_window = timedelta(minutes=2)
        self.transport = InProcess(self.server)
        place: Place = place_in(self._folder, f"sqlite:///{self._folder}/gateway.db", ISSUER)
        self.world = World(place, self.server, self.clock)
        self.consents: list[Consent] = []
        self.used: list[tuple[dict[str, str], Started]] = []
        self.versions: dict[str, int] = {}
        self.dropped_versions = 0
        self.dropped_tokens: set[str] = set()
        self.came_back = 0
        self._stack = AsyncExitStack()
        self._run(self._open())

    def _run(self, work: Awaitable[Any]) -> Any:
        async def bounded() -> Any:
            async with asyncio.timeout(PATIENCE):
                return await work

        return self._runner.run(bounded())

    async def _open(self) -> None:
        outside = Outside(Store.open, lambda: self.transport)
        self.gateway: Gateway = await self._stack.enter_async_context(self.world.gateway(outside))
        self.accounts = await self.gateway.accounts.open()
        self.me = self.gateway.principal

    def teardown(self) -> None:
        try:
            self._run(self._way_out())
        finally:
            self._runner.run(self._stack.aclose())
            self._runner.close()
            shutil.rmtree(self._folder)

    # What happens.

    @initialize(user=st.sampled_from([None, "alice", "bob"]))
    def begin_connected(self, user: str | None) -> None:
        if user is not None:
            self.connect(user)

    @rule(user=st.sampled_from(["alice", "bob"]))
    def connect(self, user: str) -> None:
        """From the link to the end, without a pause."""
        self.start("contacts")
        self.come_back(user)

    @rule(scope=st.sampled_from(["", "contacts"]))
    def start(self, scope: str) -> None:
        """A call needs an account, and the person presses Connect."""

        async def start() -> None:
            need = Requirement("acme", scopes=frozenset(scope.split()))
            flow = await self.accounts.flows.begin(self.me, "proof", need, "which")
            self.consents.append(Consent(await self.accounts.flows.start(flow.id, self.me)))

        self._run(start())

    @precondition(lambda self: self.consents)
    @rule(user=st.sampled_from(["alice", "bob"]))
    def come_back(self, user: str) -> None:
        """The person has agreed, signed in to one of their two accounts. An earlier start of the same flow is void."""

        async def come_back() -> None:
            consent = self.consents.pop()
            query = agree(self.world, consent.started.authorization_url, user)
            self.came_back += 1
            try:
                await self._complete(query, consent.started)
            except GatewayError:
                return
            self.used.append((query, consent.started))

        self._run(come_back())

    @precondition(lambda self: self.consents)
    @rule(how=st.sampled_from(["wrong state", "stranger", "other browser", "declined"]))
    def come_back_wrongly(self, how: str) -> None:
        async def come_back() -> None:
            consent = self.consents.pop()
            query = agree(self.world, consent.started.authorization_url, "bob")
            before = await self._rows()
            try:
                flow = await self._complete_wrongly(how, query, consent.started)
                assert (how, flow.status) == ("declined", FlowStatus.DECLINED)
            except (FlowNotFoundError, WrongBrowserError):
                pass  # said in words
            assert await self._rows() == before

        self._run(come_back())

    @precondition(lambda self: self.used)
    @rule()
    def replay(self) -> None:
        async def replay() -> None:
            query, started = self.used[-1]
            before = await self._rows()
            try:
                await self._complete(query, started)
            except FlowNotFoundError:
                assert await self._rows() == before
                return
            raise AssertionError("a consent was used twice")

        self._run(replay())

    @rule()
    def expire(self) -> None:
        self.clock.advance(LIFE + timedelta(minutes=1))

    @rule(hours=st.sampled_from([-1, 1]))
    def jump(self, hours: int) -> None:
        """The machine's clock is set right, or wrong."""
        self.clock.advance(AN_HOUR * hours)

    @rule()
    def wait_a_little(self) -> None:
        self.clock.advance(timedelta(seconds=40))

    @rule(
        scope=st.sampled_from(["", "contacts", "never-granted"]),
        accounts=st.permutations([None, *ACCOUNTS]),
        times=st.sampled_from([1, 5]),
    )
    def call(self, scope: str, accounts: list[str | None], times: int) -> None:
        """With the default account and with each one by its name, in any order."""
        for account in accounts:
            self._run(self._calls(scope, account, times))

    @rule(fault=st.sampled_from(FAULTS))
    def order_a_fault(self, fault: str) -> None:
        """For the next token request, be it a refresh or an exchange."""
        self.transport.fault = fault

    @rule(rotates=st.booleans())
    def change_policy(self, rotates: bool) -> None:
        """The provider rotates refresh tokens, or keeps the old one."""
        self.server.behaviour.rotates = rotates

    @rule(denied=st.booleans())
    def untick(self, denied: bool) -> None:
        self.server.behaviour.denied_scopes = frozenset({"contacts"}) if denied else frozenset()

    @rule()
    def restart(self) -> None:
        async def restart() -> None:
            await self._stack.aclose()
            fault, self.transport = self.transport.fault, InProcess(self.server)
            self.transport.fault = fault
            await self._open()

        self._run(restart())

    @rule()
    def steal_the_lease(self) -> None:
        """Another process takes the lease, and dies."""

        async def steal() -> None:
            now = self.clock.now()
            for row in await self._rows():
                await self.accounts.store.leases.claim(row, owner="dead", now=now, until=now + timedelta(seconds=30))
            self.clock.advance(timedelta(seconds=31))

        self._run(steal())

    @rule()
    def disconnect(self) -> None:
        async def disconnect() -> None:
            for row in await self._rows():
                self.dropped_tokens.add((await tokens_of(self.gateway, row)).access_token.reveal())
                self.dropped_versions += row.version
                self.versions.pop(row.id, None)
                assert await self.accounts.connections.disconnect(self.me, row.id)
                break

        self._run(disconnect())

    # What must hold.

    @invariant()
    def holds(self) -> None:
        self._run(self._holds())

    async def _holds(self) -> None:
        rows = await self._rows()
        assert len({row.account_id for row in rows}) == len(rows) <= 2
        for row in rows:
            if row.status is ConnectionStatus.ACTIVE:
                await tokens_of(self.gateway, row)  # I4
            assert row.version >= self.versions.get(row.id, 1)  # I9
            self.versions[row.id] = row.version
        assert self.server.log.most_at_once("refresh") <= 1  # I2
        assert self.server.log.replays(timedelta(minutes=2)) == [] or self._was_unlucky()  # I3
        assert self.server.log.after_revoke() == []  # I5
        assert self.server.count("code", None) <= self.came_back  # I8
        assert self.server.count("code", "invalid_grant") == 0  # I8
        await self._is_on_record(rows)

    async def _is_on_record(self, rows: list[Connection]) -> None:
        """I6: a version is made by a consent or a refresh, and each of these leaves one event."""
        await self.gateway.audit.flush()
        events = await self.accounts.store.audit.list_latest(self.me, limit=10_000)
        told = Counter(event.action for event in events)
        made = told["connection.created"] + told["connection.replaced"] + told["connection.refreshed"]
        assert made == sum(row.version for row in rows) + self.dropped_versions, told
        ended = sum(row.status is ConnectionStatus.NEEDS_REAUTH for row in rows)
        assert told["connection.needs_reauth"] >= ended

    def _was_unlucky(self) -> bool:
        """An answer was lost on its way, after which nobody can know better than to send the old token again."""
        return self.lost_an_answer

    lost_an_answer = False

    async def _calls(self, scope: str, account: str | None, times: int) -> None:
        need = Requirement("acme", scopes=frozenset(scope.split()))
        asked = Call(self.me, Client("proof"), "which", {}, "1", NullChannel(), account)
        fault = self.transport.fault
        found = await asyncio.gather(*(self.accounts.broker.credential(asked, need) for _ in range(times)))
        if fault in {"timeout_after", "reset_after", "html", "empty", "not_json"} and self.transport.fault is None:
            self.lost_an_answer = True
        for one in found:
            if isinstance(one, Credential):
                assert account in {None, one.account}  # I1
                self._is_mine(one, need)

    def _is_mine(self, credential: Credential, need: Requirement) -> None:
        token = self.server.grants.find_access(credential.token)
        assert token, "not a token of this provider"
        assert credential.account == token.grant.person.email  # I1
        assert credential.token not in self.dropped_tokens  # I5
        assert need.scopes <= credential.scopes

    async def _way_out(self) -> None:
        """I7: whatever has happened to an account, one more consent and it works."""
        self.transport.fault = None
        self.server.behaviour.denied_scopes = frozenset()
        self.clock.advance(timedelta(minutes=20))
        flow = await self.accounts.flows.begin(self.me, "proof", Requirement("acme"), None)
        started = await self.accounts.flows.start(flow.id, self.me)
        await self._complete(agree(self.world, started.authorization_url, "alice"), started)
        asked = Call(self.me, Client("proof"), "which", {}, "1", NullChannel(), "alice@example.com")
        found = await self.accounts.broker.credential(asked, Requirement("acme"))
        assert isinstance(found, Credential), found
        self._is_mine(found, Requirement("acme"))

    async def _complete(self, query: dict[str, str], started: Started, whose: Principal | None = None) -> Flow:
        return await self.accounts.flows.complete("acme", query, started.browser_token.reveal(), whose or self.me)

    async def _complete_wrongly(self, how: str, query: dict[str, str], started: Started) -> Flow:
        match how:
            case "wrong state":
                return await self._complete(query | {"state": "another"}, started)
            case "stranger":
                return await self._complete(query, started, STRANGER)
            case "other browser":
                return await self.accounts.flows.complete("acme", query, "another", self.me)
            case _:
                denied = {"error": "access_denied", "state": query["state"], "iss": ISSUER}
                return await self._complete(denied, started)

    async def _rows(self) -> list[Connection]:
        return await self.accounts.store.connections.list_all(self.me)
