"""Provider: what there is to know about one authorization server, as immutable data.

Each field is a key of a catalogue file. The defaults are what a plain OAuth 2 server does, so a file says only where
its vendor differs. URLs may hold `{variables}` that the operator fills in, such as Salesforce's login host; `at()`
gives the description with all of them filled.

Not here: reading TOML (`gateway.providers.reader`), requests (`gateway.oauth.client`). Above: oauth.
"""
# ruff: noqa: S105 - token is a word of the subject here, and no value is a secret

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

from gateway.errors import SettingsError

Part = TypeVar("Part")

_URL_KEYS = {"url", "issuer", "authorization_url", "token_url", "discovery_url", "jwks_url", "userinfo_url"}
_NOT_IN_A_VARIABLE = re.compile(r"[^A-Za-z0-9.-]")

ClientAuth = Literal["client_secret_basic", "client_secret_post", "secret_key_basic", "none"]
"""RFC 6749 section 2.3.1; `secret_key_basic` sends the client secret as the user name, alone."""
RevocationAuth = Literal["client_secret_basic", "client_secret_post", "secret_key_basic", "none", "bearer"]
Claims = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Scopes:
    """How a provider spells scopes.

    `default` is asked for in every consent. The rest says when two spellings mean one scope: `aliases` (theirs to
    ours), a `prefix` that may be left out, `ignore_case`; `unlisted` are granted without the answer naming them.
    """

    default: tuple[str, ...] = ()
    param: str = "scope"
    optional_param: str | None = None
    separator: str = " "
    aliases: Mapping[str, str] = field(default_factory=dict)
    prefix: str = ""
    ignore_case: bool = False
    unlisted: tuple[str, ...] = ()

    def join(self, scopes: Collection[str]) -> str:
        return self.separator.join(sorted(scopes))

    def missing(self, required: Collection[str], granted: Collection[str]) -> frozenset[str]:
        """Those of `required`, as they were spelled, that `granted` does not cover."""
        covered = {self._plain(scope) for scope in granted}
        return frozenset(scope for scope in required if self._plain(scope) not in covered)

    def _plain(self, scope: str) -> str:
        plain = self.aliases.get(scope, scope).removeprefix(self.prefix)
        return plain.lower() if self.ignore_case else plain


@dataclass(frozen=True, slots=True)
class Identity:
    """Where the account's id and name stand: in the `id_token`, at the userinfo or introspection endpoint, or in the
    token answer itself.

    `account_id` are the claims that together name the account for ever; `label` the claims that a person knows it
    by, best first; `workspace` the claims that name the portal, team or company it is in, which tell two accounts of
    one person apart. Each is a path: a dot leads into an object, `[0]` into a list. What the source does not say is
    looked for among the connection's extras. `method`, `headers`, `body` (JSON) and `authorization` say how to ask at
    the userinfo endpoint; `{access_token}` stands for the token. `extras` are parts of the answer that calls need,
    each with the pattern that its whole value must match.
    """

    source: Literal["id_token", "userinfo", "introspection", "token"]
    account_id: tuple[str, ...]
    label: tuple[str, ...] = ()
    workspace: tuple[str, ...] = ()
    method: Literal["GET", "POST"] = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None
    authorization: str = "Bearer {access_token}"
    extras: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Introspection:
    """RFC 7662, or near it. `tells_expiry`: asked after each grant, because only it knows when the token ends.

    `active` is the path to whether the token is alive; a provider without one answers with an error for a dead token.
    """

    url: str
    auth: ClientAuth | None = None
    method: Literal["GET", "POST"] = "POST"
    format: Literal["form", "json"] = "form"
    token_param: str = "token"
    active: str | None = "active"
    tells_expiry: bool = False


@dataclass(frozen=True, slots=True)
class Revocation:
    """RFC 7009, or near it. `token` is the one to send; `auth` differs from the token endpoint's where it is set.

    `auth = "bearer"` sends the access token as a bearer and proves nothing else. `ends_all`: it ends the account's
    whole grant to our client, so that it is asked for the account's last connection only.
    """

    url: str
    token: Literal["refresh_token", "access_token"] = "refresh_token"
    auth: RevocationAuth | None = None
    method: Literal["POST", "DELETE", "GET"] = "POST"
    format: Literal["form", "json"] = "form"
    token_param: str = "token"
    params: Mapping[str, str] = field(default_factory=dict)
    ends_all: bool = False


@dataclass(frozen=True, slots=True)
class Refresh:
    """How access tokens are renewed, and how long that goes on.

    `url` is the token endpoint unless set; `send_scope` repeats the scopes. `grant`: "refresh_token"; "exchange" for
    providers that have no refresh token and swap the living access token for a new one, by `params` and in
    `token_param`; "none" for those whose access ends with the access token.

    `rotates`: whether the answer holds a new refresh token, after which the old one is dead. `grace` is for how many
    seconds after that the old one still does, as the provider documents; `grace_until_used`: until the new one has
    been used. `idle` and `absolute`, in seconds: after how long without a refresh, or with any number of them, the
    grant ends; `testing` the same as `absolute` for an app that the provider has not published yet.
    """

    url: str | None = None
    send_scope: bool = False
    params: Mapping[str, str] = field(default_factory=dict)
    grant: Literal["refresh_token", "exchange", "none"] = "refresh_token"
    method: Literal["POST", "GET"] = "POST"
    token_param: str = "refresh_token"
    rotates: Literal["no", "yes", "optional"] = "optional"
    grace: int = 0
    grace_until_used: bool = False
    idle: int | None = None
    absolute: int | None = None
    testing: int | None = None


@dataclass(frozen=True, slots=True)
class Match:
    """A shape of an API's error body: the value at `path` is one of `values`. `[]` in the path: any of a list."""

    path: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Api:
    """The provider's API: where it is, how a token is sent to it, and how it says that one will not do.

    `hosts` are those that tokens are sent to, `*.` for any subdomain; `base_url` may hold `{name}` of an extra.
    `expired` are the error bodies of a token that has ended, `missing_scope` those of one that may not; `scopes`, if
    the answer names them, is the path to the scopes that are missing. HTTP 401 means the first, whatever the body.
    """

    base_url: str | None = None
    hosts: tuple[str, ...] = ()
    authorization: str = "Bearer {access_token}"
    headers: Mapping[str, str] = field(default_factory=dict)
    expired: tuple[Match, ...] = ()
    missing_scope: tuple[Match, ...] = ()
    scopes: str | None = None


@dataclass(frozen=True, slots=True)
class AccountHints:
    """Parameters of the authorization request that steer which account the person consents with.

    `choose` lets them pick another one than they are signed in with; `login_hint` is the name of the parameter that
    takes the label of the account that is wanted again.
    """

    choose: Mapping[str, str] = field(default_factory=dict)
    login_hint: str | None = None


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """RFC 6749 section 4.4: access in the name of our own registration. `url` is the token endpoint unless set."""

    url: str | None = None
    params: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """RFC 7523: access in the name of a service account, by an assertion that its own key signs.

    `audience` is what the assertion names, the token endpoint unless set; `scopes_in_assertion`: the scopes go into the
    assertion, as Google has it, and not into the request.
    """

    url: str | None = None
    audience: str | None = None
    scopes_in_assertion: bool = False


@dataclass(frozen=True, slots=True)
class Device:
    """RFC 8628: consent on another device, where there is no browser. `url` is the device authorization endpoint."""

    url: str
    params: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TokenResponse:
    """Where a token answer differs from RFC 6749 section 5.1: each of the first values is a dotted path into it.

    `root`: where the answer holds an object there that has an access token, everything is read from that object.
    Scopes are read from text, parted by `scope_separator` (that of the request unless set), or from an array.
    `token_types` are those that mean a bearer token, in lower case. `ok` is the path to a flag: an answer where it is
    false is an error, whatever its HTTP status.

    When the access token ends is told by `expires_in`, in seconds; else by the moment at `expires_at`, in
    `expires_at_format`; else, with `expires_in_jwt`, by the token's own `exp`. `refresh_expires_in` are the seconds
    after which the grant ends without, or even with, a refresh: they win over what `Refresh` says.
    """

    root: str | None = None
    access_token: str = "access_token"
    refresh_token: str = "refresh_token"
    expires_in: str = "expires_in"
    expires_at: str | None = None
    expires_at_format: Literal["epoch", "iso8601"] = "epoch"
    expires_in_jwt: bool = False
    refresh_expires_in: str = "refresh_token_expires_in"
    scope: str = "scope"
    scope_separator: str | None = None
    token_type: str = "token_type"
    id_token: str = "id_token"
    token_types: tuple[str, ...] = ("bearer",)
    ok: str | None = None


@dataclass(frozen=True, slots=True)
class Extra:
    """A value that calls need, kept with the connection: where it stands, and what the whole of it must look like."""

    path: str
    pattern: str


@dataclass(frozen=True, slots=True)
class FromRedirect:
    """A variable's value inside a parameter of the redirect: the first group of `pattern`, which must match whole."""

    param: str
    pattern: str


@dataclass(frozen=True, slots=True)
class Redirect:
    """What the redirect back to us carries beside `code` and `state`.

    `extras` are parameters to keep, each with the pattern that its whole value must match; `variables` those that
    replace a variable before the code is exchanged (Zoho names the data centre of the account only there). `scope` is
    the parameter that names the granted scopes where the token answer does not. `checks` are done before the code is
    used: "shopify_hmac" is the HMAC-SHA256 under our client secret of the sorted parameters.
    """

    extras: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, FromRedirect] = field(default_factory=dict)
    scope: str | None = None
    checks: tuple[Literal["shopify_hmac"], ...] = ()


@dataclass(frozen=True, slots=True)
class Lookup:
    """One request after the consent, with the new token, for what calls need: which site, which server.

    `items` is the path to a list in the answer, "" where the answer is the list. Of several the one whose value at
    `chosen` is true is taken, else the first; `label` is what a person knows it by.
    """

    url: str
    extras: Mapping[str, Extra]
    items: str | None = None
    chosen: str | None = None
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Swap:
    """A second exchange, at once after the first: a short-lived access token for one that lasts and can be renewed."""

    url: str
    params: Mapping[str, str] = field(default_factory=dict)
    method: Literal["POST", "GET"] = "GET"
    token_param: str = "access_token"


@dataclass(frozen=True, slots=True)
class Variable:
    """A part of the URLs. `pattern` must match the whole value.

    The operator chooses it in the settings. Where neither they nor `default` do, each person is asked for their own on
    the connect page: a shop, a subdomain.
    """

    pattern: str
    default: str | None = None
    prompt: str = ""


@dataclass(frozen=True, slots=True)
class Provider:
    """One authorization server.

    `expires_in_default` is the life, in seconds, of an access token whose answer names none; None means no known
    end. `extras` are further fields of the answer that calls need, each with the pattern that its whole value must
    match. `refused` are error codes, beside the standard ones, that mean the grant is gone. An `issuer` may hold
    `{tid}`, filled from the id_token's own claim. `iss_parameter`: redirects carry `iss` (RFC 9207).
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
    needs_client_secret: bool = False
    authorize_params: Mapping[str, str] = field(default_factory=dict)
    token_params: Mapping[str, str] = field(default_factory=dict)
    refresh: Refresh = field(default_factory=Refresh)
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
    access_page: str | None = None
    docs: str | None = None
    notes: str = ""
    client_id_param: str = "client_id"
    redirect: Redirect = field(default_factory=Redirect)
    long_lived: Swap | None = None
    lookup: Lookup | None = None

    @property
    def needs_discovery(self) -> bool:
        """Whether endpoints have to be looked up at the issuer: those written down win."""
        return not (self.authorization_url and self.token_url)

    def at(self, chosen: Mapping[str, str]) -> Provider:
        """This provider with its variables filled in. Raises SettingsError, naming the one that does not fit."""
        for name in chosen.keys() - self.variables.keys():
            raise SettingsError(f"[providers.{self.id}] has no setting {name!r}. Remove it or correct its spelling.")
        values = {name: _value(self.id, name, about, chosen) for name, about in self.variables.items()}
        return _filled(self, values)


def check_url(url: str, where: str) -> None:
    """Raise SettingsError unless `url` is https, or http to this very machine. `where` opens the sentence."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if host is None or re.search(r"[\s\\\x00-\x20\x7f-\uffff]", url) or parts.username is not None or parts.fragment:
        raise SettingsError(f"{where} must be a plain https:// address.")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        raise SettingsError(f"{where} must begin with https:// (http:// is for 127.0.0.1 only).")


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's own."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _value(provider: str, name: str, about: Variable, chosen: Mapping[str, str]) -> str:
    value = chosen.get(name, about.default)
    if value is None:
        raise SettingsError(f"[providers.{provider}] needs {name}: {about.prompt or 'a part of its addresses'}.")
    if _NOT_IN_A_VARIABLE.search(value) or not re.fullmatch(about.pattern, value):
        raise SettingsError(f"[providers.{provider}] {name} does not look right. Expected: {about.prompt or name}.")
    return value


def _filled(part: Part, values: Mapping[str, str]) -> Part:
    """A copy with `{name}` replaced in every address, here and in nested parts."""
    changes: dict[str, Any] = {}
    for each in fields(part):  # type: ignore[arg-type]
        value = getattr(part, each.name)
        if is_dataclass(value):
            changes[each.name] = _filled(value, values)
        elif each.name in _URL_KEYS and value:
            changes[each.name] = re.sub(r"\{(\w+)\}", lambda found: values.get(found[1], found[0]), value)
    return replace(part, **changes)  # type: ignore[type-var]
