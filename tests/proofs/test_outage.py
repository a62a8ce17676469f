"""The provider is down for ten minutes: nobody hammers it, nothing is given up, and all is well soon after."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.errors import GatewayError, ProviderUnavailableError
from gateway.testing.authorization_server import AuthorizationServer
from gateway.testing.serving import serving
from gateway.toolkit.context import NullChannel
from gateway.types import Call, Client, ConnectionStatus, Credential, NeedsConnection, Principal
from tests.proofs.standing_clock import StandingClock
from tests.proofs.world import LIFE, NEED, World, place_in, registered, rows

DOWN_FOR = timedelta(minutes=10)
BETWEEN_ATTEMPTS = timedelta(seconds=30)
BACK_WITHIN = timedelta(seconds=35)
SECOND = timedelta(seconds=1)


class TokenEndpoint:
    """In front of a provider: fails every token request while it is down, and notes when which grant was tried."""

    def __init__(self, provider: ASGIApp, clock: StandingClock) -> None:
        self._provider = provider
        self._clock = clock
        self.is_down = False
        self.attempts: defaultdict[str, list[datetime]] = defaultdict(list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.is_down and scope["type"] == "http" and scope["path"] == "/token":
            [token] = parse_qs((await Request(scope, receive).body()).decode())["refresh_token"]
            self.attempts[token].append(self._clock.now())
            await PlainTextResponse("down for maintenance", 503)(scope, receive, send)
        else:
            await self._provider(scope, receive, send)


async def test_ten_minutes_without_the_provider_end_nothing(database_url: str, tmp_path: Path) -> None:
    clock = StandingClock(tmp_path / "clock")
    server = AuthorizationServer(registered(), clock=clock)
    server.behaviour.access_lifetime = LIFE
    endpoint = TokenEndpoint(server, clock)
    async with serving(endpoint) as issuer:
        world = World(place_in(tmp_path, database_url, issuer), server, clock)
        async with world.gateway() as gateway:
            broker = (await gateway.accounts.open()).broker
            mine, theirs = gateway.principal, Principal("local", "somebody else")

            async def credential(whose: Principal) -> Credential | NeedsConnection | GatewayError:
                return await broker.credential(Call(whose, Client("proof"), "which", {}, "1", NullChannel()), NEED)

            await world.connect(gateway, "alice")
            clock.advance(LIFE - DOWN_FOR - SECOND)  # mine ends a second into the outage's last moments
            await world.connect(gateway, "bob", theirs)
            clock.advance(LIFE)  # mine has long ended, theirs lasts
            await credential(theirs)
            endpoint.is_down = True
            began = clock.now()
            while clock.now() < began + DOWN_FOR:
                assert isinstance(await credential(mine), ProviderUnavailableError)
                assert isinstance(await credential(theirs), Credential)
                clock.advance(SECOND)
            endpoint.is_down = False
            back = clock.now()
            while not isinstance(await credential(mine), Credential):
                clock.advance(SECOND)
                assert clock.now() - back <= BACK_WITHIN, "still waiting"

            assert {row.status for row in await rows(gateway)} == {ConnectionStatus.ACTIVE}
            for attempts in endpoint.attempts.values():
                gaps = [later - earlier for earlier, later in pairwise(attempts)]
                assert min(gaps, default=DOWN_FOR) >= BETWEEN_ATTEMPTS, gaps
