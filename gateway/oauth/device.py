"""A consent on another device, for machines without a browser: RFC 8628. Off unless the operator switches it on.

It is off because it can be turned against people: whoever is sent a code and talked into entering it hands their
account to the person who began. Nothing ties the two together, as the browser's cookie does for a link
(`gateway.oauth.flows`), so the code is shown on the terminal of the person who asked, and nowhere else: no tool call
and no agent ever begins one.

Below: client, consent. Above: the command line. Source: RFC 8628 sections 3.5 and 5.4.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from gateway.audit import AuditLog
from gateway.clock import Clock
from gateway.errors import FlowError, GatewayError, SettingsError
from gateway.oauth.apps import Apps, ProviderApp
from gateway.oauth.client import OAuthClient
from gateway.oauth.consent import Consent, refusal
from gateway.oauth.facts import of_flow
from gateway.oauth.token_answer import ErrorKind, TokenAnswer, TokenEndpointError
from gateway.oauth.typed import read_variables
from gateway.secret import Secret
from gateway.types import Connection, Flow, Principal, Requirement

_SLOWER = timedelta(seconds=5)
_SLOWEST = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the person is shown: enter `code` at `address`, while it `lives`."""

    address: str
    code: str
    lives: timedelta


@dataclass(frozen=True, slots=True)
class Waiting:
    """A consent that somebody is to give elsewhere."""

    prompt: Prompt
    app: ProviderApp
    flow: Flow
    device_code: Secret
    interval: timedelta


class DeviceConsents:
    """Begins them and waits for them. `pause` sleeps for so many seconds."""

    def __init__(
        self,
        client: OAuthClient,
        consent: Consent,
        *,
        apps: Apps,
        audit: AuditLog,
        clock: Clock,
        enabled: bool,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._client = client
        self._consent = consent
        self._apps = apps
        self._audit = audit
        self._clock = clock
        self._enabled = enabled
        self._pause = pause

    async def begin(
        self, principal: Principal, requirement: Requirement, variables: Mapping[str, str] | None = None
    ) -> Waiting:
        """A code for the person. SettingsError where it is off; FlowError where the provider has no such thing."""
        if not self._enabled:
            raise SettingsError(
                "Connecting with a code from another device is off. Set device_flow = true under [server] in "
                "gateway.toml to allow it; leave it off where a browser can be used."
            )
        provider, tenant = requirement.provider, principal.tenant
        hosts = self._apps.settings(provider, tenant).allowed_hosts
        filled = read_variables(self._apps.asks(provider, tenant), variables or {}, hosts)
        app = await self._apps.get(provider, tenant=tenant, variables=filled)
        if app.provider.device is None:
            raise FlowError(f"{app.provider.name} has no consent on another device. Connect without --device.")
        scopes = requirement.scopes | app.scopes
        try:
            answer = await self._client.device_authorization(app, scopes)
        except TokenEndpointError as error:
            raise refusal(app, error) from None
        now = self._clock.now()
        flow = Flow(
            id=secrets.token_urlsafe(32),
            principal=principal,
            client="atp-gateway connect --device",
            provider=provider,
            kind=requirement.kind,
            scopes=scopes,
            tool=None,
            created_at=now,
            expires_at=answer.expires_at,
            variables=filled,
        )
        prompt = Prompt(answer.verification_uri, answer.user_code, answer.expires_at - now)
        self._record(flow, "flow.begun", "pending")
        return Waiting(prompt, app, flow, answer.device_code, answer.interval)

    async def finish(self, waiting: Waiting) -> Connection:
        """Wait for the person, and keep what they grant. FlowError where they said no, or did nothing in time."""
        try:
            answer = await self._granted(waiting)
            return await self._consent.keep(waiting.app, waiting.flow, answer, nonce=None)
        except GatewayError as error:
            self._record(waiting.flow, "connection.failed", error.code)
            raise

    async def _granted(self, waiting: Waiting) -> TokenAnswer:
        interval = waiting.interval
        while self._clock.now() + interval < waiting.flow.expires_at:
            await self._pause(interval.total_seconds())
            try:
                return await self._client.device_token(waiting.app, waiting.device_code)
            except TokenEndpointError as error:
                slower = _slower(interval, error)
                if slower is None:
                    raise _refused(waiting.app, error) from None
                interval = slower
        raise FlowError("Nobody entered the code in time. Run the command again for a new one.")

    def _record(self, flow: Flow, action: str, outcome: str) -> None:
        self._audit.note(of_flow(self._audit, flow, action, outcome))


def _slower(interval: timedelta, error: TokenEndpointError) -> timedelta | None:
    """How long to wait before asking again; None: it is over."""
    match error.code:
        case "authorization_pending":
            return interval
        case "slow_down":
            return interval + _SLOWER
    if error.kind is not ErrorKind.UNAVAILABLE:
        return None
    return max(interval, min(error.retry_after or 2 * interval, _SLOWEST))


def _refused(app: ProviderApp, error: TokenEndpointError) -> GatewayError:
    match error.code:
        case "access_denied":
            return FlowError("Not connected: you declined on the other device.")
        case "expired_token":
            return FlowError("Nobody entered the code in time. Run the command again for a new one.")
    return refusal(app, error)
