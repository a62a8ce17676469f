"""A world for each proof: a provider in this process, on a real port."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.testing.authorization_server import AuthorizationServer
from gateway.testing.serving import serving
from tests.proofs.standing_clock import StandingClock
from tests.proofs.world import LIFE, World, place_in, registered


@pytest.fixture
async def world(database_url: str, tmp_path: Path) -> AsyncIterator[World]:
    """Strict by default: every refresh rotates, and a token that was replaced ends the grant when it comes back."""
    clock = StandingClock(tmp_path / "clock")
    server = AuthorizationServer(registered(), clock=clock)
    server.behaviour.access_lifetime = LIFE
    server.behaviour.rotates = True
    async with serving(server) as issuer:
        yield World(place_in(tmp_path, database_url, issuer), server, clock)
