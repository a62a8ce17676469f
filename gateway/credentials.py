"""The seam between a call and people's accounts: whose token, and what there is to know of its provider.

`Broker` fulfils it; the surfaces' stand-ins and `gateway.deferred` pass it on. Below: the vocabulary, providers.
Above: the executor.
"""

from __future__ import annotations

from typing import Protocol

from gateway.errors import GatewayError
from gateway.providers.provider import Provider
from gateway.types import Call, Credential, NeedsConnection, Requirement


class Credentials(Protocol):
    """Answers "a live credential for this person and this need". The Broker, or a stand-in that wakes it."""

    async def credential(
        self, call: Call, requirement: Requirement, refused: Credential | None = None
    ) -> Credential | NeedsConnection | GatewayError:
        """A credential for the call. `refused` is one that the provider has just turned down: another is wanted."""
        ...

    def describe(self, provider: str) -> Provider | None:
        """What is known of a provider, without asking anybody; None of one that is not described here."""
        ...
