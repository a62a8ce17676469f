"""How each kind of error leaves: one table from `gateway.errors` to MCP and HTTP.

Here and nowhere else: a surface looks its status up, and a new kind is one row. ATP's answers have the HTTP status too.
"""

from __future__ import annotations

from typing import NamedTuple

from gateway.errors import (
    AccountError,
    AuditUnavailableError,
    AuthorizationError,
    CapabilityMissingError,
    ClientChangeError,
    DeclinedError,
    DestinationError,
    FieldError,
    FlowError,
    FlowNotFoundError,
    GatewayError,
    GatewayTimeoutError,
    GatewayUnreachableError,
    InvalidArgumentsError,
    InvalidResultError,
    InvitationError,
    IssuerUnavailableError,
    KeyChangeError,
    KeyRefusedError,
    KeyUnavailableError,
    LoadError,
    NameTakenError,
    NobodyThereError,
    NotAllowedError,
    NotConnectedError,
    ProviderMisconfiguredError,
    ProviderNotConfiguredError,
    ProviderUnavailableError,
    RateLimitedError,
    RegistrationError,
    RemoteGatewayError,
    ReservedArgumentError,
    ScopeMissingError,
    SettingsError,
    SignInError,
    StoreUnavailableError,
    TokenRefusedError,
    ToolCrashedError,
    ToolError,
    ToolkitBusyError,
    ToolkitUnreachableError,
    ToolTimeoutError,
    TooManySignInsError,
    UnexpectedAnswerError,
    UnknownAccountError,
    UnknownOutcomeError,
    UnknownProviderError,
    UnknownToolError,
    VaultError,
    WebhookError,
    WebhookNotFoundError,
    WebhookSignatureError,
    WrongBrowserError,
    WrongKeyKindError,
    WrongVaultKeyError,
)


class Wire(NamedTuple):
    """How an error leaves: `mcp` is a JSON-RPC error code, or None for a tool result with `isError`."""

    mcp: int | None
    http: int


_INVALID_PARAMS, _INTERNAL, _CAPABILITY = -32602, -32603, -32021

WIRE: dict[type[GatewayError], Wire] = {
    SettingsError: Wire(_INTERNAL, 500),
    WrongVaultKeyError: Wire(_INTERNAL, 500),
    LoadError: Wire(_INTERNAL, 500),
    RegistrationError: Wire(_INTERNAL, 422),
    NameTakenError: Wire(_INTERNAL, 409),
    UnknownToolError: Wire(_INVALID_PARAMS, 404),
    InvalidArgumentsError: Wire(None, 422),
    ReservedArgumentError: Wire(None, 422),
    UnknownAccountError: Wire(None, 422),
    NotAllowedError: Wire(None, 403),
    RateLimitedError: Wire(None, 429),
    ToolError: Wire(None, 200),
    ToolCrashedError: Wire(None, 500),
    ToolTimeoutError: Wire(None, 504),
    ToolkitBusyError: Wire(None, 503),
    ToolkitUnreachableError: Wire(None, 503),
    UnknownOutcomeError: Wire(None, 502),
    InvalidResultError: Wire(None, 500),
    CapabilityMissingError: Wire(_CAPABILITY, 501),
    DeclinedError: Wire(None, 403),
    UnknownProviderError: Wire(None, 404),
    ProviderNotConfiguredError: Wire(None, 503),
    ProviderUnavailableError: Wire(None, 503),
    ProviderMisconfiguredError: Wire(None, 503),
    TokenRefusedError: Wire(None, 401),
    ScopeMissingError: Wire(None, 403),
    FlowNotFoundError: Wire(None, 404),
    NobodyThereError: Wire(None, 404),
    WrongBrowserError: Wire(None, 403),
    FieldError: Wire(None, 422),
    FlowError: Wire(None, 400),
    KeyRefusedError: Wire(None, 401),
    WrongKeyKindError: Wire(None, 403),
    IssuerUnavailableError: Wire(None, 503),
    SignInError: Wire(None, 403),
    TooManySignInsError: Wire(None, 429),
    InvitationError: Wire(None, 404),
    AccountError: Wire(None, 422),
    KeyChangeError: Wire(None, 422),
    ClientChangeError: Wire(None, 422),
    RemoteGatewayError: Wire(None, 502),
    GatewayUnreachableError: Wire(None, 503),
    GatewayTimeoutError: Wire(None, 504),
    UnexpectedAnswerError: Wire(None, 502),
    NotConnectedError: Wire(None, 404),
    AuthorizationError: Wire(None, 400),
    VaultError: Wire(_INTERNAL, 500),
    KeyUnavailableError: Wire(None, 503),
    AuditUnavailableError: Wire(None, 503),
    StoreUnavailableError: Wire(None, 503),
    DestinationError: Wire(None, 422),
    WebhookError: Wire(None, 422),
    WebhookNotFoundError: Wire(None, 404),
    WebhookSignatureError: Wire(None, 401),
    GatewayError: Wire(_INTERNAL, 500),
}
"""ONE table: an error's kind to the wire. A kind without a row of its own takes its parent's."""


def wire(error: GatewayError) -> Wire:
    """The row for an error, or for its nearest ancestor that has one."""
    return next(WIRE[kind] for kind in type(error).__mro__ if kind in WIRE)
