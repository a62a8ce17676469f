"""What every test of the MCP surface shares: a surface around the test's own tools, and both eras."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from gateway.surfaces.mcp.limits import Limits
from tests.surfaces.mcp.world import World


@pytest.fixture
def limits() -> Limits:
    """A test module overrides this to move a limit."""
    return Limits()


@pytest.fixture
async def world(limits: Limits) -> AsyncIterator[World]:
    made = World(limits)
    yield made
    await made.audit.close()


@pytest.fixture(params=["auto", "legacy"], ids=["modern", "handshake"])
def era(request: pytest.FixtureRequest) -> str:
    """The mode of `mcp.Client` that speaks one protocol era."""
    mode: str = request.param
    return mode
