"""Who may enter, put together: `[access]` and what the gateway has opened become an authenticator and its challenges.

Wiring only; beside `gateway.app` and `gateway.web_app`, which use it. The settings have been found safe before.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from gateway.access.authenticator import Authenticator, OnePerson
from gateway.access.claims import Expected
from gateway.access.introspected_tokens import IntrospectedTokens
from gateway.access.introspection import Introspection, TokenInfo
from gateway.access.issuer import Issuer
from gateway.access.own_tokens import OwnTokens
from gateway.access.person_keys import PersonKeys
from gateway.access.presets import PRESETS, Preset
from gateway.access.programs import Browser, Programs, Way, nobody
from gateway.access.scopes import DESTRUCTIVE, EVERY, TOOLS
from gateway.access.signed_tokens import SignedTokens
from gateway.access.standing import Standing
from gateway.audit import AuditLog
from gateway.deferred import Accounts
from gateway.oauth.http import get_json, post_form
from gateway.people_entry import sign_in_of
from gateway.people_types import Person
from gateway.safe_settings import is_open
from gateway.settings import AccessSettings
from gateway.surfaces.bearer import Bearer
from gateway.surfaces.protected_resource import ProtectedResource, audiences
from gateway.types import Principal

if TYPE_CHECKING:
    from gateway.access.sign_in import SignIn
    from gateway.authorization.server import AuthorizationServer


@dataclass(frozen=True, slots=True)
class Entry:
    """How people and programs come in. `resource` is None where nobody gives out tokens for the gateway, `own` where
    it does not do so itself, `sign_in` where nobody can sign in at a browser."""

    authenticator: Authenticator
    bearer: Bearer = field(default_factory=Bearer)
    resource: ProtectedResource | None = None
    own: AuthorizationServer | None = None
    issuer: Issuer | None = None
    sign_in: SignIn | None = None

    def open(self) -> None:
        """Get ready, behind the caller's back."""
        if self.issuer is not None:
            self.issuer.prepare()

    async def close(self) -> None:
        if self.issuer is not None:
            await self.issuer.close()
        if self.sign_in is not None:
            await self.sign_in.close()


def entry_of(
    access: AccessSettings,
    accounts: Accounts,
    audit: AuditLog,
    base_url: str,
    *,
    local: Principal,
    browser: Browser | None = None,
) -> Entry:
    """The ways in that the settings open to a gateway that is reached at `base_url`.
    `browser` says who sits at one; None: whoever has signed in."""
    if not is_open(access):
        return Entry(OnePerson(local))
    ways: list[Way] = [PersonKeys(accounts.keys.find)] if access.keys else []
    own, issuer = None, None
    servers = []
    if access.builtin:
        own = _own(access, accounts, audit, base_url)
        ways.append(OwnTokens(base_url, own.tokens, own.grants.is_live, accounts.clock))
        servers.append(base_url)
    if access.issuer is not None:
        issuer = Issuer(access.issuer, partial(get_json, accounts.transport))
        ways += _tokens(access, issuer, accounts, base_url)
        servers.append(issuer.url)
    sign_in = sign_in_of(access, accounts, audit, base_url)
    browser = browser or (sign_in.sessions.browser if sign_in else nobody)
    programs = Programs(ways, accounts.clock, browser, Standing(accounts.store.people.list_disabled).may_enter)
    if not servers:
        return Entry(programs, sign_in=sign_in)
    # Whoever is asked first, is asked in their own words for our scopes: ourselves, where that is us.
    preset = PRESETS[access.preset]
    asked = {scope: scope for scope in EVERY} if own else _asked(preset, f"{base_url}/mcp")
    resource = ProtectedResource(base_url, servers, asked[TOOLS])
    read = None if preset.tokeninfo else issuer  # nothing of what Google says about itself is needed
    return Entry(programs, Bearer(resource.metadata, asked), resource, own, read, sign_in)


def _own(access: AccessSettings, accounts: Accounts, audit: AuditLog, base_url: str) -> AuthorizationServer:
    """The built-in authorization server. Nothing of it is loaded where there is none."""
    from gateway.authorization.document_fetch import DocumentFetch
    from gateway.authorization.server import Admission, AuthorizationServer, configured_client, offer_at

    admission = Admission(
        tuple(configured_client(name, c.name, c.redirect_uris, c.secret) for name, c in access.clients.items()),
        registration=access.registration,
        fetch=DocumentFetch(access.document_hosts) if access.client_documents else None,
        document_hosts=frozenset(access.document_hosts),
    )
    scopes = (TOOLS, DESTRUCTIVE) if access.step_up else (TOOLS,)
    server = AuthorizationServer.of(
        offer_at(base_url, scopes, {TOOLS}),
        admission,
        store=accounts.store,
        vault=accounts.vault,
        audit=audit,
        clock=accounts.clock,
        present=partial(_present, accounts.store.people.find),
    )
    accounts.upkeep.add("authorization", server.prune)
    return server


async def _present(find: Callable[[Principal], Awaitable[Person | None]], person: Principal) -> Principal | None:
    """The person with the groups of their last sign-in; None where they may not come in any more."""
    found = await find(person)
    if found is None:
        return person
    return None if found.disabled_at else replace(person, groups=found.groups)


def _tokens(access: AccessSettings, issuer: Issuer, accounts: Accounts, base_url: str) -> list[Way]:
    """Ways in for an issuer's access tokens: those it has signed, and where we can ask it, all others."""
    preset, clock = PRESETS[access.preset], accounts.clock
    named = frozenset(access.audience) or audiences(base_url)
    expected = Expected(issuer.url, named, preset, access.groups_claim, access.tenant_claim)
    post = partial(post_form, accounts.transport)
    if preset.tokeninfo:
        return [IntrospectedTokens(TokenInfo(preset.tokeninfo, post), expected, clock)]
    ways: list[Way] = [SignedTokens(issuer, expected, clock)]
    if access.client_id and access.client_secret:
        ask = Introspection(issuer, access.client_id, access.client_secret, post)
        ways.append(IntrospectedTokens(ask, expected, clock))
    return ways


def _asked(preset: Preset, resource: str) -> Mapping[str, str]:
    """How a client asks the issuer for each of our scopes."""
    return {scope: preset.asked_as.format(scope=scope, resource=resource) for scope in EVERY}
