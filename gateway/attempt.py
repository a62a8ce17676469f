"""One run of a tool: with a credential or without, until its deadline, to an Outcome.

An exception out of a tool is a bug in the tool: the caller gets a reference id, the log gets the rest, redacted. The
result is searched for the call's tokens before anything else sees it. Where the tool has a credential, its HTTP is
watched, and what speaks for a refused token comes back beside the outcome.

Below: toolkit, audit. Above: `gateway.second_try` and the executor.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from gateway.audit import AuditLog
from gateway.errors import CallError, InvalidResultError, ToolCrashedError, ToolTimeoutError
from gateway.redaction import Redactor
from gateway.toolkit import http_hooks
from gateway.toolkit.content import ToolResult
from gateway.toolkit.context import Channel, Context, InputNeeded
from gateway.toolkit.exchange import Watch, watching
from gateway.toolkit.redacting_channel import RedactingChannel
from gateway.toolkit.result import redact_result, to_result
from gateway.toolkit.tool import Tool
from gateway.types import Call, Credential, Done, Failed, NeedsInput, Outcome

log = logging.getLogger(__name__)

_NOTHING_TO_HIDE = Redactor([])


@dataclass(frozen=True, slots=True)
class Terms:
    """What a run is given. `redactor` knows every token that the tool has seen; `seconds` is what it may take."""

    channel: Channel
    seconds: float
    credential: Credential | None = None
    redactor: Redactor = _NOTHING_TO_HIDE


@dataclass(frozen=True, slots=True)
class Attempt:
    """A run that is over. `value` or `error` is what the tool itself returned or raised; `left` are its seconds left.

    `end` gives the outcome for the caller. It is asked once, and not of a run that is done again: it logs a crash.
    """

    end: Callable[[], Outcome]
    value: Any = None
    error: BaseException | None = None
    watch: Watch | None = None
    left: float = 0.0


class Attempts:
    """Runs tools. `result_limit` is the largest result that leaves, in bytes of JSON."""

    def __init__(self, audit: AuditLog, result_limit: int) -> None:
        self._audit = audit
        self._result_limit = result_limit

    async def run(self, call: Call, tool: Tool, terms: Terms) -> Attempt:
        """Run a tool once. Never raises but for cancellation."""
        deadline, loop = asyncio.timeout(terms.seconds), asyncio.get_running_loop()
        channel, watch = terms.channel, None
        if terms.credential is not None:
            http_hooks.install()
            channel, watch = RedactingChannel(channel, terms.redactor), Watch(terms.redactor.finds)
        context = Context(channel, loop, deadline, call.principal.tenant)
        value: Any = None
        caught: Exception | None = None
        try:
            async with deadline:
                with watching(watch):
                    value = await tool.run(call.arguments, terms.credential, context)
            outcome = self._done(call, tool, to_result(value, self._result_limit), terms.redactor)
            end: Callable[[], Outcome] = lambda: outcome  # noqa: E731 - as short as its meaning
        except InputNeeded as needed:
            asks = needed.asks
            return Attempt(lambda: NeedsInput(asks))
        except Exception as error:  # noqa: BLE001 - anything else out of a tool is a bug in the tool
            caught = error
            end = partial(_failed, call, tool, error, terms.redactor, timed_out=deadline.expired())
        finally:
            context.close()
        until = deadline.when()
        return Attempt(end, value, caught, watch, terms.seconds if until is None else until - loop.time())

    def _done(self, call: Call, tool: Tool, result: ToolResult, redactor: Redactor) -> Outcome:
        if problem := tool.check_result(result):
            return Failed(InvalidResultError(problem))
        redacted = redact_result(result, redactor)
        if redacted is not result:
            log.warning("%s returned its token; it was redacted", call.tool)
            self._audit.record(call.principal, "output.redacted", "done", tool=call.tool, reference=call.id)
        return Done(redacted)


def _failed(call: Call, tool: Tool, error: Exception, redactor: Redactor, *, timed_out: bool) -> Failed:
    if isinstance(error, TimeoutError) and timed_out:
        return Failed(ToolTimeoutError(f"{tool.name} did not finish within {tool.timeout:g} s."))
    if isinstance(error, CallError):
        return Failed(type(error)(redactor.redact(str(error))) if redactor.finds(str(error)) else error)
    return Failed(_crash(call, error, redactor))


def _crash(call: Call, error: Exception, redactor: Redactor) -> ToolCrashedError:
    """A reference id for the caller; what happened, for the log. The exception's text never leaves."""
    reference = secrets.token_hex(4)
    rendered = logging.Formatter().formatException((type(error), error, error.__traceback__))
    log.error("%s failed, reference %s\n%s", call.tool, reference, redactor.redact(rendered))
    return ToolCrashedError(
        f"{call.tool} failed inside the tool. The cause is in the gateway's log under reference {reference}."
    )
