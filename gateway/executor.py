"""The heart: Call -> Outcome, in six steps on one screen.

    1 which tool?    registry
    2 may they?      rates, policy
    3 whose token?   credentials (the broker)
    4 do they want?  approval, where a rule has the person asked
    5 on record?     audit: no record, no token
    6 run it         the tool, with the credential injected; once more if its token died in the middle

and its end goes on record, however it ended.

Expected failures are values. How a tool is run stands in `gateway.attempt`, what happens when its token is refused in
`gateway.second_try`.

Below: second_try, toolkit, oauth, access, audit. Above: the surfaces, which only translate.
"""

from __future__ import annotations

from gateway.access.policy import Policy
from gateway.access.rates import Rates
from gateway.approval import Approvals
from gateway.attempt import Attempts, Terms
from gateway.audit import AuditLog, CallRecord
from gateway.credentials import Credentials
from gateway.errors import DeclinedError, GatewayError, InvalidArgumentsError, ReservedArgumentError, UnknownToolError
from gateway.second_try import SecondTry
from gateway.toolkit.account_argument import account_taken_out
from gateway.toolkit.registry import Registry
from gateway.toolkit.result import RESULT_LIMIT
from gateway.toolkit.tool import RESERVED_ARGUMENTS, Tool
from gateway.types import Call, Credential, Failed, Outcome, Requirement


class Executor:
    """Runs calls. `result_limit` is the largest result that leaves, in bytes of JSON."""

    def __init__(
        self,
        registry: Registry,
        policy: Policy,
        credentials: Credentials,
        audit: AuditLog,
        result_limit: int = RESULT_LIMIT,
        *,
        rates: Rates = Rates(),  # noqa: B008 - one that counts nothing
    ) -> None:
        self._registry = registry
        self._policy = policy
        self._credentials = credentials
        self._audit = audit
        self._rates = rates
        self._approvals = Approvals(audit)
        self._attempts = Attempts(audit, result_limit)
        self._second_try = SecondTry(self._attempts, credentials, audit)

    async def call(self, call: Call) -> Outcome:
        """Run one call to its end. Never raises but for cancellation."""
        outcome: Outcome | None = None
        tool = self._registry.find(call.tool)
        record = self._audit.of_call(call, tool)
        try:
            outcome = await self._outcome(call, tool, record)
            return outcome
        finally:
            record.end(outcome)

    async def _outcome(self, call: Call, tool: Tool | None, record: CallRecord) -> Outcome:
        if refusal := self._rates.refusal(call.principal, call.tool):
            return Failed(refusal)
        if tool is None or not self._policy.may_see(call.principal, tool):
            return Failed(UnknownToolError(f"Unknown tool: {call.tool}"))
        if forbidden := self._policy.may_call(call.principal, tool):
            return Failed(forbidden)
        if hindrance := tool.hindrance():
            return Failed(hindrance)
        named = account_taken_out(call, tool)
        return Failed(named) if isinstance(named, GatewayError) else await self._checked(named, tool, record)

    async def _checked(self, call: Call, tool: Tool, record: CallRecord) -> Outcome:
        if problem := _problem(call, tool):
            return Failed(problem)
        return await self._run(call, tool, record)

    async def _run(self, call: Call, tool: Tool, record: CallRecord) -> Outcome:
        if tool.requirement is None:
            if self._policy.must_ask(call.principal, tool) and (refusal := await self._approvals.refusal(call)):
                return refusal
            return (await self._attempts.run(call, tool, Terms(call.channel, tool.timeout))).end()
        found = await self._credential(call, tool, tool.requirement)
        if not isinstance(found, Credential):
            return Failed(found) if isinstance(found, GatewayError) else found
        if unrecorded := await record.begin(found):
            return Failed(unrecorded)
        return await self._second_try.run(call, tool, tool.requirement, found)

    async def _credential(self, call: Call, tool: Tool, need: Requirement) -> Credential | Outcome | GatewayError:
        """What the tool is given; where a rule has the person asked, once they have said yes to it."""
        found = await self._credentials.credential(call, need)
        if not isinstance(found, Credential) or not self._policy.must_ask(call.principal, tool):
            return found
        if refusal := await self._approvals.refusal(call, found):
            return refusal
        again = await self._credentials.credential(call, need)  # people take their time: the token may have ended
        if isinstance(again, Credential) and again.connection_id != found.connection_id:
            return DeclinedError("The account to act with is no longer the one that the person was shown. Call again.")
        return again


def _problem(call: Call, tool: Tool) -> GatewayError | None:
    reserved = RESERVED_ARGUMENTS & call.arguments.keys()
    if reserved:
        names = ", ".join(sorted(reserved))
        return ReservedArgumentError(f"{names} cannot be passed in: the gateway supplies it. Call again without it.")
    if sentence := tool.check(call.arguments):
        return InvalidArgumentsError(sentence)
    return None
