"""Access in the gateway's own name, for tools that act for nobody: client credentials and service accounts.

No person consents and none can be asked: the operator's registration is the proof, and it is used only by tools that
say so in their declaration. It never stands in for a person's connection that is missing. Tokens are held in memory
only, for each tenant, provider and set of scopes: a new one costs one request and no consent, so none is stored. One
request is under way at a time for each, however many calls wait; a caller that gives up does not stop it.

Below: apps, client. Above: broker. Source: RFC 6749 section 4.4, RFC 7523.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import MappingProxyType

from gateway.clock import Clock
from gateway.errors import GatewayError, ProviderMisconfiguredError, ProviderUnavailableError, SettingsError
from gateway.oauth.apps import Apps, ProviderApp, place_of
from gateway.oauth.assertion import read_key_file
from gateway.oauth.client import OAuthClient
from gateway.oauth.detached import Detached
from gateway.oauth.token_answer import ErrorKind, TokenAnswer, TokenEndpointError
from gateway.types import Credential, CredentialKind, Requirement, TokenSet

OWN_KINDS = frozenset({CredentialKind.CLIENT_CREDENTIALS, CredentialKind.SERVICE_ACCOUNT})

_MARGIN = timedelta(minutes=1)
_SHARE_OF_LIFE = 0.2
_PAUSE = {ErrorKind.MISCONFIGURED: timedelta(seconds=60), ErrorKind.REFUSED: timedelta(seconds=60)}
_SHORT_PAUSE = timedelta(seconds=5)

Key = tuple[str, Requirement]


@dataclass(frozen=True, slots=True)
class _Held:
    """`tokens` keeps the Secret alive that the log's redactor looks for. Renewed from `due` on."""

    credential: Credential
    tokens: TokenSet
    due: datetime | None


@dataclass(frozen=True, slots=True)
class _Failed:
    error: GatewayError
    until: datetime


class OwnAccess:
    """Credentials that belong to the operator."""

    def __init__(self, apps: Apps, client: OAuthClient, clock: Clock) -> None:
        self._apps = apps
        self._client = client
        self._clock = clock
        self._held: dict[Key, _Held] = {}
        self._failed: dict[Key, _Failed] = {}
        self._running: dict[Key, asyncio.Task[Credential]] = {}
        self._detached = Detached()

    async def credential(self, tenant: str, requirement: Requirement, refused: Credential | None = None) -> Credential:
        """A live one. `refused` is one that the provider has just turned down: another is fetched, once.

        ProviderNotConfiguredError, ProviderMisconfiguredError, ProviderUnavailableError or SettingsError, which name
        the setting.
        """
        key, now = (tenant, requirement), self._clock.now()
        held = self._held.get(key)
        is_refused = held is not None and refused is not None and refused.version >= held.credential.version
        if held is not None and not is_refused and (held.due is None or now < held.due):
            return held.credential
        try:
            return await self._fetched(key)
        except ProviderUnavailableError:
            if held is None or is_refused or (ends := held.credential.expires_at) is None or ends <= now:
                raise
            return held.credential  # due for renewal, and still good

    async def close(self) -> None:
        """Wait for requests under way."""
        await self._detached.close(1.0)

    async def _fetched(self, key: Key) -> Credential:
        failed = self._failed.get(key)
        if failed is not None and self._clock.now() < failed.until:
            raise failed.error
        task = self._running.get(key)
        if task is None:
            task = self._running[key] = self._detached.start(self._fetch(key))
            task.add_done_callback(lambda _: self._running.pop(key, None))
        return await asyncio.shield(task)

    async def _fetch(self, key: Key) -> Credential:
        tenant, requirement = key
        app = await self._apps.get(requirement.provider, tenant=tenant, variables={}, kind=requirement.kind)
        try:
            answer = await self._ask(app, requirement)
        except TokenEndpointError as error:
            pause = error.retry_after or _PAUSE.get(error.kind, _SHORT_PAUSE)
            told = _told(app, tenant, requirement, error)
            self._failed[key] = _Failed(told, self._clock.now() + pause)
            raise told from None
        self._failed.pop(key, None)
        tokens = answer.tokens(app.provider, requirement.scopes)
        held = self._held[key] = self._hold(requirement, tokens, self._held.get(key))
        return held.credential

    async def _ask(self, app: ProviderApp, requirement: Requirement) -> TokenAnswer:
        if requirement.kind is CredentialKind.CLIENT_CREDENTIALS:
            return await self._client.client_credentials(app, requirement.scopes)
        if app.service_account is None:
            raise SettingsError(f"Set service_account under [providers.{app.provider.id}] in gateway.toml.")
        return await self._client.assertion(app, requirement.scopes, read_key_file(app.service_account))

    def _hold(self, requirement: Requirement, tokens: TokenSet, former: _Held | None) -> _Held:
        now, ends = self._clock.now(), tokens.expires_at
        credential = Credential(
            provider=requirement.provider,
            token=tokens.access_token.reveal(),
            scopes=tokens.scopes,
            expires_at=ends,
            extras=MappingProxyType(dict(tokens.extras)),
            connection_id=f"own {requirement.kind}",
            version=former.credential.version + 1 if former else 1,
        )
        due = None if ends is None else ends - min(_MARGIN, (ends - now) * _SHARE_OF_LIFE)
        return _Held(credential, replace(tokens, refresh_token=None), due)


def _told(app: ProviderApp, tenant: str, requirement: Requirement, error: TokenEndpointError) -> GatewayError:
    name, place = app.provider.name, place_of(app.provider.id)
    if error.kind is ErrorKind.UNAVAILABLE:
        return ProviderUnavailableError(f"{name} gives no access just now ({error.code}). Try again in a moment.")
    settings = (
        "client_id, client_secret" if requirement.kind is CredentialKind.CLIENT_CREDENTIALS else "service_account"
    )
    tenants = "" if tenant == "default" else f" (or the tenant's own, [{place_of(app.provider.id, tenant)}])"
    return ProviderMisconfiguredError(
        f"{name} gives this gateway no access in its own name ({error.code}). The operator has to check {settings} and "
        f"what that registration may do, under [{place}]{tenants} in gateway.toml."
    )
