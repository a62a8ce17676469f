"""A call in which the app brings the token itself.

The token travels with the call and is gone with it: nothing is stored, and no other call can meet it. `AppCredentials`
stands before the broker in the executor that serves apps.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.credentials import Credentials
from gateway.errors import GatewayError, TokenRefusedError
from gateway.providers.provider import Provider
from gateway.secret import Secret
from gateway.types import Call, Credential, NeedsConnection, Requirement


@dataclass(frozen=True, slots=True)
class AppCall(Call):
    """A Call from an app. `auth_token` is an access token or API key that the app supplied for this call only."""

    auth_token: Secret | None = None


class AppCredentials:
    """The executor's Credentials for apps: the call's own token where there is one, else the broker's."""

    def __init__(self, broker: Credentials) -> None:
        self._broker = broker

    async def credential(
        self, call: Call, requirement: Requirement, refused: Credential | None = None
    ) -> Credential | NeedsConnection | GatewayError:
        if not isinstance(call, AppCall) or not call.auth_token:
            return await self._broker.credential(call, requirement, refused)
        if refused is not None:
            return TokenRefusedError(
                "the refused one came with the call. Send a fresh one, or none: the gateway then uses the person's own "
                "connection."
            )
        return Credential(requirement.provider, call.auth_token.reveal())

    def describe(self, provider: str) -> Provider | None:
        return self._broker.describe(provider)
