"""Whether a person has to be asked once more.

Saying yes is remembered for one person, client, redirect URI and set of scopes, and counts only where the client cannot
be somebody else's program. A public client has nothing to prove itself with: only where its answer goes to a web site
is it that site that asks (RFC 8252 section 8.6); a program on the person's machine, or one with a scheme of its own, is
asked about every time. Nor does it count where another site sent the browser here, for that would be its click and not
the person's: then the page is shown.

Below: the store's rows, redirect_uris. Above: the surface.
Source: MCP 2026-07-28, Security Best Practices, "Confused Deputy Problem"; W3C Fetch Metadata.
"""

from __future__ import annotations

from datetime import datetime

from gateway.authorization.redirect_uris import PlaceKind, place_of
from gateway.authorization.requests import AuthorizationRequest
from gateway.authorization_types import GivenConsent
from gateway.clock import Clock
from gateway.store.client_rows import ClientRows
from gateway.types import AuditEvent, Principal

_PERSONS_OWN = ("none", "same-origin")


class Consents:
    def __init__(self, rows: ClientRows, clock: Clock) -> None:
        self._rows = rows
        self._clock = clock

    async def last_given(self, request: AuthorizationRequest, principal: Principal) -> datetime | None:
        """When the person said yes to just this, if that counts for anything."""
        if not _can_be_told(request):
            return None
        return await self._rows.find_consent(_consent(request, principal))

    def may_be_skipped(self, request: AuthorizationRequest, came_from: str | None) -> bool:
        """Whether a former yes is enough. `came_from` is the browser's `Sec-Fetch-Site`."""
        return "consent" not in request.prompts and _can_be_told(request) and came_from in _PERSONS_OWN

    async def remember(
        self, request: AuthorizationRequest, principal: Principal, event: AuditEvent | None = None
    ) -> None:
        """Keep a yes, where it will count. The event says so."""
        if _can_be_told(request):
            await self._rows.remember(_consent(request, principal), self._clock.now(), event)


def _can_be_told(request: AuthorizationRequest) -> bool:
    """Whether the client can be told from one that only says it was it."""
    return not request.client.is_public or place_of(request.addressee.redirect_uri).kind is PlaceKind.SITE


def _consent(request: AuthorizationRequest, principal: Principal) -> GivenConsent:
    return GivenConsent(principal, request.client.id, request.addressee.redirect_uri, request.scopes)
