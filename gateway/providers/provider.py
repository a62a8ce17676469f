"""Provider: what there is to know about one authorization server, as immutable data.

Each field is a key of a catalogue file. The defaults are what a plain OAuth 2 server does, so a file says only where
its vendor differs. Texts may hold `{variables}` that the operator or a person fills in, such as Salesforce's login
host; `at()` gives the description with them filled.

Not here: reading TOML (`gateway.providers.reader`), requests (`gateway.oauth.client`). Above: oauth.
"""
# ruff: noqa: S105 - token is a word of the subject here, and no value is a secret

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from gateway.errors import SettingsError
from gateway.providers.addresses import check_url, each_text, fill, is_host, is_loopback
from gateway.providers.grant_types import ClientCredentials, Device, Refresh, ServiceAccount, Swap
from gateway.providers.shapes import (
    AccountHints,
    Api,
    ClientAuth,
    Extra,
    FromRedirect,
    Identity,
    Introspection,
    Lookup,
    Match,
    Redirect,
    Revocation,
    RevocationAuth,
    Scopes,
    TokenResponse,
    Variable,
)

__all__ = [
    "AccountHints",
    "Api",
    "Claims",
    "ClientAuth",
    "ClientCredentials",
    "Device",
    "Extra",
    "FromRedirect",
    "Identity",
    "Introspection",
    "Lookup",
    "Match",
    "Provider",
    "Redirect",
    "Refresh",
    "Revocation",
    "RevocationAuth",
    "Scopes",
    "ServiceAccount",
    "Swap",
    "TokenResponse",
    "Variable",
    "check_url",
    "is_loopback",
]

Claims = Mapping[str, Any]

_NOT_IN_A_VARIABLE = re.compile(r"[^A-Za-z0-9._-]")
_WORDS_FOR_PEOPLE = frozenset({"id", "name", "docs", "notes", "words", "variables", "sandbox"})


@dataclass(frozen=True, slots=True)
class Provider:
    """One authorization server.

    `expires_in_default` is the life, in seconds, of an access token whose answer names none; None means no known
    end. `extras` are further fields of the answer that calls need, each with the pattern that its whole value must
    match; a path with a dot is kept under its last word. `refused` are error codes, beside the standard ones, that
    mean the grant is gone. An `issuer` may hold `{tid}`, filled from the id_token's own claim. `iss_parameter`:
    redirects carry `iss` (RFC 9207).

    `client_id_param` is what the client id is called in every request. `authorize_params`, `token_params` and
    `refresh.params` are constants; `{state}` among the token's is the state of this consent. `long_lived` is a second
    exchange that every grant goes through. `sandbox` names, for each host, the one that takes its place in the
    provider's test environment, which the setting `sandbox` chooses.

    `preview`: what this says has one source only and no live connection has proved it yet. `words` are others that a
    person may look for it by. `notes` is a sentence for the operator, `access_page` where a person ends the access.
    """

    id: str
    name: str
    authorization_url: str = ""
    token_url: str = ""
    issuer: str | None = None
    discovery_url: str | None = None
    jwks_url: str | None = None
    userinfo_url: str | None = None
    iss_parameter: bool = False
    identity: Identity | None = None
    introspection: Introspection | None = None
    revocation: Revocation | None = None
    scopes: Scopes = field(default_factory=Scopes)
    pkce: bool = True
    token_auth_method: ClientAuth = "client_secret_post"
    token_request_format: Literal["form", "json"] = "form"
    client_id_param: str = "client_id"
    needs_client_secret: bool = False
    authorize_params: Mapping[str, str] = field(default_factory=dict)
    token_params: Mapping[str, str] = field(default_factory=dict)
    redirect: Redirect = field(default_factory=Redirect)
    refresh: Refresh = field(default_factory=Refresh)
    long_lived: Swap | None = None
    lookup: Lookup | None = None
    expires_in_default: int | None = None
    token_response: TokenResponse = field(default_factory=TokenResponse)
    extras: Mapping[str, str] = field(default_factory=dict)
    refused: tuple[str, ...] = ()
    variables: Mapping[str, Variable] = field(default_factory=dict)
    api: Api = field(default_factory=Api)
    account_hints: AccountHints = field(default_factory=AccountHints)
    client_credentials: ClientCredentials | None = None
    service_account: ServiceAccount | None = None
    device: Device | None = None
    sandbox: Mapping[str, str] = field(default_factory=dict)
    access_page: str | None = None
    docs: str | None = None
    notes: str = ""
    words: tuple[str, ...] = ()
    preview: bool = False

    @property
    def needs_discovery(self) -> bool:
        """Whether endpoints have to be looked up at the issuer: those written down win."""
        return not (self.authorization_url and self.token_url)

    def at(self, chosen: Mapping[str, str], *, allowed_hosts: Collection[str] = (), complete: bool = True) -> Provider:
        """This provider with its variables filled in, from `chosen` or else by their defaults.

        `allowed_hosts` are the operator's own hosts of a `self_hosted` variable. With `complete=False` a variable that
        nobody chose yet stays as it is. Raises SettingsError, naming the one that does not fit.
        """
        known = {**(self.client_credentials.variables if self.client_credentials else {}), **self.variables}
        for name in chosen.keys() - known.keys():
            raise SettingsError(f"[providers.{self.id}] has no setting {name!r}. Remove it or correct its spelling.")
        values: dict[str, str] = {}
        for name, about in known.items():
            value = chosen.get(name, about.default)
            if value is not None:
                _check(self, name, about, value, allowed_hosts)
                values[name] = value
            elif complete and name in self.variables:
                raise SettingsError(f"[providers.{self.id}] needs {name}: {about.prompt or 'a part of its addresses'}.")
        return each_text(self, lambda text: fill(text, values), _WORDS_FOR_PEOPLE) if values else self

    def in_sandbox(self) -> Provider:
        """This provider's test environment. Raises SettingsError where it has none that is known."""
        if not self.sandbox:
            raise SettingsError(f"[providers.{self.id}] sandbox: {self.name} has no test environment. Remove it.")
        hosts = "|".join(re.escape(host) for host in sorted(self.sandbox, key=len, reverse=True))
        whole = re.compile(rf"(?<![\w.-])({hosts})(?![\w.-])")
        moved = each_text(self, lambda text: whole.sub(lambda found: self.sandbox[found[1]], text), _WORDS_FOR_PEOPLE)
        defaults = {
            name: replace(about, default=self.sandbox.get(about.default, about.default))
            for name, about in self.variables.items()
            if about.default is not None
        }
        return replace(moved, variables={**self.variables, **defaults})

    def open_variables(self) -> Mapping[str, Variable]:
        """Those that have no default, so that somebody has to choose them."""
        return {name: about for name, about in self.variables.items() if about.default is None}


def _check(provider: Provider, name: str, about: Variable, value: str, allowed_hosts: Collection[str]) -> None:
    if about.self_hosted and value in allowed_hosts and is_host(value):
        return
    if _NOT_IN_A_VARIABLE.search(value) or not re.fullmatch(about.pattern, value):
        hint = " Hosts of your own stand in allowed_hosts." if about.self_hosted else ""
        raise SettingsError(
            f"[providers.{provider.id}] {name} does not look right. Expected: {about.prompt or name}.{hint}"
        )
