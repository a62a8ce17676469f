"""The vocabulary: the words of the product as types.

Plain, immutable values that every room shares. No behaviour beyond small derivations, no I/O, no third-party
import. Rows (`gateway.store`) and wire messages (`gateway.surfaces`) are shaped from and to these.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from gateway.secret import Secret

if TYPE_CHECKING:
    from gateway.errors import GatewayError
    from gateway.toolkit.content import ToolResult
    from gateway.toolkit.context import Ask, Channel


APP_ISSUER = "app:"
"""How an issuer begins that is an app: the rest is its name."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who we act for. `issuer` says who vouches for `subject`; both together name one person in one tenant."""

    issuer: str
    subject: str
    tenant: str = "default"
    groups: frozenset[str] = frozenset()

    def same_person(self, other: Principal) -> bool:
        return (self.tenant, self.issuer, self.subject) == (other.tenant, other.issuer, other.subject)

    @property
    def app(self) -> str | None:
        """The app that vouches for this person, who has no sign-in here; None for everybody else."""
        return self.issuer.removeprefix(APP_ISSUER) if self.issuer.startswith(APP_ISSUER) else None


@dataclass(frozen=True, slots=True)
class Client:
    """The program that talks to us for a Principal: an MCP host or an ATP app. Names are for display only.

    `id` is what its credential says that it is, as in `Access.client`; empty on one's own machine.
    """

    name: str = "unknown client"
    version: str = ""
    id: str = ""


class AccessKind(StrEnum):
    """How somebody came in: on their own machine, by a key, by an access token, by a session of the browser."""

    LOCAL = "local"
    KEY = "key"
    TOKEN = "token"  # noqa: S105 - a word
    SESSION = "session"


@dataclass(frozen=True, slots=True)
class Access:
    """One request's right to act for `principal`, as its credential was read. Good until `expires_at`, if that is set.

    `client` is the id of the OAuth client, or the key's name. `scopes` are the gateway's own (`gateway.access.scopes`),
    never a provider's. `grant_id` names the consent behind a token of the built-in authorization server. `name` is what
    a page calls the person, where that is known.
    """

    principal: Principal
    client: str = ""
    scopes: frozenset[str] = frozenset()
    kind: AccessKind = AccessKind.LOCAL
    expires_at: datetime | None = None
    grant_id: str | None = None
    name: str | None = None


class CredentialKind(StrEnum):
    """How a tool proves itself at a provider.

    The first three belong to a person, who connects them: by a consent, or by typing them into our page. The last two
    belong to the gateway's operator and need no person: our own registration, by OAuth 2's client credentials grant
    (RFC 6749 section 4.4), or a service account's key, by a signed assertion (RFC 7523).
    """

    OAUTH2 = "oauth2"
    API_KEY = "api_key"
    BASIC = "basic"
    CLIENT_CREDENTIALS = "client_credentials"
    SERVICE_ACCOUNT = "service_account"


@dataclass(frozen=True, slots=True)
class Requirement:
    """What a tool needs before it can run."""

    provider: str
    kind: CredentialKind = CredentialKind.OAUTH2
    scopes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Credential:
    """What a tool is given to act for a person at a provider.

    A tool parameter annotated `Credential` receives one. `token` is the access token or API key; `extras` holds
    what the provider sent with it that calls need, such as Salesforce's `instance_url`. `connection_id` and `version`
    say which tokens these are: they change with every refresh.
    """

    provider: str
    token: str = field(repr=False)
    scopes: frozenset[str] = frozenset()
    account: str | None = None
    expires_at: datetime | None = None
    extras: Mapping[str, str] = field(default_factory=dict)
    connection_id: str = ""
    version: int = 0

    def __hash__(self) -> int:
        # By identity, though equality is by value: `extras` has no hash, and the redactor keeps one entry for each.
        return object.__hash__(self)


@dataclass(frozen=True, slots=True)
class TokenSet:
    """A grant in plaintext. In memory only: the vault seals it before it is stored.

    `access_token` is also where an API key lives, or a user name and password joined by a colon. `expires_at` is None
    where the provider names no end. `previous_refresh_token` is the one that the present one replaced, at
    `replaced_at`: kept until the present one has been used.
    """

    access_token: Secret
    refresh_token: Secret | None = None
    expires_at: datetime | None = None
    scopes: frozenset[str] = frozenset()
    extras: Mapping[str, str] = field(default_factory=dict)
    previous_refresh_token: Secret | None = None
    replaced_at: datetime | None = None


class ConnectionStatus(StrEnum):
    ACTIVE = "active"
    NEEDS_REAUTH = "needs_reauth"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class Connection:
    """The lasting link Principal x Provider x account. `sealed` is ciphertext that only the vault can open.

    `version` grows with every change of the tokens, and `updated_at` is when they, or the status, last changed.
    `lease_owner` and `lease_until` mark a refresh in progress; `refresh_started_at` is since when it is not known what
    the provider did with our requests; `refresh_not_before` is the back-off after `failures` failed ones in a row.

    `requested` are the scopes that consents with this account have asked for, `scopes` those that are granted. Of a
    person's accounts at a provider one is the default. `variables` are the parts of the provider's addresses that
    belong to this account, such as a Zendesk subdomain. `renew_at` is when a refresh is due although nobody calls, lest
    the grant die of idleness; `ends_at` when the grant will end whatever we do; `warn_at` when the person is to be told
    so, `warned_at` when they were.
    """

    id: str
    principal: Principal
    provider: str
    kind: CredentialKind
    account_id: str
    account_label: str | None
    scopes: frozenset[str]
    status: ConnectionStatus
    sealed: bytes = field(repr=False)
    created_at: datetime
    updated_at: datetime
    version: int = 1
    status_reason: str | None = None
    expires_at: datetime | None = None
    lease_owner: str | None = None
    lease_until: datetime | None = None
    refresh_not_before: datetime | None = None
    refresh_started_at: datetime | None = None
    failures: int = 0
    requested: frozenset[str] = frozenset()
    is_default: bool = False
    variables: Mapping[str, str] = field(default_factory=dict)
    renew_at: datetime | None = None
    ends_at: datetime | None = None
    warn_at: datetime | None = None
    warned_at: datetime | None = None

    @property
    def account_name(self) -> str:
        """The account as the person knows it; its id where the provider names none."""
        return self.account_label or self.account_id


@dataclass(frozen=True, slots=True)
class Revocation:
    """A grant that the person ended here and that the provider has not yet confirmed it ended too.

    `sealed` are the tokens to revoke, sealed to this row. Tried at `next_try_at`, given up and shredded at `until`.
    """

    id: str
    principal: Principal
    provider: str
    account_id: str
    account_label: str | None
    variables: Mapping[str, str]
    sealed: bytes = field(repr=False)
    created_at: datetime
    next_try_at: datetime
    until: datetime
    attempts: int = 0

    @property
    def account_name(self) -> str:
        """The account as the person knows it; its id where the provider names none."""
        return self.account_label or self.account_id


@dataclass(frozen=True, slots=True)
class DataKey:
    """A key that seals one tenant's values, itself wrapped by a key of the ring, which `wrapped_by` names.

    `generation` counts a tenant's keys from 1. The newest seals, all of them open. One is retired when no row needs it.
    """

    id: str
    tenant: str
    generation: int
    wrapped: bytes = field(repr=False)
    wrapped_by: str
    created_at: datetime
    retired_at: datetime | None = None


class FlowStatus(StrEnum):
    PENDING = "pending"
    CONNECTED = "connected"
    DECLINED = "declined"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Flow:
    """One consent in progress: single use, expires, bound to the Principal and, once begun, to a browser.

    `id` is the random part of the `/connect/{id}` link. `state_hash` and `browser_hash` (SHA-256, hex) are set
    when the person presses Connect; `sealed_verifier` is the PKCE verifier, sealed by the vault. `consumed_at` is
    set by the callback that used it up. `reconnects` is the connection whose account is wanted again, None where any
    account will do; `another`: one is wanted that is not connected yet. `variables` are the parts of the provider's
    addresses that the person filled in.
    """

    id: str
    principal: Principal
    client: str
    provider: str
    kind: CredentialKind
    scopes: frozenset[str]
    tool: str | None
    created_at: datetime
    expires_at: datetime
    status: FlowStatus = FlowStatus.PENDING
    failure: str | None = None
    connection_id: str | None = None
    return_url: str | None = None
    redirect_uri: str | None = None
    state_hash: str | None = field(default=None, repr=False)
    browser_hash: str | None = field(default=None, repr=False)
    sealed_verifier: bytes | None = field(default=None, repr=False)
    consumed_at: datetime | None = None
    reconnects: str | None = None
    another: bool = False
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One immutable fact: who, what, when, how it ended; never a secret, never an argument or a result.

    `action` is a dotted verb such as `tool.called`, or `tool.begun` of a call about to have its token, with `.begun`
    at the end of its id. `arguments` is a keyed hash of a call's, in hex; `scopes` are its token's. `client` is the
    name that a program gives itself, `client_id` what its credential says that it is.
    """

    id: str
    at: datetime
    principal: Principal
    action: str
    outcome: str
    client: str | None = None
    tool: str | None = None
    provider: str | None = None
    account: str | None = None
    reference: str | None = None
    duration_ms: float | None = None
    scopes: frozenset[str] = frozenset()
    arguments: str | None = None
    client_id: str | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """One request to run a tool. `channel` reaches the host while the tool runs: progress, log, questions.

    `account` names which of the person's accounts at the tool's provider is to be used, by label or id; None: the
    default.
    """

    principal: Principal
    client: Client
    tool: str
    arguments: Mapping[str, Any]
    id: str
    channel: Channel
    account: str | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """The tool ran and answered. `result.is_error` marks a failure that the tool itself reported."""

    result: ToolResult


@dataclass(frozen=True, slots=True)
class Failed:
    """The call did not happen or did not end well. `error` is one of the kinds in `gateway.errors`."""

    error: GatewayError


@dataclass(frozen=True, slots=True)
class NeedsConnection:
    """The person has to connect an account first: `url` is our own page, `message` says so in a sentence."""

    url: str
    flow_id: str
    provider: str
    provider_name: str
    message: str


@dataclass(frozen=True, slots=True)
class NeedsInput:
    """The tool asks the person or the host something and cannot go on without the answers."""

    asks: Mapping[str, Ask]


Outcome = Done | Failed | NeedsConnection | NeedsInput
