"""The provider of an account that a journey connects."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.journeys.oidc_provider import OidcProvider
from tests.journeys.oidc_provider import oidc_provider as running_provider


@pytest.fixture
async def oidc_provider() -> AsyncIterator[OidcProvider]:
    """Where our gateway is registered as a client, with its callback for `acme`."""
    async with running_provider("http://127.0.0.1/oauth/callback/acme") as provider:
        yield provider
