"""Events of the audit in plain words: what was done, and how it ended. For the pages, and for the command line.

What has no words here is shown as it is written, without its dots and underscores: an event that is new is not hidden.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gateway.types import AuditEvent

Look = Literal["well", "waiting", "badly"]

_ACTIONS = {
    "tool.called": "Tool called",
    "tool.begun": "Tool called",
    "tool.approval": "Asked whether a tool may run",
    "token.refused": "Token refused by the provider",
    "scope.missing": "Permission missing at the provider",
    "output.redacted": "Token removed from a result",
    "flow.begun": "Connection asked for",
    "flow.started": "Sent to the provider",
    "connection.created": "Account connected",
    "connection.replaced": "Account connected again",
    "connection.refreshed": "Access renewed",
    "connection.needs_reauth": "Access ended",
    "connection.ending_soon": "Access ends soon",
    "provider.misconfigured": "Registration not accepted",
    "connection.declined": "Connection declined",
    "connection.failed": "Connection failed",
    "connection.refused": "Another browser refused",
    "connection.default": "Default account chosen",
    "connection.dropped": "Account disconnected",
    "connection.revoked": "Access ended at the provider",
    "connection.not_revoked": "Access not ended at the provider",
    "tokens.handed_out": "Tokens handed to the app",
    "client.registered": "Program registered",
    "client.added": "Program added",
    "client.revoked": "Program ended, with all its access",
    "consent.given": "Program let in",
    "consent.remembered": "Program need not ask again",
    "consent.denied": "Program not let in",
    "grant.issued": "Program signed in",
    "grant.refreshed": "Program signed in again",
    "grant.revoked": "The program's access ended",
    "grant.reused": "The program's access ended: a used token came back",
    "signing_key.made": "Key made that signs access tokens",
    "signing_key.destroyed": "Key destroyed that signed access tokens",
    "person.signed_in": "Signed in here",
    "account.made": "Account made",
    "account.invited": "Invited to an account",
    "account.password_set": "Password set",
    "account.second_factor_added": "Second factor added",
    "account.disabled": "Account locked",
    "account.enabled": "Account unlocked",
    "rules.changed": "Rules changed",
    "key.created": "API key made",
    "key.changed": "API key changed",
    "key.revoked": "API key revoked",
    "person.enabled": "Person let in again",
    "person.disabled": "Person locked out",
    "tool.added": "Tool added",
    "tool.changed": "Tool changed",
    "tool.waits": "Tool waits for a review",
    "tool.approved": "Tool approved",
    "tool.rejected": "Tool rejected",
    "tool.removed": "Tool gone",
    "webhook.registered": "Webhook registered",
    "webhook.changed": "Webhook changed",
    "webhook.disabled": "Webhook switched off",
    "webhook.deleted": "Webhook deleted",
    "audit.pruned": "Older record removed",
    "audit.gap": "Record incomplete",
}
_OUTCOMES = {
    "done": "done",
    "mended": "renewed, and done",
    "tool_error": "the tool reported an error",
    "tool_crashed": "the tool failed",
    "tool_timeout": "took too long",
    "toolkit_busy": "the toolkit was busy",
    "toolkit_unreachable": "the toolkit was not there",
    "unknown_outcome": "not known whether it was done",
    "invalid_result": "the tool's answer was not usable",
    "capability_missing": "the program could not do what the tool needs",
    "approved": "approved",
    "declined": "declined",
    "dismissed": "not answered",
    "cannot_ask": "the program could not ask",
    "cancelled": "cancelled",
    "needs_connection": "waited for an account to be connected",
    "needs_input": "asked a question",
    "invalid_arguments": "was called wrongly",
    "reserved_argument": "was called wrongly",
    "unknown_account": "named an account that is not connected",
    "not_allowed": "was not allowed",
    "rate_limited": "too many calls in a minute",
    "unknown_tool": "no such tool",
    "audit_unavailable": "not done: it could not be put on record",
    "store_unavailable": "not done: the gateway's database did not answer",
    "provider_unavailable": "not done: the provider did not answer",
    "provider_misconfigured": "not done: the provider does not accept the gateway",
    "provider_not_configured": "not done: the provider is not set up",
    "token_refused": "the provider did not accept the access",
    "scope_missing": "not done: a permission is missing",
    "invalid_grant": "the provider does not accept it any more",
    "crash_or_timeout_during_refresh": "a renewal broke off without an answer",
    "pending": "not decided yet",
    "by the client": "by the program itself",
    "by the person": "by you",
    "by the operator": "by whoever runs the gateway",
    "revoked": "in case it was stolen",
    "revoked_at_provider=asked": "the provider is asked to end the access too",
    "revoked_at_provider=yes": "revoked at the provider too",
    "revoked_at_provider=no": "not revoked at the provider",
    "revoked_at_provider=unsupported": "not revoked at the provider",
    "revoked_at_provider=retrying": "the provider is asked again",
    "revoked_at_provider=shared": "kept at the provider for another connection",
    "wanted": "another connection uses it",
    "nowhere": "the provider cannot be asked",
    "unreadable": "the gateway's copy was damaged",
    "given_up": "the provider did not confirm it for a day",
}
_NO_END = "no end on record: under way, or cut off"
_WELL = frozenset({"done", "mended", "confirmed"})
_WAITING = frozenset({"pending", "needs_connection", "needs_input", "cancelled", "declined"})
_CAN_FAIL = frozenset(
    {
        "tool.called",
        "token.refused",
        "scope.missing",
        "connection.failed",
        "connection.needs_reauth",
        "connection.not_revoked",
        "connection.refused",
        "provider.misconfigured",
        "grant.reused",
        "person.signed_in",
        "webhook.disabled",
        "audit.gap",
    }
)


@dataclass(frozen=True, slots=True)
class Words:
    """What was done, how it ended, and whether that is well."""

    action: str
    outcome: str
    look: Look


def words_for(event: AuditEvent) -> Words:
    """An event in words. A call that has no end on record says so: whoever asks has left out those that have one."""
    action = _ACTIONS.get(event.action, event.action.replace(".", " ").replace("_", " ").capitalize())
    if event.action == "tool.begun":
        return Words(action, _NO_END, "waiting")
    return Words(action, _OUTCOMES.get(event.outcome, event.outcome.replace("_", " ")), _look(event))


def took(milliseconds: float | None) -> str:
    """How long something took, as people say it; nothing where that is not known."""
    if milliseconds is None:
        return ""
    if milliseconds < 1000:
        return f"{max(1, round(milliseconds))} ms"
    seconds = milliseconds / 1000
    return f"{seconds:.1f} s" if seconds < 60 else f"{seconds / 60:.0f} min"


def _look(event: AuditEvent) -> Look:
    if event.outcome in _WAITING or event.action == "connection.ending_soon":
        return "waiting"
    return "badly" if event.action in _CAN_FAIL and event.outcome not in _WELL else "well"
