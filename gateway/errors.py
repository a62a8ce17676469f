"""Every way a call, a start or a consent can fail, as one tree. How each reaches the wire: `gateway.wire`.

    GatewayError
    ├── SettingsError             the configuration is wrong; the process does not start
    │   └── WrongVaultKeyError    the key ring is not the one that this database was sealed with
    ├── ToolkitError              a toolkit's file is broken
    │   ├── LoadError             it does not import
    │   └── RegistrationError     a tool in it is declared wrongly
    │       └── NameTakenError    another toolkit has a tool of that name
    ├── CallError                 a call did not end well
    │   ├── UnknownToolError
    │   ├── InvalidArgumentsError
    │   │   ├── ReservedArgumentError     the caller tried to supply what only the gateway may
    │   │   └── UnknownAccountError       the person has connected no account of that name
    │   ├── NotAllowedError
    │   ├── RateLimitedError      too many calls lately: by this person, of this tool, or in this tenant
    │   ├── ToolError             raised by tool authors: its text is meant for the model
    │   ├── ToolCrashedError      a bug in a tool: a reference id, never the exception's text
    │   ├── ToolTimeoutError
    │   ├── ToolkitBusyError
    │   ├── ToolkitUnreachableError   no worker of it took the call: not sent, and safe to call again
    │   ├── UnknownOutcomeError   a worker was sent the call and did not answer: it may have run
    │   ├── InvalidResultError    the tool returned what cannot be sent
    │   ├── CapabilityMissingError    the host cannot do what the tool asks of it
    │   └── DeclinedError         the person said no
    ├── ProviderError             the trouble is at, or with, an authorization server
    │   ├── UnknownProviderError
    │   ├── ProviderNotConfiguredError
    │   ├── ProviderUnavailableError
    │   ├── ProviderMisconfiguredError
    │   ├── TokenRefusedError         the provider's API does not accept a token, and there is no better one
    │   └── ScopeMissingError         the provider was asked for a scope and did not grant it: asking is no use
    ├── FlowError                 a consent cannot go on
    │   ├── FlowNotFoundError     unknown, expired or used up: the three look the same from outside
    │   │   └── NobodyThereError  whoever came by the link is not signed in, so it is not even said whether there is one
    │   ├── WrongBrowserError
    │   └── FieldError            what was typed into a field of our page will not do
    ├── KeyRefusedError           no API key of ours, or one that was revoked
    │   └── WrongKeyKindError     one of ours, but for something else
    ├── IssuerUnavailableError    whoever issues tokens for us cannot be asked about one
    ├── SignInError               somebody at a browser is not let in
    │   ├── TooManySignInsError   too many failed lately: for this account, or from this address
    │   └── InvitationError       no invitation, or one that is used up, too old or replaced
    ├── AccountError              a person or a local account cannot be changed like this
    ├── KeyChangeError            an API key cannot be made, or changed, like this
    ├── ClientChangeError         a program cannot be registered here, or ended, like this
    ├── RemoteGatewayError        our own clients: the gateway that they talk to did not do what it was asked
    │   ├── GatewayUnreachableError
    │   ├── GatewayTimeoutError
    │   ├── UnexpectedAnswerError     what answered is no gateway
    │   └── NotConnectedError     the person has not connected the account yet
    ├── AuthorizationError        our authorization server's no to a client, in OAuth's own words
    ├── VaultError                a sealed value does not open
    │   └── KeyUnavailableError   the service that keeps the key does not answer
    ├── AuditUnavailableError     what was asked for cannot be put on record, so it is not done
    ├── StoreUnavailableError     the database does not answer
    ├── DestinationError          a URL that somebody outside chose, and that we do not request
    └── WebhookError              a webhook cannot be had as it is asked for
        ├── WebhookNotFoundError
        └── WebhookSignatureError     a delivery is not from the gateway, or too old: for who receives it

An error's text is read by a person or a model: it says what to do next, and never holds a secret.
"""

from __future__ import annotations


class GatewayError(Exception):
    """Base of all. `code` is the stable name that scripts may test for."""

    code = "gateway_error"

    @property
    def message(self) -> str:
        return str(self)


class SettingsError(GatewayError):
    code = "invalid_settings"


class WrongVaultKeyError(SettingsError):
    code = "wrong_vault_key"


class ToolkitError(GatewayError):
    code = "toolkit_error"


class LoadError(ToolkitError):
    code = "toolkit_not_loaded"


class RegistrationError(ToolkitError):
    code = "tool_not_registered"


class NameTakenError(RegistrationError):
    code = "name_taken"


class CallError(GatewayError):
    code = "call_failed"


class UnknownToolError(CallError):
    code = "unknown_tool"


class InvalidArgumentsError(CallError):
    code = "invalid_arguments"


class ReservedArgumentError(InvalidArgumentsError):
    code = "reserved_argument"


class UnknownAccountError(InvalidArgumentsError):
    code = "unknown_account"


class NotAllowedError(CallError):
    code = "not_allowed"


class RateLimitedError(CallError):
    code = "rate_limited"


class ToolError(CallError):
    """Raise it in a tool to tell the model, in your own words, what went wrong."""

    code = "tool_error"


class ToolCrashedError(CallError):
    code = "tool_crashed"


class ToolTimeoutError(CallError):
    code = "tool_timeout"


class ToolkitBusyError(CallError):
    code = "toolkit_busy"


class ToolkitUnreachableError(CallError):
    code = "toolkit_unreachable"


class UnknownOutcomeError(CallError):
    """Sent, and not answered: the worker died, or the time was up. Nobody here knows whether the tool did its work."""

    code = "unknown_outcome"


class InvalidResultError(CallError):
    code = "invalid_result"


class CapabilityMissingError(CallError):
    """The host lacks `capability`: `form`, `url`, `sampling` or `roots`."""

    code = "capability_missing"

    def __init__(self, capability: str) -> None:
        super().__init__(
            f"This tool needs your host to support {capability}, and it does not. "
            "Use a host that does, or a tool that needs less."
        )
        self.capability = capability


class DeclinedError(CallError):
    code = "declined"


class ProviderError(GatewayError):
    code = "provider_error"


class UnknownProviderError(ProviderError):
    code = "unknown_provider"


class ProviderNotConfiguredError(ProviderError):
    code = "provider_not_configured"


class ProviderUnavailableError(ProviderError):
    code = "provider_unavailable"


class ProviderMisconfiguredError(ProviderError):
    code = "provider_misconfigured"


class TokenRefusedError(ProviderError):
    code = "token_refused"


class ScopeMissingError(ProviderError):
    code = "scope_missing"


class FlowError(GatewayError):
    code = "flow_failed"


class FlowNotFoundError(FlowError):
    code = "flow_not_found"


class NobodyThereError(FlowNotFoundError):
    code = "nobody_there"


class WrongBrowserError(FlowError):
    code = "wrong_browser"


class FieldError(FlowError):
    """`field` is the name of the one that has to be filled in again; the flow stays open."""

    code = "invalid_field"

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field


class KeyRefusedError(GatewayError):
    code = "unknown_key"


class WrongKeyKindError(KeyRefusedError):
    code = "wrong_kind_of_key"


class IssuerUnavailableError(GatewayError):
    code = "issuer_unavailable"


class SignInError(GatewayError):
    code = "sign_in_failed"


class TooManySignInsError(SignInError):
    """`seconds` from now it may be tried again."""

    code = "too_many_sign_ins"

    def __init__(self, seconds: int) -> None:
        wait = "a minute" if seconds <= 60 else f"{-(-seconds // 60)} minutes"
        super().__init__(f"There were too many attempts. Wait {wait}, then try again.")
        self.seconds = seconds


class InvitationError(SignInError):
    code = "invitation_gone"


class AccountError(GatewayError):
    code = "invalid_account"


class KeyChangeError(GatewayError):
    code = "invalid_key"


class ClientChangeError(GatewayError):
    code = "invalid_program"


class RemoteGatewayError(GatewayError):
    code = "remote_gateway"


class GatewayUnreachableError(RemoteGatewayError):
    code = "gateway_unreachable"


class GatewayTimeoutError(RemoteGatewayError):
    code = "gateway_timeout"


class UnexpectedAnswerError(RemoteGatewayError):
    code = "unexpected_answer"


class NotConnectedError(RemoteGatewayError):
    code = "not_connected"


class AuthorizationError(GatewayError):
    """`error` is the code of the RFC that the request is of, such as `invalid_grant`; `status` the HTTP status."""

    code = "authorization_refused"

    def __init__(self, error: str, sentence: str, status: int = 400) -> None:
        super().__init__(sentence)
        self.error = error
        self.status = status


class VaultError(GatewayError):
    code = "vault_error"


class KeyUnavailableError(VaultError):
    code = "key_unavailable"


class AuditUnavailableError(GatewayError):
    code = "audit_unavailable"


class StoreUnavailableError(GatewayError):
    code = "store_unavailable"


class DestinationError(GatewayError):
    code = "destination_refused"


class WebhookError(GatewayError):
    code = "invalid_webhook"


class WebhookNotFoundError(WebhookError):
    code = "unknown_webhook"


class WebhookSignatureError(WebhookError):
    code = "wrong_signature"
