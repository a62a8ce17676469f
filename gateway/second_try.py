"""Runs a tool with its token, and when the token dies in the middle, renews it and runs the tool once more.

    refused?             find_refusal, from what was seen, raised and returned
    another token?       credentials, told which one was refused: one forced refresh for each version of a token
    is it safe?          never after a request that may have changed something, as far as anyone can tell
    once more            with what is left of the tool's time, and never a third time

What cannot be mended is told: the tool's own answer stays, with a sentence before it that says what happened and what
to do next. A scope that is missing is asked for, if the provider says which; a renewed token that is refused as well is
not renewed again for a while, however often the tool is called.

Below: attempt, refusal, credentials. Above: the executor.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from gateway.attempt import Attempt, Attempts, Terms
from gateway.audit import AuditLog, ended
from gateway.credentials import Credentials
from gateway.errors import GatewayError
from gateway.providers.provider import Api
from gateway.redaction import Redactor
from gateway.refusal import Lacking, Refusal, find_refusal
from gateway.refusal_note import Told, as_error
from gateway.secret import Secret
from gateway.toolkit.replaying_channel import ReplayingChannel
from gateway.toolkit.tool import Tool
from gateway.types import Call, Credential, Done, NeedsConnection, Outcome, Requirement

_IN_VAIN = 300.0  # seconds during which a token that was refused as soon as it was made is not renewed again
_MOST_IN_VAIN = 10_000
_NO_SHAPES = Api()


@dataclass(frozen=True, slots=True)
class Unmended:
    """There is no better credential: the word for the record, and the sentence for the agent."""

    how: str
    sentence: str


class SecondTry:
    """Runs tools that need an account."""

    def __init__(self, attempts: Attempts, credentials: Credentials, audit: AuditLog) -> None:
        self._attempts = attempts
        self._credentials = credentials
        self._audit = audit
        self._in_vain: dict[tuple[str, int], float] = {}

    async def run(self, call: Call, tool: Tool, requirement: Requirement, credential: Credential) -> Outcome:
        """The outcome of the call. Never raises but for cancellation."""
        channel = ReplayingChannel(call.channel)
        terms = Terms(channel, tool.timeout, credential, Redactor.of_credential(credential))
        first = await self._attempts.run(call, tool, terms)
        refusal = self._refusal(first, requirement)
        if refusal is None:
            return first.end()
        told = Told(call, tool, credential, self._credentials.describe(requirement.provider))
        found = await self._instead(told, refusal, requirement)
        if not isinstance(found, Credential):
            return self._end(told, refusal, *_without(first, told, found))
        if why_not := told.why_not_again(first, refusal):
            return self._end(told, refusal, "not_repeated", as_error(first.end(), f"{why_not} {told.renewed()}"))
        former = Secret(credential.token)  # while the second run lasts, the log's redactor knows the old token too
        again = Terms(channel.again(), first.left, found, Redactor([former.reveal(), found.token]))
        second = await self._attempts.run(call, tool, again)
        return await self._last(told, refusal, requirement, found, second)

    async def _last(
        self, told: Told, refusal: Refusal, requirement: Requirement, credential: Credential, second: Attempt
    ) -> Outcome:
        """How the call ends after the second run, whatever that was."""
        once_more = self._refusal(second, requirement)
        if once_more is None:
            outcome = second.end()
            return self._end(told, refusal, "mended" if isinstance(outcome, Done) else ended(outcome), outcome)
        told = replace(told, credential=credential)
        if once_more.lacking is Lacking.LIFE:
            self._remember_in_vain(credential)
        found = await self._instead(told, once_more, requirement)
        unmended = Unmended("refused_again", told.refused_again()) if isinstance(found, Credential) else found
        return self._end(told, once_more, *_without(second, told, unmended))

    async def _instead(
        self, told: Told, refusal: Refusal, requirement: Requirement
    ) -> Credential | NeedsConnection | Unmended:
        """What there is instead of the refused credential."""
        if refusal.lacking is Lacking.SCOPE:
            return await self._with_scopes(told, refusal, requirement)
        refused = told.credential
        if time.monotonic() < self._in_vain.get((refused.connection_id, refused.version), 0.0):
            return Unmended("refused_again", told.refused_again())
        found = await self._credentials.credential(told.call, requirement, refused=refused)
        if isinstance(found, GatewayError):
            return Unmended(found.code, told.not_renewed(found))
        if isinstance(found, Credential) and found.token == refused.token:
            self._remember_in_vain(found)
            return Unmended("refused_again", told.refused_again())
        return found

    async def _with_scopes(
        self, told: Told, refusal: Refusal, requirement: Requirement
    ) -> Credential | NeedsConnection | Unmended:
        """A link for what is missing. Where nobody says what that is, or it is granted already, a sentence."""
        missing = told.not_granted(refusal.scopes)
        if not missing:
            has_it = bool(refusal.scopes)
            return Unmended("not_asked", told.lacks_what_it_has(refusal.scopes) if has_it else told.lacks_permission())
        found = await self._credentials.credential(told.call, replace(requirement, scopes=requirement.scopes | missing))
        if isinstance(found, GatewayError):
            return Unmended(found.code, told.lacks(missing, found.message))
        if isinstance(found, Credential) and found.token == told.credential.token:
            return Unmended("not_asked", told.lacks(missing))
        return found

    def _refusal(self, attempt: Attempt, requirement: Requirement) -> Refusal | None:
        if attempt.watch is None:
            return None
        provider = self._credentials.describe(requirement.provider)
        return find_refusal(attempt.value, attempt.error, attempt.watch, provider.api if provider else _NO_SHAPES)

    def _remember_in_vain(self, credential: Credential) -> None:
        if len(self._in_vain) >= _MOST_IN_VAIN:
            del self._in_vain[next(iter(self._in_vain))]
        self._in_vain[credential.connection_id, credential.version] = time.monotonic() + _IN_VAIN

    def _end(self, told: Told, refusal: Refusal, how: str, outcome: Outcome) -> Outcome:
        """Put on record what the person may want to know about their account: a fact beside the call's own."""
        call, credential = told.call, told.credential
        self._audit.record(
            call.principal,
            "token.refused" if refusal.lacking is Lacking.LIFE else "scope.missing",
            how,
            client=call.client.name,
            client_id=call.client.id or None,
            tool=call.tool,
            provider=credential.provider,
            account=credential.account,
            reference=call.id,
        )
        return outcome


def _without(attempt: Attempt, told: Told, found: NeedsConnection | Unmended) -> tuple[str, Outcome]:
    """The end of a call that is not run again: a link to connect, or the tool's own answer and a sentence.

    The link leaves as a sentence where a host that calls again by itself could repeat what has been done.
    """
    if isinstance(found, Unmended):
        return found.how, as_error(attempt.end(), found.sentence)
    if happened := told.what_happened(attempt):
        return "needs_connection", as_error(attempt.end(), f"{happened} {found.message} {found.url}")
    return "needs_connection", found
