"""Endpoints from an issuer: what a provider that is configured by its `issuer` alone says about itself.

OpenID Connect Discovery 1.0 section 4 first, then RFC 8414. The document must name the very issuer that was asked
for, and its addresses must be https (loopback for a loopback issuer) and at the issuer's own site: otherwise a document
could send codes and secrets elsewhere. Kept for an hour, and for a day while the issuer does not answer. What the
description itself says wins over the document.

Below: http. Above: apps.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from gateway.clock import Clock
from gateway.errors import ProviderMisconfiguredError, ProviderUnavailableError, SettingsError
from gateway.oauth.http import ProviderTransport, get_json
from gateway.providers.addresses import same_site
from gateway.providers.provider import Identity, Introspection, Provider, Revocation, Scopes, check_url, is_loopback

log = logging.getLogger(__name__)

FRESH_FOR = timedelta(hours=1)
USABLE_FOR = timedelta(days=1)

_ENDPOINTS = (
    "authorization_endpoint",
    "token_endpoint",
    "jwks_uri",
    "userinfo_endpoint",
    "revocation_endpoint",
    "introspection_endpoint",
)


_TRUSTED_WITH = {
    "token_endpoint": "token_url",
    "jwks_uri": "jwks_url",
    "userinfo_endpoint": "userinfo_url",
    "revocation_endpoint": "revocation",
    "introspection_endpoint": "introspection",
}
"""What is sent secrets or believed about people, with the field of a description that pins it elsewhere."""


class Discovery:
    """Completes providers from their issuers' metadata."""

    def __init__(self, transport: ProviderTransport, clock: Clock) -> None:
        self._transport = transport
        self._clock = clock
        self._read: dict[str, tuple[datetime, Mapping[str, Any]]] = {}

    async def complete(self, provider: Provider) -> Provider:
        """The provider with its endpoints. ProviderUnavailableError or ProviderMisconfiguredError without them."""
        if not provider.needs_discovery or provider.issuer is None:
            return provider
        return _completed(provider, await self._metadata(provider, provider.issuer))

    async def _metadata(self, provider: Provider, issuer: str) -> Mapping[str, Any]:
        now = self._clock.now()
        read_at, known = self._read.get(issuer, (None, None))
        if read_at and known and now - read_at < FRESH_FOR:
            return known
        for url in _places(provider, issuer):
            if found := await get_json(self._transport, url):
                _check(provider, issuer, found)
                self._read[issuer] = (now, found)
                return found
        if read_at and known and now - read_at < USABLE_FOR:
            return known
        raise ProviderUnavailableError(
            f"{provider.name} could not be asked for its endpoints: {issuer} serves no metadata right now. "
            "Try again; if it stays so, check issuer, or set authorization_url and token_url."
        )


def _places(provider: Provider, issuer: str) -> list[str]:
    """Where the document may be. RFC 8414 puts the well-known part between host and path."""
    if provider.discovery_url:
        return [provider.discovery_url]
    parts = urlsplit(issuer)
    path = parts.path.rstrip("/")
    origin = f"{parts.scheme}://{parts.netloc}"
    return [
        f"{issuer.rstrip('/')}/.well-known/openid-configuration",
        f"{origin}/.well-known/oauth-authorization-server{path}",
    ]


def _check(provider: Provider, issuer: str, found: Mapping[str, Any]) -> None:
    if found.get("issuer") != issuer:
        raise ProviderMisconfiguredError(
            f"[providers.{provider.id}] issuer is {issuer}, but the metadata there names another one. "
            "Set issuer to exactly what the provider documents, to the last slash."
        )
    for key in _ENDPOINTS:
        url = found.get(key)
        if url is None and key not in {"authorization_endpoint", "token_endpoint"}:
            continue
        try:
            check_url(str(url or ""), f"{key} in {provider.name}'s metadata")
        except SettingsError as error:
            raise ProviderMisconfiguredError(f"{error} It is not used.") from None
        if key in _TRUSTED_WITH and not getattr(provider, _TRUSTED_WITH[key]) and not same_site(str(url), issuer):
            log.error("[providers.%s] is not used: %s in its metadata is at another site", provider.id, key)
            raise ProviderMisconfiguredError(
                f"{key} in {provider.name}'s metadata is not at {_host(issuer)}, nor beside it, so it is not used. If "
                f"the provider documents it so, set {_TRUSTED_WITH[key]} under [providers.{provider.id}] yourself."
            )
        if is_loopback(_host(str(url))) and not is_loopback(_host(issuer)):
            raise ProviderMisconfiguredError(f"{key} in {provider.name}'s metadata points at this machine. Not used.")


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""


def _completed(provider: Provider, found: Mapping[str, Any]) -> Provider:
    revocation, introspection = found.get("revocation_endpoint"), found.get("introspection_endpoint")
    return replace(
        provider,
        authorization_url=provider.authorization_url or found["authorization_endpoint"],
        token_url=provider.token_url or found["token_endpoint"],
        jwks_url=provider.jwks_url or found.get("jwks_uri"),
        userinfo_url=provider.userinfo_url or found.get("userinfo_endpoint"),
        revocation=provider.revocation or (Revocation(revocation) if revocation else None),
        introspection=provider.introspection or (Introspection(introspection) if introspection else None),
        iss_parameter=bool(found.get("authorization_response_iss_parameter_supported", provider.iss_parameter)),
        token_auth_method=_auth_method(provider, found),
        scopes=_scopes(provider.scopes, found.get("scopes_supported")),
        identity=provider.identity or _identity(found),
    )


def _auth_method(provider: Provider, found: Mapping[str, Any]) -> Any:
    """Ours if it is offered; else the first that is. A silent document means Basic (RFC 8414 section 2)."""
    offered = found.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
    known = [m for m in ("client_secret_basic", "client_secret_post", "none") if m in offered]
    return provider.token_auth_method if provider.token_auth_method in known or not known else known[0]


def _scopes(scopes: Scopes, supported: Any) -> Scopes:
    """Where the description names none: who the person is, and a refresh token, as far as the issuer offers them."""
    if scopes.default or not isinstance(supported, list):
        return scopes
    wanted = ("openid", "email", "profile", "offline_access")
    return replace(scopes, default=tuple(scope for scope in wanted if scope in supported), unlisted=("offline_access",))


def _identity(found: Mapping[str, Any]) -> Identity | None:
    label = ("email", "preferred_username", "name")
    if found.get("jwks_uri"):
        return Identity("id_token", ("sub",), label)
    return Identity("userinfo", ("sub",), label) if found.get("userinfo_endpoint") else None
