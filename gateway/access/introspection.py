"""Asking an issuer about one of its opaque tokens: by introspection (RFC 7662), or at Google's tokeninfo.

The token travels in a request's body or its Authorization header, never in an address. Below: issuer, and one function
that posts a form. Above: introspected_tokens, by way of the app.
"""

from __future__ import annotations

import logging
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import quote_plus

from gateway.access.issuer import Issuer
from gateway.errors import IssuerUnavailableError
from gateway.secret import Secret

log = logging.getLogger(__name__)

Post = Callable[[str, Mapping[str, str], Mapping[str, str]], Awaitable[tuple[int, Mapping[str, Any]] | None]]
"""Posts a form, with headers, to a URL: status and JSON object ({} for any other body), or None for no answer."""


class Introspection:
    """Asks as the client that we are registered as."""

    def __init__(self, issuer: Issuer, client_id: str, client_secret: Secret, post: Post) -> None:
        self._issuer = issuer
        self._client_id = client_id
        self._client_secret = client_secret
        self._post = post

    async def __call__(self, token: str) -> Mapping[str, Any] | None:
        url = await self._issuer.endpoint("introspection_endpoint")
        form = {"token": token, "token_type_hint": "access_token"}
        answer = await self._post(url, form, {"Authorization": self._basic()})
        status, found = answer or (0, {})
        if status in (400, 401, 403):
            log.error("%s refuses to introspect for [access] client_id: HTTP %d", self._issuer.url, status)
        if status != 200 or "active" not in found:
            raise IssuerUnavailableError(f"{self._issuer.url} does not say anything about tokens right now.")
        is_access_token = str(found.get("token_type", "bearer")).lower() in {"bearer", "access_token"}
        return found if found["active"] is True and is_access_token else None

    def _basic(self) -> str:
        """RFC 6749 section 2.3.1: both parts are form-encoded first."""
        parts = (quote_plus(self._client_id), quote_plus(self._client_secret.reveal()))
        return f"Basic {b64encode(':'.join(parts).encode()).decode()}"


class TokenInfo:
    """Asks Google, to whom a token says by itself whose it is."""

    def __init__(self, url: str, post: Post) -> None:
        self._url = url
        self._post = post

    async def __call__(self, token: str) -> Mapping[str, Any] | None:
        answer = await self._post(self._url, {}, {"Authorization": f"Bearer {token}"})
        status, found = answer or (0, {})
        if status == 200:
            return found
        if status in (400, 401):
            return None
        raise IssuerUnavailableError(f"{self._url} does not say anything about tokens right now.")
