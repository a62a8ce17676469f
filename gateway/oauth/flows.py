"""Flows: a consent from our own link to a Connection.

    begin     a call needs an account: a row, and a link to our page that is worthless without its owner's sign-in
    describe  what the page shows
    start     the person pressed Connect: this browser gets a token, and goes to the provider with a state
    complete  the provider sent the browser back: same person, same browser, right state, once
    submit_key, decline     the two other ways to end it
    wait      whoever began it learns how it ended

Two attacks meet here: a forwarded link (somebody else's account ends up with the person who sent it) and a pushed
callback (the reverse). Both need a second person, so every step compares the Principal, and the browser that comes
back must be the one that left. A flow that is unknown, expired, used or somebody else's looks the same from outside.

Below: consent, grants, store, audit. Above: broker, the pages. Source: RFC 9700 sections 4.4 and 4.7.
"""

from __future__ import annotations

import asyncio
import hmac
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.audit import AuditLog
from gateway.clock import Clock
from gateway.errors import FlowError, FlowNotFoundError, GatewayError, WrongBrowserError
from gateway.oauth.apps import Apps
from gateway.oauth.consent import DECLINED, Consent, check_issuer, digest, redirect_error
from gateway.oauth.detached import Detached
from gateway.oauth.grants import Grants
from gateway.oauth.identity import Account
from gateway.secret import Secret
from gateway.store.flow_rows import FlowRows
from gateway.types import Connection, CredentialKind, Flow, FlowStatus, Principal, Requirement, TokenSet

LIFE = timedelta(minutes=10)
_WORTH_REUSING = timedelta(minutes=3)
_KEPT_FOR = timedelta(days=1)
_POLL = 1.0  # seconds between looks at the row, for a flow that another process may end
_API_KEY = re.compile(r"[\x21-\x7e]{1,16384}")


@dataclass(frozen=True, slots=True)
class FlowView:
    """What the connect page shows."""

    id: str
    provider: str
    provider_name: str
    kind: CredentialKind
    client: str
    tool: str | None
    scopes: list[str]
    status: FlowStatus
    failure: str | None
    expires_at: datetime
    return_url: str | None


@dataclass(frozen=True, slots=True)
class Started:
    """Where to send the browser, and the token it must come back with. `max_age` is in seconds."""

    authorization_url: str
    browser_token: Secret
    max_age: int


class Flows:
    """`base_url` gives our own address as browsers reach it, without a slash at the end."""

    def __init__(
        self,
        rows: FlowRows,
        grants: Grants,
        *,
        apps: Apps,
        consent: Consent,
        audit: AuditLog,
        clock: Clock,
        base_url: Callable[[], Awaitable[str]],
    ) -> None:
        self._rows = rows
        self._grants = grants
        self._apps = apps
        self._consent = consent
        self._audit = audit
        self._clock = clock
        self._base_url = base_url
        self._detached = Detached()
        self._ended: dict[str, asyncio.Event] = {}

    async def begin(
        self,
        principal: Principal,
        client: str,
        requirement: Requirement,
        tool: str | None,
        return_url: str | None = None,
    ) -> Flow:
        """A flow for this need: the pending one, if there is one with some life left, or a new one.

        UnknownProviderError or ProviderNotConfiguredError where nobody could ever complete it.
        """
        scopes: frozenset[str] = frozenset()
        if requirement.kind is CredentialKind.OAUTH2:
            scopes = requirement.scopes | (await self._apps.get(requirement.provider, tenant=principal.tenant)).scopes
        now = self._clock.now()
        found = await self._rows.find_pending(principal, requirement.provider, requirement.kind, scopes, tool, now)
        if found and found.return_url == return_url and found.expires_at - now > _WORTH_REUSING:
            return found
        flow = Flow(
            id=secrets.token_urlsafe(32),
            principal=principal,
            client=client,
            provider=requirement.provider,
            kind=requirement.kind,
            scopes=scopes,
            tool=tool,
            created_at=now,
            expires_at=now + LIFE,
            return_url=return_url,
        )
        await self.prune()
        await self._rows.put(flow)
        self._record(flow, "flow.begun", "pending")
        return flow

    async def url(self, flow: Flow) -> str:
        """The link to our page. It may travel through chats and logs: it opens nothing without the person's sign-in."""
        return f"{await self._base_url()}/connect/{flow.id}"

    async def describe(self, flow_id: str, principal: Principal) -> FlowView:
        """What the page shows, also after the flow has ended. FlowNotFoundError."""
        flow = await self._get(flow_id, principal)
        return FlowView(
            id=flow.id,
            provider=flow.provider,
            provider_name=self._apps.display_name(flow.provider),
            kind=flow.kind,
            client=flow.client,
            tool=flow.tool,
            scopes=sorted(flow.scopes),
            status=flow.status,
            failure=flow.failure,
            expires_at=flow.expires_at,
            return_url=flow.return_url,
        )

    async def start(self, flow_id: str, principal: Principal) -> Started:
        """The person pressed Connect. Pressing again makes the former state and browser token worthless."""
        flow = await self._get(flow_id, principal)
        if flow.kind is not CredentialKind.OAUTH2:
            raise FlowError("This connection takes an API key. Enter it on the page.")
        app = await self._apps.get(flow.provider, tenant=flow.principal.tenant, variables=flow.variables)
        redirect_uri = f"{await self._base_url()}/oauth/callback/{flow.provider}"
        departure = await self._consent.depart(app, flow, redirect_uri)
        browser, now = Secret(secrets.token_urlsafe(32)), self._clock.now()
        begun = await self._rows.begin(
            flow.id,
            redirect_uri=redirect_uri,
            state_hash=departure.state_hash,
            browser_hash=digest(browser.reveal()),
            sealed_verifier=departure.sealed_verifier,
            now=now,
        )
        if not begun:
            raise _not_found()
        self._record(flow, "flow.started", "pending")
        return Started(departure.authorization_url, browser, int((flow.expires_at - now).total_seconds()))

    async def complete(
        self, provider_id: str, query: Mapping[str, str], browser_token: str | None, principal: Principal
    ) -> Flow:
        """The provider sent a browser back. The flow, connected or declined.

        FlowNotFoundError, WrongBrowserError; FlowError or ProviderError where it failed, which the flow records. A
        redirect with an error makes no request to the provider.
        """
        state = query.get("state")
        flow = await self._rows.consume_state(digest(state), provider_id, self._clock.now()) if state else None
        if flow is None:
            raise _not_found()
        # From here the state is used up, so the flow must reach an end even if this browser is closed now.
        return await self._detached.run(self._complete(flow, query, browser_token, principal))

    async def _complete(
        self, flow: Flow, query: Mapping[str, str], browser_token: str | None, principal: Principal
    ) -> Flow:
        try:
            self._check_person(flow, browser_token, principal)
            app = await self._apps.get(flow.provider, tenant=flow.principal.tenant, variables=flow.variables)
            check_issuer(app, query)
            error = redirect_error(query)
            if error in DECLINED:
                return await self._end_declined(flow)
            if error:
                raise FlowError(_redirect_sentence(app.provider.name, error, app.provider.notes))
            return await self._end_connected(flow, await self._consent.arrive(app, flow, query))
        except GatewayError as error:
            await self._end(flow, FlowStatus.FAILED, failure=error.message)
            self._record(flow, "connection.failed", error.code)
            raise

    def _check_person(self, flow: Flow, browser_token: str | None, principal: Principal) -> None:
        if not flow.principal.same_person(principal):
            raise _not_found()
        returned = digest(browser_token) if browser_token else ""
        if flow.browser_hash is None or not hmac.compare_digest(returned, flow.browser_hash):
            raise WrongBrowserError(
                "This is not the browser in which Connect was pressed, so nothing was connected. "
                "Open the link again and stay in one browser."
            )

    async def submit_key(self, flow_id: str, principal: Principal, api_key: Secret) -> Flow:
        """Keep an API key that the person typed in. A key that cannot be one leaves the flow open."""
        flow = await self._get(flow_id, principal)
        if flow.kind is not CredentialKind.API_KEY:
            raise FlowError("This connection is made at the provider. Press Connect.")
        key = Secret(api_key.reveal().strip())
        if not _API_KEY.fullmatch(key.reveal()):
            raise FlowError("That is not an API key: it is empty, too long, or has a space in it. Copy it again.")
        used = await self._consume(flow)
        return await self._detached.run(self._keep_key(used, key))

    async def _keep_key(self, flow: Flow, key: Secret) -> Flow:
        try:
            connection = await self._grants.put(
                flow.principal, flow.provider, flow.kind, Account("default"), TokenSet(key)
            )
        except GatewayError as error:
            await self._end(flow, FlowStatus.FAILED, failure=error.message)
            self._record(flow, "connection.failed", error.code)
            raise
        return await self._end_connected(flow, connection)

    async def decline(self, flow_id: str, principal: Principal) -> Flow:
        """The person said no on our page."""
        return await self._end_declined(await self._consume(await self._get(flow_id, principal)))

    async def wait(self, flow_id: str, principal: Principal, seconds: float) -> FlowStatus:
        """How the flow ended, as soon as it has; PENDING after `seconds`. One that expires has failed."""
        event = self._ended.setdefault(flow_id, asyncio.Event())
        deadline = asyncio.get_running_loop().time() + seconds
        try:
            while True:
                flow = await self._rows.find(flow_id)
                if flow is None or not flow.principal.same_person(principal):
                    raise _not_found()
                if flow.status is not FlowStatus.PENDING:
                    return flow.status
                if flow.expires_at <= self._clock.now():
                    return FlowStatus.FAILED
                left = deadline - asyncio.get_running_loop().time()
                if left <= 0:
                    return FlowStatus.PENDING
                await _wait_for(event, min(left, _POLL))
        finally:
            if self._ended.get(flow_id) is event:
                del self._ended[flow_id]

    async def prune(self) -> None:
        """Forget flows that ended long ago."""
        await self._rows.prune(self._clock.now() - _KEPT_FOR)

    async def close(self, seconds: float = 15.0) -> None:
        """Wait for callbacks under way."""
        await self._detached.close(seconds)

    async def _get(self, flow_id: str, principal: Principal) -> Flow:
        flow = await self._rows.find(flow_id)
        if flow is None or not flow.principal.same_person(principal) or flow.expires_at <= self._clock.now():
            raise _not_found()
        return flow

    async def _consume(self, flow: Flow) -> Flow:
        used = await self._rows.consume(flow.id, self._clock.now())
        if used is None:
            raise _not_found()
        return used

    async def _end_connected(self, flow: Flow, connection: Connection) -> Flow:
        ended = await self._end(flow, FlowStatus.CONNECTED, connection_id=connection.id)
        action = "connection.created" if connection.version == 1 else "connection.replaced"
        self._record(flow, action, "done", account=connection.account_id)
        return ended

    async def _end_declined(self, flow: Flow) -> Flow:
        ended = await self._end(flow, FlowStatus.DECLINED)
        self._record(flow, "connection.declined", "declined")
        return ended

    async def _end(
        self, flow: Flow, status: FlowStatus, *, failure: str | None = None, connection_id: str | None = None
    ) -> Flow:
        await self._rows.finish(flow.id, status, failure=failure, connection_id=connection_id)
        if event := self._ended.get(flow.id):
            event.set()
        return await self._rows.find(flow.id) or flow

    def _record(self, flow: Flow, action: str, outcome: str, *, account: str | None = None) -> None:
        self._audit.record(
            flow.principal,
            action,
            outcome,
            client=flow.client,
            tool=flow.tool,
            provider=flow.provider,
            account=account,
        )


async def _wait_for(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return


def _redirect_sentence(name: str, error: str, notes: str) -> str:
    hint = f" {notes}" if notes else ""
    return f"{name} did not give access ({error}). Start again from the link, or ask your administrator.{hint}"


def _not_found() -> FlowNotFoundError:
    return FlowNotFoundError("This link is not, or no longer, valid. Call the tool again to get a new one.")
