"""The heart: Call -> Outcome, in five steps on one screen.

    1 which tool?    registry
    2 may they?      policy
    3 whose token?   credentials (the broker)
    4 run it         the tool, with the credential injected, until its deadline
    5 record it      audit

Expected failures are values. An exception out of a tool is a bug in the tool: the caller gets a reference id, the
log gets the rest, redacted. The result is searched for the injected token before anything else sees it.

Below: toolkit, oauth, access, audit. Above: the surfaces, which only translate.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from typing import Protocol

from gateway.access.policy import Policy
from gateway.audit import AuditLog
from gateway.errors import (
    CallError,
    GatewayError,
    InvalidArgumentsError,
    InvalidResultError,
    ReservedArgumentError,
    ToolCrashedError,
    ToolTimeoutError,
    UnknownToolError,
)
from gateway.redaction import Redactor
from gateway.toolkit.content import ToolResult
from gateway.toolkit.context import Context, InputNeeded
from gateway.toolkit.redacting_channel import RedactingChannel
from gateway.toolkit.registry import Registry
from gateway.toolkit.result import redact_result, to_result
from gateway.toolkit.tool import RESERVED_ARGUMENTS, Tool
from gateway.types import Call, Credential, Done, Failed, NeedsConnection, NeedsInput, Outcome, Requirement

log = logging.getLogger(__name__)

_NOTHING_TO_HIDE = Redactor([])


class Credentials(Protocol):
    """Answers "a live credential for this person and this need". The Broker, or a stand-in that wakes it."""

    async def credential(
        self, call: Call, requirement: Requirement, refused: Credential | None = None
    ) -> Credential | NeedsConnection | GatewayError:
        """A credential for the call. `refused` is one that the provider has just turned down: another is wanted."""
        ...


class Executor:
    """Runs calls. `result_limit` is the largest result that leaves, in bytes of JSON."""

    def __init__(
        self,
        registry: Registry,
        policy: Policy,
        credentials: Credentials,
        audit: AuditLog,
        result_limit: int = 1 << 20,
    ) -> None:
        self._registry = registry
        self._policy = policy
        self._credentials = credentials
        self._audit = audit
        self._result_limit = result_limit

    async def call(self, call: Call) -> Outcome:
        """Run one call to its end. Never raises but for cancellation."""
        started = time.perf_counter()
        outcome: Outcome | None = None
        tool = self._registry.find(call.tool)
        try:
            outcome = await self._outcome(call, tool)
            return outcome
        finally:
            self._audit.called(call, tool, outcome, (time.perf_counter() - started) * 1000)

    async def _outcome(self, call: Call, tool: Tool | None) -> Outcome:
        if tool is None or not self._policy.may_see(call.principal, tool):
            return Failed(UnknownToolError(f"Unknown tool: {call.tool}"))
        if refusal := self._policy.may_call(call.principal, tool):
            return Failed(refusal)
        if problem := _problem(call, tool):
            return Failed(problem)
        credential: Credential | None = None
        if tool.requirement is not None:
            found = await self._credentials.credential(call, tool.requirement)
            if isinstance(found, NeedsConnection):
                return found
            if isinstance(found, GatewayError):
                return Failed(found)
            credential = found
        return await self._run(call, tool, credential)

    async def _run(self, call: Call, tool: Tool, credential: Credential | None) -> Outcome:
        redactor = Redactor.of_credential(credential) if credential else _NOTHING_TO_HIDE
        channel = RedactingChannel(call.channel, redactor) if credential else call.channel
        deadline = asyncio.timeout(tool.timeout)
        context = Context(channel, asyncio.get_running_loop(), deadline)
        try:
            async with deadline:
                value = await tool.run(call.arguments, credential, context)
            return self._done(call, tool, to_result(value, self._result_limit), redactor)
        except InputNeeded as needed:
            return NeedsInput(needed.asks)
        except TimeoutError as error:
            if not deadline.expired():
                return Failed(_crash(call, error, redactor))
            return Failed(ToolTimeoutError(f"{tool.name} did not finish within {tool.timeout:g} s."))
        except CallError as error:
            return Failed(type(error)(redactor.redact(str(error))) if redactor.finds(str(error)) else error)
        except Exception as error:  # noqa: BLE001 - anything else out of a tool is a bug in the tool
            return Failed(_crash(call, error, redactor))
        finally:
            context.close()

    def _done(self, call: Call, tool: Tool, result: ToolResult, redactor: Redactor) -> Outcome:
        if problem := tool.check_result(result):
            return Failed(InvalidResultError(problem))
        redacted = redact_result(result, redactor)
        if redacted is not result:
            log.warning("%s returned its token; it was redacted", call.tool)
            self._audit.record(call.principal, "output.redacted", "done", tool=call.tool, reference=call.id)
        return Done(redacted)


def _problem(call: Call, tool: Tool) -> GatewayError | None:
    reserved = RESERVED_ARGUMENTS & call.arguments.keys()
    if reserved:
        names = ", ".join(sorted(reserved))
        return ReservedArgumentError(f"{names} cannot be passed in: the gateway supplies it. Call again without it.")
    if sentence := tool.check(call.arguments):
        return InvalidArgumentsError(sentence)
    return None


def _crash(call: Call, error: Exception, redactor: Redactor) -> ToolCrashedError:
    """A reference id for the caller; what happened, for the log. The exception's text never leaves."""
    reference = secrets.token_hex(4)
    rendered = logging.Formatter().formatException((type(error), error, error.__traceback__))
    log.error("%s failed, reference %s\n%s", call.tool, reference, redactor.redact(rendered))
    return ToolCrashedError(
        f"{call.tool} failed inside the tool. The cause is in the gateway's log under reference {reference}."
    )
