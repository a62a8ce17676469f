"""Which account was connected: its lasting id, and a name that its owner knows it by.

What cannot be learned loses nothing: where the provider does not answer, or names no account, the grant is kept under
the account id `unnamed` and without a label. Only an id_token that is *wrong* (its signature, issuer, audience or
nonce) is refused, and the grant with it: then the answer was meant for somebody else.

Below: client, http, joserfc. Above: flows. Source: OpenID Connect Core 1.0 section 3.1.3.7.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from joserfc import jwt
from joserfc.errors import ExpiredTokenError, InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from gateway.clock import Clock
from gateway.errors import FlowError
from gateway.oauth.apps import ProviderApp
from gateway.oauth.client import OAuthClient
from gateway.oauth.http import ProviderTransport, at_path, get_json
from gateway.oauth.token_answer import TokenAnswer
from gateway.secret import Secret

log = logging.getLogger(__name__)

_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
"""Signatures only: never `none`, never one keyed with our client secret."""

_KEYS_FRESH_FOR = timedelta(hours=6)
_LEEWAY = 300  # seconds that the provider's clock may differ from ours
_LONGEST = 256


@dataclass(frozen=True, slots=True)
class Account:
    """`id` is `unnamed` where the provider names no account."""

    id: str = "unnamed"
    label: str | None = None


class Accounts:
    """Finds out who a fresh grant belongs to."""

    def __init__(self, client: OAuthClient, transport: ProviderTransport, clock: Clock) -> None:
        self._client = client
        self._transport = transport
        self._clock = clock
        self._keys: dict[str, tuple[datetime, Mapping[str, Any]]] = {}

    async def identify(self, app: ProviderApp, answer: TokenAnswer, nonce: str) -> Account:
        """The account behind a grant. Raises FlowError for an id_token that belongs to another consent."""
        identity = app.provider.identity
        if identity is None:
            return Account()
        claims = await self._claims(app, answer, nonce)
        parts = [_text(claims, path) for path in identity.account_id]
        if not all(parts):
            log.warning("%s did not say which account was connected", app.provider.name)
            return Account()
        label = next((text for path in identity.label if (text := _text(claims, path))), None)
        return Account(":".join(part for part in parts if part), label)

    async def _claims(self, app: ProviderApp, answer: TokenAnswer, nonce: str) -> Mapping[str, Any]:
        provider = app.provider
        match provider.identity.source if provider.identity else None:
            case "token":
                return answer.claims
            case "introspection":
                return await self._client.introspect(app, answer) or {}
            case "userinfo" if provider.userinfo_url:
                return await get_json(self._transport, provider.userinfo_url, answer.access_token) or {}
            case "id_token" if answer.id_token:
                claims = await self._id_token(app, answer.id_token, nonce)
                return await self._with_userinfo(app, answer, claims)
        return {}

    async def _with_userinfo(
        self, app: ProviderApp, answer: TokenAnswer, claims: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """An id_token may leave the name out; userinfo about the same `sub` supplies it (OIDC Core 5.3.2)."""
        provider = app.provider
        named = provider.identity and any(_text(claims, path) for path in provider.identity.label)
        if named or not claims or not provider.userinfo_url:
            return claims
        more = await get_json(self._transport, provider.userinfo_url, answer.access_token) or {}
        return {**more, **claims} if more.get("sub") == claims.get("sub") else claims

    async def _id_token(self, app: ProviderApp, id_token: Secret, nonce: str) -> Mapping[str, Any]:
        for fresh in (False, True):  # a key we do not know yet may have been added since
            keys = await self._key_set(app, fresh=fresh)
            if keys is None:
                return {}
            try:
                claims = jwt.decode(id_token.reveal(), keys, algorithms=_ALGORITHMS).claims
            except (InvalidKeyIdError, ValueError) as error:
                if fresh:
                    raise _wrong(app, error) from None
                continue
            except JoseError as error:
                raise _wrong(app, error) from None
            return self._checked(app, claims, nonce)
        return {}

    def _checked(self, app: ProviderApp, claims: dict[str, Any], nonce: str) -> Mapping[str, Any]:
        issuer = expected_issuer(app.provider.issuer, claims)
        rules = jwt.JWTClaimsRegistry(
            now=int(self._clock.now().timestamp()),
            leeway=_LEEWAY,
            iss={"essential": True, "value": issuer or ""},
            aud={"essential": True, "value": app.client_id},
            sub={"essential": True},
            exp={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        try:
            rules.validate(claims)
        except ExpiredTokenError:
            log.warning("%s sent an id_token that has ended: is this machine's clock right?", app.provider.name)
            return {}
        except JoseError as error:
            raise _wrong(app, error) from None
        return claims

    async def _key_set(self, app: ProviderApp, *, fresh: bool) -> KeySet | None:
        url, now = app.provider.jwks_url, self._clock.now()
        if url is None or app.provider.issuer is None:
            return None
        read_at, known = self._keys.get(url, (None, None))
        if known is None or read_at is None or fresh or now - read_at > _KEYS_FRESH_FOR:
            known = await get_json(self._transport, url)
            if known is None:
                return None
            self._keys[url] = (now, known)
        try:
            return KeySet.import_key_set({"keys": list(known["keys"])})
        except (JoseError, ValueError, KeyError, TypeError):
            log.warning("%s publishes keys that cannot be read", app.provider.name)
            return None


def expected_issuer(issuer: str | None, claims: Mapping[str, Any]) -> str | None:
    """The issuer that a provider's tokens must name; Microsoft's holds the person's own directory, `{tid}`."""
    return issuer.replace("{tid}", str(claims.get("tid"))) if issuer else None


def _wrong(app: ProviderApp, error: Exception) -> FlowError:
    log.error("%s sent an id_token that does not belong to this consent: %s", app.provider.name, type(error).__name__)
    return FlowError(
        f"{app.provider.name} answered with an identity that does not belong to this consent, so nothing was "
        "connected. Start again from the link; if it happens again, tell the operator."
    )


def _text(claims: Mapping[str, Any], path: str) -> str | None:
    """A claim as one short line, or None."""
    value = at_path(claims, path)
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return "".join(c for c in str(value).strip() if c.isprintable())[:_LONGEST] or None
