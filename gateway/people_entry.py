"""How people sign in at the browser, put together: `[access]` and what the gateway has opened become a SignIn.

Wiring only. Below: `gateway.access`, settings. Above: `gateway.entry`, the command line.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

from gateway.audit import AuditLog
from gateway.clock import Clock
from gateway.errors import SettingsError
from gateway.safe_settings import is_open, signs_in
from gateway.settings import AccessSettings, Server
from gateway.toolkit.tool import Tool
from gateway.types import CredentialKind

if TYPE_CHECKING:
    from gateway.access.company_login import CompanyLogin
    from gateway.access.local_accounts import LocalAccounts
    from gateway.access.sign_in import SignIn
    from gateway.access.tickets import Tickets
    from gateway.deferred import Accounts
    from gateway.oauth.http import ProviderTransport
    from gateway.store.store import Store
    from gateway.vault.vault import Vault


log = logging.getLogger(__name__)

_PERSONAL = (CredentialKind.OAUTH2, CredentialKind.API_KEY, CredentialKind.BASIC)


def base_url_of(server: Server, port: int | None = None) -> str:
    """Where people reach the gateway: by the settings, or at the port that it was given."""
    host = f"[{server.host}]" if ":" in server.host else server.host
    return (server.public_url or f"http://{host}:{port or server.port}").rstrip("/")


def check_sign_in(access: AccessSettings) -> None:
    """SettingsError where programs are to be let in by people who cannot sign in."""
    if access.builtin and not signs_in(access):
        raise SettingsError(
            "[access] builtin lets programs in for people who sign in here, and nobody can. Set login_issuer to your "
            "identity provider, or local_accounts = true."
        )


def say_who_cannot_connect(access: AccessSettings, tools: Iterable[Tool]) -> None:
    """Say in the log which tools are of little use, because nobody can come to the page where one connects accounts.

    The users of ATP apps can: they come by the app's link. So it is no reason not to start.
    """
    if not is_open(access) or signs_in(access):
        return
    names = [tool.name for tool in tools if tool.requirement and tool.requirement.kind in _PERSONAL]
    if names:
        log.warning(
            "%d tools need people's own accounts, such as %s, and nobody can sign in at the browser to connect one. "
            "Set [access] login_issuer, or local_accounts = true.",
            len(names),
            min(names),
        )


def sign_in_of(access: AccessSettings, accounts: Accounts, audit: AuditLog, base_url: str) -> SignIn | None:
    """The ways to sign in that the settings open; None where there are none. Nothing of it is loaded then."""
    if not signs_in(access):
        return None
    from gateway.access.people import People
    from gateway.access.sessions import Sessions
    from gateway.access.sign_in import SignIn, prune
    from gateway.access.tickets import Tickets
    from gateway.surfaces.browser.cookies import Cookies
    from gateway.surfaces.web.sign_in import SESSION

    store, clock = accounts.store, accounts.clock
    tickets = Tickets(accounts.vault.derive("sign-in")[0], clock)
    cookie = Cookies(secure=base_url.startswith("https:")).name_of(SESSION)
    accounts.upkeep.add("sign-ins", partial(prune, store, clock))
    return SignIn(
        sessions=Sessions(store.sessions, clock, cookie),
        people=People(store, audit, clock, base_url),
        tickets=tickets,
        company=_company(access, accounts.transport, tickets, clock, base_url),
        local=local_accounts(store, accounts.vault, clock, audit, base_url) if access.local_accounts else None,
    )


def local_accounts(store: Store, vault: Vault, clock: Clock, audit: AuditLog, base_url: str) -> LocalAccounts:
    """The accounts that are kept here, under the name that the gateway has."""
    from gateway.access.local_accounts import LocalAccounts
    from gateway.access.passwords import Passwords
    from gateway.access.throttle import Throttle

    throttle = Throttle(store.throttles, clock)
    return LocalAccounts(store.accounts, Passwords(), throttle, vault, clock, audit=audit, issuer=base_url)


def _company(
    access: AccessSettings, transport: ProviderTransport, tickets: Tickets, clock: Clock, base_url: str
) -> CompanyLogin | None:
    if access.login_issuer is None or access.login_client_id is None or access.login_client_secret is None:
        return None
    from gateway.access.company_login import CompanyLogin, Registration, checked
    from gateway.access.issuer import Issuer
    from gateway.oauth.http import get_json, post_form

    ours = Registration(
        access.login_client_id,
        access.login_client_secret,
        f"{base_url}/login/callback",
        access.groups_claim or "groups",
        access.tenant_claim,
        frozenset(domain.lower().removeprefix("@") for domain in access.login_domains),
    )
    fetch = partial(get_json, transport)
    issuer = Issuer(access.login_issuer, fetch, check=checked)
    return CompanyLogin(issuer, ours, partial(post_form, transport), fetch, tickets=tickets, clock=clock)
