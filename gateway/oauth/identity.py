"""Which account was connected: its lasting id, and a name that its owner knows it by.

What cannot be learned loses nothing: where the provider does not answer, or names no account, the grant is kept under
the account id `unnamed` and without a label. Only an id_token that is *wrong* (its signature, issuer, audience or
nonce) is refused, and the grant with it: then the answer was meant for somebody else.

Below: client, http, joserfc. Above: flows. Source: OpenID Connect Core 1.0 section 3.1.3.7.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from joserfc import jwt
from joserfc.errors import ExpiredTokenError, InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from gateway.clock import Clock
from gateway.errors import FlowError
from gateway.oauth.apps import ProviderApp
from gateway.oauth.client import OAuthClient
from gateway.oauth.http import ProviderTransport, ask_json, at_path, get_json
from gateway.oauth.placeholders import filled_text, filled_url, known
from gateway.oauth.token_answer import TokenAnswer, matching, text_of
from gateway.providers.provider import Identity
from gateway.secret import Secret

log = logging.getLogger(__name__)

_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
"""Signatures only: never `none`, never one keyed with our client secret."""

_KEYS_FRESH_FOR = timedelta(hours=6)
_LEEWAY = 300  # seconds that the provider's clock may differ from ours
_LONGEST = 256


@dataclass(frozen=True, slots=True)
class Account:
    """`id` is `unnamed` where the provider names no account. `extras` are what calls to it need beside the token."""

    id: str = "unnamed"
    label: str | None = None
    extras: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an account's API is, and what the person calls the site or company there."""

    extras: Mapping[str, str] = field(default_factory=dict)
    label: str | None = None


class Accounts:
    """Finds out who a fresh grant belongs to."""

    def __init__(self, client: OAuthClient, transport: ProviderTransport, clock: Clock) -> None:
        self._client = client
        self._transport = transport
        self._clock = clock
        self._keys: dict[str, tuple[datetime, Mapping[str, Any]]] = {}

    async def identify(
        self, app: ProviderApp, answer: TokenAnswer, nonce: str | None, known: Mapping[str, str] | None = None
    ) -> Account:
        """The account behind a grant. `known` are extras from elsewhere, such as the redirect.

        Raises FlowError for an id_token that belongs to another consent.
        """
        extras = {**answer.extras, **(known or {})}
        identity = app.provider.identity
        if identity is None:
            return Account(extras={**extras, **(await self._looked_up(app, answer, extras)).extras})
        claims = await self._claims(app, replace(answer, extras=extras), nonce)
        extras |= matching(identity.extras, claims)
        place = await self._looked_up(app, answer, extras)
        extras |= place.extras
        parts = [_text(claims, path) or extras.get(path) for path in identity.account_id]
        if not all(parts):
            log.warning("%s did not say which account was connected", app.provider.name)
            return Account(extras=extras)
        label = _label(identity, claims, extras, place.label)
        return Account(":".join(part for part in parts if part), label, extras)

    async def _claims(self, app: ProviderApp, answer: TokenAnswer, nonce: str | None) -> Any:
        """The source's own JSON: claims as a rule, a list where the source lists accounts."""
        provider = app.provider
        match provider.identity.source if provider.identity else None:
            case "token":
                return answer.claims
            case "introspection":
                return await self._client.introspect(app, answer) or {}
            case "userinfo":
                return await self._userinfo(app, answer)
            case "id_token" if answer.id_token:
                claims = await self._id_token(app, answer.id_token, nonce)
                return await self._with_userinfo(app, answer, claims)
        return {}

    async def _userinfo(self, app: ProviderApp, answer: TokenAnswer) -> Any:
        provider, identity = app.provider, app.provider.identity
        words = {**answer.extras, "client_id": app.client_id}
        url = filled_url(provider.userinfo_url or "", words)
        if not url or identity is None:
            return {}
        words["access_token"] = answer.access_token.reveal()
        headers = _complete({**identity.headers, "Authorization": identity.authorization}, words)
        body = filled_text(identity.body, words) if identity.body is not None else None
        return await ask_json(self._transport, url, headers, identity.method, body) or {}

    async def _looked_up(self, app: ProviderApp, answer: TokenAnswer, extras: Mapping[str, str]) -> _Place:
        """What only a question to the API tells: which site, which server.

        Where there are several the provider's own choice is taken, or else the first.
        """
        lookup = app.provider.lookup
        words = {**extras, "client_id": app.client_id}
        url = filled_url(lookup.url, words) if lookup else None
        if lookup is None or url is None:
            return _Place()
        api, words["access_token"] = app.provider.api, answer.access_token.reveal()
        headers = _complete({**api.headers, "Authorization": api.authorization}, words)
        found: Any = await ask_json(self._transport, url, headers)
        if lookup.items is not None:
            listed = at_path(found, lookup.items) if lookup.items else found
            found = _chosen(listed if isinstance(listed, list) else [], lookup.chosen)
        values = {name: (text_of(at_path(found, extra.path)), extra.pattern) for name, extra in lookup.extras.items()}
        fit = {name: text for name, (text, pattern) in values.items() if text and re.fullmatch(pattern, text)}
        if fit.keys() != lookup.extras.keys():
            log.warning("%s did not say where this account's API is", app.provider.name)
        return _Place(fit, _text(found, lookup.label) if lookup.label and fit else None)

    async def _with_userinfo(
        self, app: ProviderApp, answer: TokenAnswer, claims: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """An id_token may leave the name out; userinfo about the same `sub` supplies it (OIDC Core 5.3.2)."""
        provider = app.provider
        named = provider.identity and any(_text(claims, path) for path in provider.identity.label)
        if named or not claims or not provider.userinfo_url:
            return claims
        more = await self._userinfo(app, answer)
        same = isinstance(more, Mapping) and more.get("sub") == claims.get("sub")
        return {**more, **claims} if same else claims

    async def _id_token(self, app: ProviderApp, id_token: Secret, nonce: str | None) -> Mapping[str, Any]:
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

    def _checked(self, app: ProviderApp, claims: dict[str, Any], nonce: str | None) -> Mapping[str, Any]:
        issuer = expected_issuer(app.provider.issuer, claims)
        rules = jwt.JWTClaimsRegistry(
            now=int(self._clock.now().timestamp()),
            leeway=_LEEWAY,
            iss={"essential": True, "value": issuer or ""},
            aud={"essential": True, "value": app.client_id},
            sub={"essential": True},
            exp={"essential": True},
            nonce={"essential": True, "value": nonce} if nonce is not None else {"essential": False},
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


def _label(identity: Identity, claims: Any, extras: Mapping[str, str], place: str | None) -> str | None:
    """The name that a person knows the account by, with the workspace it is in unless the name says so already.

    `place` is that workspace where the claims do not name one.
    """
    label, workspace = (
        next((text for path in paths if (text := _text(claims, path) or extras.get(path))), None)
        for paths in (identity.label, identity.workspace)
    )
    workspace = workspace or place
    if not label or not workspace or workspace.lower() in label.lower():
        return label or workspace
    return f"{label} ({workspace})"


def _chosen(listed: list[Any], flag: str | None) -> Any:
    """The member that the provider itself marks, or else the first."""
    marked = (member for member in listed if flag and at_path(member, flag) is True)
    return next(marked, listed[0] if listed else None)


def _complete(headers: Mapping[str, str], words: Mapping[str, str]) -> dict[str, str]:
    """Headers filled in, without those that are empty or wait for something that this grant does not have."""
    return {name: text for name, text in known(headers, words).items() if text}


def _text(claims: Any, path: str) -> str | None:
    """A claim as one short line, or None."""
    value = at_path(claims, path)
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return "".join(c for c in str(value).strip() if c.isprintable())[:_LONGEST] or None
