"""Shapes: how one provider's requests and answers differ from what a plain OAuth 2 server does.

Each class is a table of a catalogue file, each field a key; the defaults are the plain server's. Texts that leave for
the provider may hold names in braces: a variable of the provider, `{client_id}`, or an extra that the connection keeps.

Not here: the provider as a whole (`gateway.providers.provider`), kinds of grants (`gateway.providers.grant_types`).
"""
# ruff: noqa: S105 - token is a word of the subject here, and no value is a secret

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal

ClientAuth = Literal["client_secret_basic", "client_secret_post", "secret_key_basic", "none"]
"""RFC 6749 section 2.3.1; `secret_key_basic` sends the client secret as the user name, alone."""
RevocationAuth = Literal["client_secret_basic", "client_secret_post", "secret_key_basic", "none", "bearer"]


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
    looked for among the provider's variables and the connection's extras. `method`, `headers`, `body` (JSON) and
    `authorization` say how to ask at the userinfo endpoint; `{access_token}` stands for the token. `extras` are parts
    of the answer that calls need, each with the pattern that its whole value must match.
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
class TokenResponse:
    """Where a token answer differs from RFC 6749 section 5.1: each of the first values is a dotted path into it.

    `root`: where the answer holds an object there that has an access token, everything is read from that object.
    Scopes are read from text, parted by `scope_separator` (that of the request unless set), or from an array.
    `token_types` are those that mean a bearer token, in lower case. `ok` is the path to a flag: an answer where it is
    false is an error, whatever its HTTP status.

    When the access token ends is told by `expires_in`, in seconds; else by the moment at `expires_at`, ISO 8601 or
    seconds since 1970; else, with `expires_in_jwt`, by the token's own `exp`. `refresh_expires_in` are the seconds
    after which the grant ends without, or even with, a refresh: they win over what `Refresh` says.
    """

    root: str | None = None
    access_token: str = "access_token"
    refresh_token: str = "refresh_token"
    expires_in: str = "expires_in"
    expires_at: str | None = None
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
class Match:
    """A shape of an API's error body: the value at `path` is one of `values`. `[]` in the path: any of a list."""

    path: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Api:
    """The provider's API: where it is, how a token is sent to it, and how it says that one will not do.

    `hosts` are those that tokens are sent to, `*.` for any subdomain; `base_url` and `headers` may hold `{name}` of an
    extra, and `headers` `{access_token}` where the provider has a header of its own; `authorization` is then empty.
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
class Variable:
    """A part of the URLs. `pattern` must match the whole value.

    The operator chooses it in the settings. Where neither they nor `default` do, each person is asked for their own on
    the connect page: a shop, a subdomain. A value decides which host gets codes, tokens and our secret, so a pattern
    lets through the vendor's own hosts only. `self_hosted`: there are others, and the operator names them in
    `allowed_hosts`; nobody else can.
    """

    pattern: str
    default: str | None = None
    prompt: str = ""
    self_hosted: bool = False
