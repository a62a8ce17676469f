"""The events of one call: `tool.begun`, before it is given a token, and `tool.called`, however it ended.

The first is waited for, where the log is strict: no record, no token. A call that needs no token has the second alone.
Who it was, the tool, the account and its scopes, how long it took; of the arguments only a keyed hash.

Below: `gateway.audit.log`, which makes it. Above: the executor.
"""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING

from gateway.audit.arguments import digest_of
from gateway.clock import Clock
from gateway.errors import AuditUnavailableError
from gateway.toolkit.tool import Tool
from gateway.types import AuditEvent, Call, Credential, Done, Failed, NeedsConnection, NeedsInput, Outcome

if TYPE_CHECKING:
    from gateway.audit.log import AuditLog

BEGUN = ".begun"
"""At the end of the id of a call's first event. Its second has the same without."""


class CallRecord:
    """One call on record, from now on."""

    def __init__(self, log: AuditLog, call: Call, tool: Tool | None, clock: Clock) -> None:
        self._log = log
        self._call = call
        self._tool = tool
        self._clock = clock
        self._id = log.process + secrets.token_hex(12)
        self._digest = digest_of(call.arguments)
        self._started = time.perf_counter()
        self._credential: Credential | None = None
        log.calls_under_way += 1

    async def begin(self, credential: Credential) -> AuditUnavailableError | None:
        """Put on record that the call is about to be given this. The error, where that cannot be done."""
        self._credential = credential
        if not self._log.strict:
            return None
        try:
            await self._log.put_on_record(self._event(self._id + BEGUN, "tool.begun", "pending"), self._digest)
        except AuditUnavailableError as error:
            return error
        return None

    def end(self, outcome: Outcome | None) -> None:
        """Note how the call ended; None: it was cancelled."""
        self._log.calls_under_way -= 1
        took = round((time.perf_counter() - self._started) * 1000, 3)
        self._log.note(self._event(self._id, "tool.called", ended(outcome), took), self._digest)

    def _event(self, event_id: str, action: str, outcome: str, took: float | None = None) -> AuditEvent:
        call, tool, credential = self._call, self._tool, self._credential
        return AuditEvent(
            id=event_id,
            at=self._clock.now(),
            principal=call.principal,
            action=action,
            outcome=outcome,
            client=call.client.name,
            client_id=call.client.id or None,
            tool=tool.name if tool else None,
            provider=tool.requirement.provider if tool and tool.requirement else None,
            account=credential.account if credential else None,
            reference=call.id,
            duration_ms=took,
            scopes=credential.scopes if credential else frozenset(),
        )


def ended(outcome: Outcome | None) -> str:
    """The word for how a call ended."""
    match outcome:
        case Done(result):
            return "tool_error" if result.is_error else "done"
        case Failed(error):
            return error.code
        case NeedsConnection():
            return "needs_connection"
        case NeedsInput():
            return "needs_input"
        case None:
            return "cancelled"
