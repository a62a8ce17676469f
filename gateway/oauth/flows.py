"""Flows: a consent from our own link to a Connection.

    begin     a call needs an account: a row, and a link to our page that is worthless without its owner's sign-in
    admit     in whose name a browser may go on; an app's user has no sign-in here, see `visits`
    describe  what the page shows
    start     the person pressed Connect: this browser gets a token, and goes to the provider with a state
    complete  the provider sent the browser back: same person, same browser, right state, once
    submit_key, decline     the two other ways to end it: typed in on our page, and a no
    wait      whoever began it learns how it ended

Two attacks meet here: a forwarded link (somebody else's account ends up with the person who sent it) and a pushed
callback (the reverse). Both need a second person, so every step compares the Principal, and the browser that comes
back must be the one that left. A flow that is unknown, expired, used or somebody else's looks the same from outside.
A callback is used up by one statement that names state, person and browser together: a stranger's uses up nothing, and
the right browser can still finish.

A flow may be about one account: to renew a connection, or to add another. Whatever account the person consents with,
its own row is written and no other; where that is not the one that was wanted, page and agent say so.

Below: consent, visits, flow_ends, grants, store, audit. Above: broker, the pages.
Source: RFC 9700 sections 4.4 and 4.7.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from gateway.audit import AuditLog
from gateway.clock import Clock
from gateway.errors import FlowError, GatewayError, WrongBrowserError
from gateway.oauth.apps import Apps
from gateway.oauth.consent import DECLINED, Consent, check_issuer, digest, redirect_error
from gateway.oauth.detached import Detached
from gateway.oauth.facts import connected, of_flow
from gateway.oauth.flow_ends import FlowEnds
from gateway.oauth.flow_view import FlowView, view_of
from gateway.oauth.grants import Grants
from gateway.oauth.identity import Account
from gateway.oauth.redirect import redirect_variables
from gateway.oauth.typed import read_typed, read_variables
from gateway.oauth.visits import may_enter, not_found, refusal
from gateway.providers.provider import Variable
from gateway.secret import Secret
from gateway.store.flow_rows import FlowRows
from gateway.types import Connection, CredentialKind, Flow, FlowStatus, Principal, Requirement, TokenSet

LIFE = timedelta(minutes=10)
_WORTH_REUSING = timedelta(minutes=3)
_KEPT_FOR = timedelta(days=1)


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
        self._ends = FlowEnds(rows, clock)

    async def begin(
        self,
        principal: Principal,
        client: str,
        requirement: Requirement,
        tool: str | None,
        return_url: str | None = None,
        *,
        reconnects: Connection | None = None,
        another: bool = False,
        variables: Mapping[str, str] | None = None,
    ) -> Flow:
        """A flow for this need: the pending one, if there is one with some life left, or a new one.

        `reconnects` is the connection whose account is wanted again; `another`: one is wanted that is not connected
        yet; `variables` are fields that are filled in already. UnknownProviderError or ProviderNotConfiguredError
        where nobody could ever complete it.
        """
        scopes: frozenset[str] = frozenset()
        if requirement.kind is CredentialKind.OAUTH2:
            scopes = requirement.scopes | (await self._apps.get(requirement.provider, tenant=principal.tenant)).scopes
        now = self._clock.now()
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
            reconnects=reconnects.id if reconnects else None,
            another=another,
            variables=reconnects.variables if reconnects else variables or {},
        )
        found = await self._rows.find_pending(flow, now)
        if found and _is_worth_reusing(found, now) and (not variables or found.variables == variables):
            return found
        await self.prune()
        await self._rows.put(flow)
        self._record(flow, "flow.begun", "pending")
        return flow

    async def url(self, flow: Flow) -> str:
        """The link to our page. It may travel through chats and logs: it opens nothing without the person's sign-in.

        But for an app's user, to whom alone the app should give it.
        """
        return f"{await self._base_url()}/connect/{flow.id}"

    async def connections_url(self) -> str:
        """Our page of the person's connections, where they may ask again for what was withheld."""
        return f"{await self._base_url()}/connections"

    async def mistaken(self, wanted: Connection) -> str:
        """A sentence for the agent, where the last consent that was to renew this connection came to another account.

        Empty where it did not.
        """
        last = await self._rows.find_last(wanted.principal, wanted.id)
        if last is None or last.connection_id in (None, wanted.id):
            return ""
        other = await self._grants.find(wanted.principal, last.connection_id or "")
        if other is None:
            return ""
        mine, theirs = (each.account_name for each in (wanted, other))
        return f"The last link connected {theirs}, which is kept as an account of its own; {mine} is the one needed. "

    async def admit(self, flow_id: str, visitor: Principal | None, browser_token: str | None) -> Principal:
        """In whose name this browser may go on with the flow. FlowNotFoundError where it may not: NobodyThereError if
        that is because nobody is signed in.

        `visitor` is who is signed in there, `browser_token` what tells it from every other browser; None: nobody, and
        nothing yet.
        """
        flow = await self._rows.find(flow_id)
        if flow is None or flow.expires_at <= self._clock.now() or not may_enter(flow, visitor, browser_token):
            raise refusal(flow, visitor)
        return flow.principal

    async def describe(self, flow_id: str, principal: Principal) -> FlowView:
        """What the page shows, also after the flow has ended. FlowNotFoundError."""
        flow = await self._get(flow_id, principal)
        wanted = await self._grants.find(principal, flow.reconnects) if flow.reconnects else None
        return view_of(
            flow,
            self._apps.display_name(flow.provider),
            self._apps.find(flow.provider, flow.principal.tenant),
            self._asked(flow),
            wanted,
            await self._grants.find(principal, flow.connection_id) if flow.connection_id else None,
        )

    async def start(
        self,
        flow_id: str,
        principal: Principal,
        variables: Mapping[str, str] | None = None,
        *,
        browser_token: str | None = None,
    ) -> Started:
        """The person pressed Connect. Pressing again makes the former state and browser token worthless.

        `variables` is what they filled in. FieldError where a field will not do: the flow stays open. An app's user
        goes on in the browser of `browser_token`, here as in `submit_key` and `decline`, and in no other.
        """
        flow = await self._get(flow_id, principal)
        if flow.kind is not CredentialKind.OAUTH2:
            raise FlowError("This connection takes an API key or a password. Enter it on the page.")
        flow = replace(flow, variables=self._filled_in(flow, variables))
        kept = await self._keep_for(flow, browser_token)
        app = await self._apps.get(flow.provider, tenant=flow.principal.tenant, variables=flow.variables)
        redirect_uri = app.redirect_uri or f"{await self._base_url()}/oauth/callback/{flow.provider}"
        wanted = await self._grants.find(principal, flow.reconnects) if flow.reconnects else None
        departure = await self._consent.depart(app, flow, redirect_uri, wanted)
        browser, now = kept or Secret(secrets.token_urlsafe(32)), self._clock.now()
        begun = await self._rows.begin(
            flow.id,
            redirect_uri=redirect_uri,
            state_hash=departure.state_hash,
            browser_hash=digest(browser.reveal()),
            sealed_verifier=departure.sealed_verifier,
            variables=flow.variables,
            now=now,
        )
        if not begun:
            raise not_found()
        self._record(flow, "flow.started", "pending")
        return Started(departure.authorization_url, browser, int((flow.expires_at - now).total_seconds()))

    async def complete(
        self, provider_id: str, query: Mapping[str, str], browser_token: str | None, visitor: Principal | None
    ) -> Flow:
        """The provider sent a browser back. The flow, connected or declined.

        FlowNotFoundError, WrongBrowserError; FlowError or ProviderError where it failed, which the flow records. A
        redirect with an error makes no request to the provider.
        """
        state = query.get("state")
        if not state:
            raise not_found()
        asked = digest(state), provider_id, self._clock.now()
        browser_hash = digest(browser_token) if browser_token else ""
        begun = await self._rows.find_state(*asked)
        principal = begun.principal if begun and begun.principal.app else visitor
        if begun is None or principal is None or not begun.principal.same_person(principal):
            raise not_found()
        flow = await self._rows.consume_state(*asked, principal=principal, browser_hash=browser_hash)
        if flow is None:
            raise await self._refusal(*asked, principal=principal)
        # From here the state is used up, so the flow must reach an end even if this browser is closed now.
        return await self._detached.run(self._complete(flow, query))

    async def _refusal(self, state_hash: str, provider: str, now: datetime, *, principal: Principal) -> FlowError:
        """Why a callback used up nothing. Only the person whose flow it is learns that the browser is the wrong one."""
        flow = await self._rows.find_state(state_hash, provider, now)
        if flow is None or not flow.principal.same_person(principal):
            return not_found()
        self._record(flow, "connection.refused", WrongBrowserError.code)
        return WrongBrowserError(
            "This is not the browser in which Connect was pressed, so nothing was connected. "
            "Go on in that browser, or open the link again and stay in one browser."
        )

    async def _complete(self, flow: Flow, query: Mapping[str, str]) -> Flow:
        try:
            app = await self._apps.get(flow.provider, tenant=flow.principal.tenant, variables=flow.variables)
            check_issuer(app, query)
            if named := redirect_variables(app.provider, query):
                flow = replace(flow, variables={**flow.variables, **named})
                app = await self._apps.get(flow.provider, tenant=flow.principal.tenant, variables=flow.variables)
            error = redirect_error(query)
            if error in DECLINED:
                return await self._end_declined(flow)
            if error:
                raise FlowError(_redirect_sentence(app.provider.name, error, app.provider.notes))
            return await self._end_connected(flow, await self._consent.arrive(app, flow, query))
        except GatewayError as error:
            await self._ends.end(flow, FlowStatus.FAILED, failure=error.message)
            self._record(flow, "connection.failed", error.code)
            raise

    async def submit_key(
        self,
        flow_id: str,
        principal: Principal,
        api_key: Secret,
        *,
        username: str | None = None,
        variables: Mapping[str, str] | None = None,
        browser_token: str | None = None,
    ) -> Flow:
        """Keep an API key, or a password with its user name, that the person typed in.

        FieldError where a field will not do: the flow stays open.
        """
        flow = await self._get(flow_id, principal)
        if flow.kind is CredentialKind.OAUTH2:
            raise FlowError("This connection is made at the provider. Press Connect.")
        flow = replace(flow, variables=self._filled_in(flow, variables))
        account, tokens = read_typed(flow.kind, api_key, username)
        await self._keep_for(flow, browser_token)
        await self._consume(flow)
        return await self._detached.run(self._keep_typed(flow, account, tokens))

    async def _keep_typed(self, flow: Flow, account: Account, tokens: TokenSet) -> Flow:
        try:
            connection = await self._grants.put(
                flow.principal,
                flow.provider,
                flow.kind,
                account,
                tokens,
                variables=flow.variables,
                fact=connected(self._audit, flow),
            )
        except GatewayError as error:
            await self._ends.end(flow, FlowStatus.FAILED, failure=error.message)
            self._record(flow, "connection.failed", error.code)
            raise
        return await self._end_connected(flow, connection)

    def _asked(self, flow: Flow) -> Mapping[str, Variable]:
        """What the person has to fill in. Nothing for an account that is wanted again: its addresses are known."""
        return {} if flow.reconnects else self._apps.asks(flow.provider, flow.principal.tenant)

    def _filled_in(self, flow: Flow, given: Mapping[str, str] | None) -> Mapping[str, str]:
        if flow.reconnects:
            return flow.variables
        hosts = self._apps.settings(flow.provider, flow.principal.tenant).allowed_hosts
        return read_variables(self._asked(flow), flow.variables if given is None else given, hosts)

    async def decline(self, flow_id: str, principal: Principal, *, browser_token: str | None = None) -> Flow:
        """The person said no on our page."""
        flow = await self._get(flow_id, principal)
        await self._keep_for(flow, browser_token)
        return await self._end_declined(await self._consume(flow))

    async def wait(self, flow_id: str, principal: Principal, seconds: float) -> FlowStatus:
        """How the flow ended, as soon as it has; PENDING after `seconds`. One that expires has failed."""
        return await self._ends.wait(flow_id, principal, seconds)

    async def prune(self) -> None:
        """Forget flows that ended long ago."""
        await self._rows.prune(self._clock.now() - _KEPT_FOR)

    async def close(self, seconds: float = 15.0) -> None:
        """Wait for callbacks under way."""
        await self._detached.close(seconds)

    async def _get(self, flow_id: str, principal: Principal) -> Flow:
        flow = await self._rows.find(flow_id)
        if flow is None or not flow.principal.same_person(principal) or flow.expires_at <= self._clock.now():
            raise not_found()
        return flow

    async def _keep_for(self, flow: Flow, browser_token: str | None) -> Secret | None:
        """The token, where the flow is an app's user's: from now on it is this browser's, if it was no other's."""
        if flow.principal.app is None:
            return None
        if not (browser_token and await self._rows.bind(flow.id, digest(browser_token), self._clock.now())):
            raise not_found()
        return Secret(browser_token)

    async def _consume(self, flow: Flow) -> Flow:
        used = await self._rows.consume(flow.id, self._clock.now())
        if used is None:
            raise not_found()
        return used

    async def _end_connected(self, flow: Flow, connection: Connection) -> Flow:
        return await self._ends.end(flow, FlowStatus.CONNECTED, connection_id=connection.id)

    async def _end_declined(self, flow: Flow) -> Flow:
        ended = await self._ends.end(flow, FlowStatus.DECLINED)
        self._record(flow, "connection.declined", "declined")
        return ended

    def _record(self, flow: Flow, action: str, outcome: str) -> None:
        self._audit.note(of_flow(self._audit, flow, action, outcome))


def _is_worth_reusing(flow: Flow, now: datetime) -> bool:
    """Whether there is time left to use it, and any browser of the person's still may."""
    is_kept = flow.principal.app is not None and flow.browser_hash is not None
    return flow.expires_at - now > _WORTH_REUSING and not is_kept


def _redirect_sentence(name: str, error: str, notes: str) -> str:
    hint = f" {notes}" if notes else ""
    return f"{name} did not give access ({error}). Start again from the link, or ask your administrator.{hint}"
